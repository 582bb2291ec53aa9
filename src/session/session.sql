-- open -> ended | revoked, and no way back; purged after its natural end.
-- No index mentions what an end, a new token, role or address changes, and each page has room: the
-- new version of the row then needs no index entries (HOT). So the open sessions of a person are
-- found among all that are kept of that person.
CREATE TABLE usermgmt.session (
	session_id uuid NOT NULL,
	tenant_id uuid NOT NULL,
	user_id uuid NOT NULL,
	token_hash bytea NOT NULL CONSTRAINT a_token_hash_has_32_bytes CHECK (length(token_hash) = 32),
	role text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
	email text NOT NULL,
	state text NOT NULL CHECK (state IN ('open', 'ended', 'revoked')),
	created_at timestamptz NOT NULL,
	last_used_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	ended_at timestamptz,
	end_reason text,
	ip text,
	user_agent text,
	idle_seconds integer CHECK (idle_seconds > 0),
	CONSTRAINT an_ended_session_says_when CHECK ((state = 'open') = (ended_at IS NULL))
) WITH (fillfactor = 80);
COMMENT ON TABLE usermgmt.session IS 'Sign-ins; the token is stored as its hash, role and email are copies that validation needs, kept by triggers.';
COMMENT ON COLUMN usermgmt.session.session_id IS 'Id of the session.';
COMMENT ON COLUMN usermgmt.session.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.session.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.session.token_hash IS 'BLAKE2b-256 of the token''s secret.';
COMMENT ON COLUMN usermgmt.session.role IS 'The person''s role in the tenant, a copy.';
COMMENT ON COLUMN usermgmt.session.email IS 'The person''s address, a copy.';
COMMENT ON COLUMN usermgmt.session.state IS 'open, ended or revoked.';
COMMENT ON COLUMN usermgmt.session.created_at IS 'When the person signed in.';
COMMENT ON COLUMN usermgmt.session.last_used_at IS 'When it was last used, to the minute.';
COMMENT ON COLUMN usermgmt.session.expires_at IS 'When it ends at the latest.';
COMMENT ON COLUMN usermgmt.session.ended_at IS 'When it ended.';
COMMENT ON COLUMN usermgmt.session.end_reason IS 'Why it ended.';
COMMENT ON COLUMN usermgmt.session.ip IS 'Where the person signed in from.';
COMMENT ON COLUMN usermgmt.session.user_agent IS 'What the person signed in with.';
COMMENT ON COLUMN usermgmt.session.idle_seconds IS 'After how long without use it ends; NULL: never.';
-- In this order: without statistics all of them look alike, and the planner takes the youngest.
CREATE INDEX session_recent ON usermgmt.session (tenant_id, last_used_at, user_id);
CREATE INDEX session_expiry ON usermgmt.session (expires_at);
CREATE INDEX session_person ON usermgmt.session (user_id, tenant_id, expires_at);
ALTER TABLE usermgmt.session ADD PRIMARY KEY (session_id, tenant_id);
SELECT usermgmt.audit_attach('usermgmt.session', '{session,session_id,subject:email,hide:token_hash,ignore:last_used_at}');

CREATE FUNCTION usermgmt.session_guard() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.session_guard() IS 'Trigger: a session that is over stays over.';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OF state ON usermgmt.session
	FOR EACH ROW EXECUTE FUNCTION usermgmt.session_guard();

CREATE FUNCTION usermgmt.session_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.session_changed() IS 'Trigger: every backend reads its acting user anew at its next statement.';
CREATE TRIGGER signal AFTER UPDATE OF session_id, tenant_id, user_id, token_hash, role, email, state, expires_at OR DELETE OR TRUNCATE ON usermgmt.session
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.session_changed();

-- Failures per address, whether or not it belongs to anybody.
CREATE TABLE usermgmt.login_throttle (
	address text NOT NULL PRIMARY KEY,
	failures integer NOT NULL CHECK (failures > 0),
	next_try_at timestamptz NOT NULL,
	last_failure_at timestamptz NOT NULL
);
COMMENT ON TABLE usermgmt.login_throttle IS 'Wrong passwords per canonical address, of which each minute forgets one, and when the next try counts.';
COMMENT ON COLUMN usermgmt.login_throttle.address IS 'The canonical address, whether or not anybody has it.';
COMMENT ON COLUMN usermgmt.login_throttle.failures IS 'Wrong passwords that are not forgotten yet.';
COMMENT ON COLUMN usermgmt.login_throttle.next_try_at IS 'When the next try counts.';
COMMENT ON COLUMN usermgmt.login_throttle.last_failure_at IS 'When the last one failed.';

