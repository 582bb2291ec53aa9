-- Keys for link tokens; nobody may read them, and they are not dumped.
CREATE TABLE usermgmt.signing_key (
	key_id bigint NOT NULL PRIMARY KEY,
	key bytea NOT NULL CONSTRAINT a_key_has_32_bytes CHECK (length(key) = 32),
	made_at timestamptz NOT NULL
);
COMMENT ON TABLE usermgmt.signing_key IS 'Keys for link tokens, made at first use; replicated to standbys, left out of dumps, replaced by usermgmt.key_file.';
COMMENT ON COLUMN usermgmt.signing_key.key_id IS 'Which key; tokens name it.';
COMMENT ON COLUMN usermgmt.signing_key.key IS 'The key, 32 octets.';
COMMENT ON COLUMN usermgmt.signing_key.made_at IS 'When it was made.';
