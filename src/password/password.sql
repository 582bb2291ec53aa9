-- open -> used | superseded | cancelled, and no way back.
CREATE TABLE usermgmt.password_reset (
	reset_id uuid NOT NULL,
	user_id uuid NOT NULL REFERENCES usermgmt.account,
	tenant_id uuid NOT NULL REFERENCES usermgmt.tenant,
	origin text NOT NULL CHECK (origin IN ('self', 'admin', 'welcome')),
	state text NOT NULL CHECK (state IN ('open', 'used', 'superseded', 'cancelled')),
	generation integer NOT NULL DEFAULT 0,
	requested_by uuid,
	created_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	finished_at timestamptz,
	PRIMARY KEY (reset_id, user_id),
	CONSTRAINT a_finished_reset_says_when CHECK ((state = 'open') = (finished_at IS NULL))
);
COMMENT ON TABLE usermgmt.password_reset IS 'Links to choose a new password, asked for by the person, an admin or the welcome mail; the token is derived, never stored.';
COMMENT ON COLUMN usermgmt.password_reset.reset_id IS 'Id of the reset.';
COMMENT ON COLUMN usermgmt.password_reset.user_id IS 'Whose password it sets.';
COMMENT ON COLUMN usermgmt.password_reset.tenant_id IS 'The tenant it was mailed for.';
COMMENT ON COLUMN usermgmt.password_reset.origin IS 'self, admin or welcome: who asked.';
COMMENT ON COLUMN usermgmt.password_reset.state IS 'open, used, superseded or cancelled.';
COMMENT ON COLUMN usermgmt.password_reset.generation IS 'Raised to void earlier links.';
COMMENT ON COLUMN usermgmt.password_reset.requested_by IS 'The admin who asked.';
COMMENT ON COLUMN usermgmt.password_reset.created_at IS 'When it was asked for.';
COMMENT ON COLUMN usermgmt.password_reset.expires_at IS 'Until when the link works.';
COMMENT ON COLUMN usermgmt.password_reset.finished_at IS 'When it was used or voided.';
CREATE UNIQUE INDEX one_open_reset_per_person ON usermgmt.password_reset (user_id) WHERE state = 'open';
CREATE INDEX password_reset_recent ON usermgmt.password_reset (user_id, created_at);
SELECT usermgmt.audit_attach('usermgmt.password_reset', '{password_reset,reset_id,person:user_id}');

CREATE FUNCTION usermgmt.password_reset_guard() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.password_reset_guard() IS 'Trigger: a reset changes state only as the table of transitions allows.';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OF state ON usermgmt.password_reset
	FOR EACH ROW EXECUTE FUNCTION usermgmt.password_reset_guard();

-- Internal: a moment as rooms hand it to a mail.
CREATE FUNCTION usermgmt.mail_time(at timestamptz) RETURNS text
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
	RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
COMMENT ON FUNCTION usermgmt.mail_time(timestamptz) IS 'Internal: a moment as rooms hand it to a mail, which writes it in its language and time zone.';

CREATE FUNCTION usermgmt.send_password_reset(user_id uuid) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.send_password_reset(uuid) IS 'An admin sends an active user of the tenant a link to choose a new password; UM002, UM037, UM039.';

CREATE FUNCTION usermgmt.request_password_reset(email text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.request_password_reset(text) IS 'Asks for a link to choose a new password: the same answer and the same row for every address, looked up when a relay claims the mail; 22023.';

CREATE FUNCTION usermgmt.reset_password(token text, new_password text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.reset_password(text, text) IS 'Sets the password by a mailed link, once, and ends every session of the person; UM010, UM011, UM012, UM014, UM021, UM022, UM037.';

CREATE TYPE usermgmt.password_reset_preview AS (
	email text,
	status text,
	expires_at timestamptz
);
COMMENT ON TYPE usermgmt.password_reset_preview IS 'Whose password a link sets, and whether it still works: pending, used, superseded, cancelled or expired.';
COMMENT ON COLUMN usermgmt.password_reset_preview.email IS 'Whose password the link sets.';
COMMENT ON COLUMN usermgmt.password_reset_preview.status IS 'pending, used, superseded, cancelled or expired.';
COMMENT ON COLUMN usermgmt.password_reset_preview.expires_at IS 'Until when it works.';

CREATE FUNCTION usermgmt.preview_password_reset(token text) RETURNS usermgmt.password_reset_preview
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.preview_password_reset(text) IS 'Whose password a link sets and whether it still works; consumes and writes nothing; UM010.';

CREATE FUNCTION usermgmt.change_password(current_password text, new_password text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.change_password(text, text) IS 'The acting user chooses a new password with the present one; every other session and open reset link of the person ends; UM001, UM020, UM021, UM022.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('application', 'function', 'send_password_reset'),
	('application', 'function', 'request_password_reset'),
	('application', 'function', 'reset_password'),
	('application', 'function', 'preview_password_reset'),
	('application', 'function', 'change_password'),
	('operator', 'relation', 'password_reset');