CREATE TYPE usermgmt.session_context AS (
	session_id uuid,
	user_id uuid,
	tenant_id uuid,
	role text,
	email text,
	expires_at timestamptz
);
COMMENT ON TYPE usermgmt.session_context IS 'Who is acting, as use_session() bound it.';
COMMENT ON COLUMN usermgmt.session_context.session_id IS 'Id of the session.';
COMMENT ON COLUMN usermgmt.session_context.user_id IS 'The acting user.';
COMMENT ON COLUMN usermgmt.session_context.tenant_id IS 'The tenant in which the person acts.';
COMMENT ON COLUMN usermgmt.session_context.role IS 'owner, admin or member.';
COMMENT ON COLUMN usermgmt.session_context.email IS 'The person''s address.';
COMMENT ON COLUMN usermgmt.session_context.expires_at IS 'When the session ends at the latest.';

CREATE TYPE usermgmt.session_start AS (
	outcome text,
	session_token text,
	session_id uuid,
	user_id uuid,
	tenant_id uuid,
	role text,
	expires_at timestamptz,
	detail jsonb
);
COMMENT ON TYPE usermgmt.session_start IS 'The outcome of a sign-in (ok, invalid_credentials, try_later, busy, choose_tenant, deactivated), and with ok the session''s token, which is shown only once.';
COMMENT ON COLUMN usermgmt.session_start.outcome IS 'ok, invalid_credentials, try_later, busy, choose_tenant or deactivated.';
COMMENT ON COLUMN usermgmt.session_start.session_token IS 'The token to show to use_session(), given this once; this and what follows is set for ok alone, but for detail.';
COMMENT ON COLUMN usermgmt.session_start.session_id IS 'Id of the new session.';
COMMENT ON COLUMN usermgmt.session_start.user_id IS 'Who signed in.';
COMMENT ON COLUMN usermgmt.session_start.tenant_id IS 'The tenant it is for.';
COMMENT ON COLUMN usermgmt.session_start.role IS 'owner, admin or member.';
COMMENT ON COLUMN usermgmt.session_start.expires_at IS 'When the session ends at the latest.';
COMMENT ON COLUMN usermgmt.session_start.detail IS 'With try_later when to try again, with choose_tenant the tenants to choose from.';

CREATE FUNCTION usermgmt.session_move_last_use(session_id uuid, tenant_id uuid, at timestamptz) RETURNS void
	LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.session_move_last_use(uuid, uuid, timestamptz) IS 'Internal: use_session() and the setting session_token have it write when a session was last used.';

-- Runs no SQL, so it needs no definer rights and no search_path: it reads the
-- session by a direct index scan (src/session/lookup.c).
CREATE FUNCTION usermgmt.use_session(token text, scope text DEFAULT NULL) RETURNS usermgmt.session_context
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.use_session(text, text) IS 'Verifies a session token and binds its person for the transaction (scope transaction, the default) or until end_use() or disconnect (connection); 22023, UM001.';

CREATE FUNCTION usermgmt.log_in(email text, password text, tenant text DEFAULT NULL, ip text DEFAULT NULL, user_agent text DEFAULT NULL)
	RETURNS usermgmt.session_start
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.log_in(text, text, text, text, text) IS 'Signs in with address and password; bad credentials are an outcome, never an error, so commit after it; 22023.';

CREATE FUNCTION usermgmt.switch_tenant(tenant text) RETURNS usermgmt.session_start
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.switch_tenant(text) IS 'A new session of the acting user in another tenant (slug or id) that the person belongs to; the present one goes on; outcome ok or deactivated; UM001, UM002.';

CREATE FUNCTION usermgmt.start_session(user_id uuid, ip text DEFAULT NULL, user_agent text DEFAULT NULL) RETURNS usermgmt.session_start
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.start_session(uuid, text, text) IS 'For a trusted sign-in service with operator access: a session of this member in the selected tenant, without a password; outcome ok or deactivated; 22023, UM001, UM002, 42501.';

CREATE FUNCTION usermgmt.rotate_session() RETURNS usermgmt.session_start
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.rotate_session() IS 'A new token for the bound session; the old one is worthless at commit; UM001.';

CREATE FUNCTION usermgmt.revoke_session(session_id uuid, reason text DEFAULT NULL) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.revoke_session(uuid, text) IS 'Ends a session of the present tenant: the own ones, an admin everybody''s; UM001, UM002 also for one that is over.';

CREATE FUNCTION usermgmt.revoke_user_sessions(user_id uuid, reason text DEFAULT NULL) RETURNS integer
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.revoke_user_sessions(uuid, text) IS 'Ends the own sessions in the present tenant but the bound one, or as an admin all of a member; how many ended; UM001, UM002, 42501.';

