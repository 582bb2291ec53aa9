-- open -> closed, its address released and its id kept for the trail.
CREATE TABLE usermgmt.account (
	user_id uuid NOT NULL PRIMARY KEY,
	email text NOT NULL,
	canonical_email text NOT NULL,
	name text,
	password_hash text,
	password_version integer NOT NULL DEFAULT 0,
	password_changed_at timestamptz,
	metadata jsonb NOT NULL DEFAULT '{}',
	locale text,
	created_at timestamptz NOT NULL DEFAULT now(),
	verified_at timestamptz,
	closed_at timestamptz,
	successor_id uuid,
	CONSTRAINT a_closed_account_has_no_password CHECK (closed_at IS NULL OR password_hash IS NULL),
	CONSTRAINT only_a_closed_account_has_a_successor CHECK (closed_at IS NOT NULL OR successor_id IS NULL),
	CONSTRAINT a_password_is_an_argon2id_hash CHECK (password_hash LIKE '$argon2id$%')
);
COMMENT ON TABLE usermgmt.account IS 'People, each once however many tenants they belong to; email is as typed, canonical_email is what is compared, verified_at is when a link mailed to it was first followed; a closed one keeps its id for the trail, and successor_id names the account that its records were handed to.';
COMMENT ON COLUMN usermgmt.account.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.account.email IS 'Address, as typed.';
COMMENT ON COLUMN usermgmt.account.canonical_email IS 'The address as it is compared: ASCII letters in lower case.';
COMMENT ON COLUMN usermgmt.account.name IS 'Name, or NULL.';
COMMENT ON COLUMN usermgmt.account.password_hash IS 'Argon2id hash of the password; NULL when there is none.';
COMMENT ON COLUMN usermgmt.account.password_version IS 'Raised with every new hash of a password.';
COMMENT ON COLUMN usermgmt.account.password_changed_at IS 'When the password was last chosen.';
COMMENT ON COLUMN usermgmt.account.metadata IS 'The application''s own data.';
COMMENT ON COLUMN usermgmt.account.locale IS 'The language of the person''s mails; NULL: the tenant''s.';
COMMENT ON COLUMN usermgmt.account.created_at IS 'When it was made.';
COMMENT ON COLUMN usermgmt.account.verified_at IS 'When a link mailed to the address was first followed.';
COMMENT ON COLUMN usermgmt.account.closed_at IS 'When the account was closed.';
COMMENT ON COLUMN usermgmt.account.successor_id IS 'Of a closed account, the one that its records were handed to.';
CREATE UNIQUE INDEX one_account_per_address ON usermgmt.account (canonical_email) WHERE closed_at IS NULL;
SELECT usermgmt.audit_attach('usermgmt.account', '{account,user_id,subject:email,hide:password_hash,ignore:password_changed_at,ignore:canonical_email}');

CREATE TRIGGER address BEFORE INSERT OR UPDATE OF email, canonical_email ON usermgmt.account
	FOR EACH ROW EXECUTE FUNCTION usermgmt.address_guard();

CREATE FUNCTION usermgmt.account_guard() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.account_guard() IS 'Trigger: another password hash is another password version, and only who belongs to no tenant can be closed, without a way back.';
CREATE TRIGGER guard BEFORE UPDATE OF password_hash, closed_at ON usermgmt.account
	FOR EACH ROW EXECUTE FUNCTION usermgmt.account_guard();

CREATE FUNCTION usermgmt.account_changed() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.account_changed() IS 'Trigger: a new password ends every session of the person, a new address shows in them.';
CREATE TRIGGER sessions AFTER UPDATE OF email, password_hash, password_version, closed_at ON usermgmt.account
	FOR EACH ROW EXECUTE FUNCTION usermgmt.account_changed();

-- Compared octet by octet; they go with the account.
CREATE TABLE usermgmt.account_identity (
	provider text NOT NULL,
	subject text NOT NULL,
	user_id uuid NOT NULL REFERENCES usermgmt.account,
	linked_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (provider, subject)
);
COMMENT ON TABLE usermgmt.account_identity IS 'Ids of people in outside sign-in systems: arbitrary strings, each of one account.';
COMMENT ON COLUMN usermgmt.account_identity.provider IS 'The sign-in system.';
COMMENT ON COLUMN usermgmt.account_identity.subject IS 'The id there, compared octet by octet.';
COMMENT ON COLUMN usermgmt.account_identity.user_id IS 'The person who has it.';
COMMENT ON COLUMN usermgmt.account_identity.linked_at IS 'When that was noted.';
CREATE INDEX account_identity_person ON usermgmt.account_identity (user_id);
SELECT usermgmt.audit_attach('usermgmt.account_identity', '{account_identity,subject,person:user_id}');

CREATE FUNCTION usermgmt.link_identity(user_id uuid, provider text, subject text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.link_identity(uuid, text, text) IS 'An operator notes the id (subject, any string of at most 1000 octets) that a person has in an outside sign-in system; 22023, 23505 when it is another account''s, UM002.';

CREATE FUNCTION usermgmt.unlink_identity(user_id uuid, provider text, subject text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.unlink_identity(uuid, text, text) IS 'An operator forgets such an id; 22023, UM002.';

CREATE FUNCTION usermgmt.user_by_identity(provider text, subject text) RETURNS uuid
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.user_by_identity(text, text) IS 'The person who has this id in that sign-in system, for an operator; NULL when nobody has; 22023.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('operator', 'function', 'link_identity'),
	('operator', 'function', 'unlink_identity'),
	('operator', 'function', 'user_by_identity'),
	('operator', 'relation', 'account_identity');
INSERT INTO usermgmt.access_privilege (access, object_kind, object_name, hidden_columns) VALUES
	('operator', 'relation', 'account', '{password_hash}');