CREATE VIEW usermgmt.my_sessions WITH (security_barrier) AS
	SELECT session_id, tenant_id, created_at, last_used_at, expires_at, ip, user_agent,
		session_id = usermgmt.current_session_id() AS is_current
	FROM usermgmt.session
	WHERE tenant_id = usermgmt.tenant_as('member') AND user_id = usermgmt.current_user_id()
		AND state = 'open' AND expires_at > statement_timestamp()
		AND (idle_seconds IS NULL OR last_used_at + make_interval(secs => idle_seconds) > statement_timestamp());
COMMENT ON VIEW usermgmt.my_sessions IS 'The open sessions of the acting user in the present tenant.';
COMMENT ON COLUMN usermgmt.my_sessions.session_id IS 'Id of the session.';
COMMENT ON COLUMN usermgmt.my_sessions.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.my_sessions.created_at IS 'When the person signed in.';
COMMENT ON COLUMN usermgmt.my_sessions.last_used_at IS 'When it was last used, to the minute.';
COMMENT ON COLUMN usermgmt.my_sessions.expires_at IS 'When it ends at the latest.';
COMMENT ON COLUMN usermgmt.my_sessions.ip IS 'Where the person signed in from.';
COMMENT ON COLUMN usermgmt.my_sessions.user_agent IS 'With what.';
COMMENT ON COLUMN usermgmt.my_sessions.is_current IS 'Whether it is the one that asks.';

CREATE VIEW usermgmt.sessions WITH (security_barrier) AS
	SELECT session_id, tenant_id, user_id, email, role,
		CASE
			WHEN state <> 'open' THEN state
			WHEN expires_at <= statement_timestamp()
				OR last_used_at + make_interval(secs => idle_seconds) <= statement_timestamp() THEN 'expired'
			ELSE 'open'
		END AS status,
		created_at, last_used_at, expires_at, ended_at, end_reason, ip, user_agent,
		session_id IS NOT DISTINCT FROM usermgmt.current_session_id() AS is_current
	FROM usermgmt.session
	WHERE tenant_id = usermgmt.tenant_as('admin');
COMMENT ON VIEW usermgmt.sessions IS 'The sessions of the present tenant, for its admins; those that are over stay until a day after their natural end.';
COMMENT ON COLUMN usermgmt.sessions.session_id IS 'Id of the session.';
COMMENT ON COLUMN usermgmt.sessions.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.sessions.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.sessions.email IS 'The person''s address.';
COMMENT ON COLUMN usermgmt.sessions.role IS 'The person''s role.';
COMMENT ON COLUMN usermgmt.sessions.status IS 'open, expired, ended (logged out) or revoked.';
COMMENT ON COLUMN usermgmt.sessions.created_at IS 'When the person signed in.';
COMMENT ON COLUMN usermgmt.sessions.last_used_at IS 'When it was last used, to the minute.';
COMMENT ON COLUMN usermgmt.sessions.expires_at IS 'When it ends at the latest.';
COMMENT ON COLUMN usermgmt.sessions.ended_at IS 'When it ended.';
COMMENT ON COLUMN usermgmt.sessions.end_reason IS 'Why.';
COMMENT ON COLUMN usermgmt.sessions.ip IS 'Where the person signed in from.';
COMMENT ON COLUMN usermgmt.sessions.user_agent IS 'With what.';
COMMENT ON COLUMN usermgmt.sessions.is_current IS 'Whether it is the one that asks.';

CREATE FUNCTION usermgmt.sign_up(tenant_slug text, tenant_name text, email text, password text, name text DEFAULT NULL,
		ip text DEFAULT NULL, user_agent text DEFAULT NULL)
	RETURNS usermgmt.session_start
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.sign_up(text, text, text, text, text, text, text) IS 'Founds a tenant and signs its owner in, where usermgmt.allow_sign_up is on: a new person chooses a password, a known one gives the account''s or has a session bound; a wrong one is an outcome, as in log_in(); 22023, 23505, 42501, UM021, UM022.';

CREATE FUNCTION usermgmt.log_out() RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.log_out() IS 'Ends the bound session for good; UM001 when there is none.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name, hidden_columns) VALUES
	('application', 'function', 'use_session', NULL),
	('application', 'function', 'log_in', NULL),
	('application', 'function', 'sign_up', NULL),
	('application', 'function', 'switch_tenant', NULL),
	('application', 'function', 'rotate_session', NULL),
	('application', 'function', 'revoke_session', NULL),
	('application', 'function', 'revoke_user_sessions', NULL),
	('application', 'relation', 'my_sessions', NULL),
	('application', 'relation', 'sessions', NULL),
	('operator', 'function', 'start_session', NULL),
	('application', 'function', 'log_out', NULL),
	('operator', 'relation', 'session', '{token_hash}'),
	('operator', 'relation', 'login_throttle', NULL);

