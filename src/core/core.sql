-- The ground the rooms stand on: the schema, the installation, access for
-- database roles, and who is acting.

CREATE SCHEMA usermgmt;
COMMENT ON SCHEMA usermgmt IS 'User management: tenants, people, roles, invitations, sessions, audit, mail.';

-- none -> live in this database; a copy is adopted.
CREATE TABLE usermgmt.installation (
	one_row boolean NOT NULL DEFAULT true CONSTRAINT installation_pkey PRIMARY KEY CHECK (one_row),
	installation_id uuid NOT NULL,
	system_identifier bigint NOT NULL,
	database_oid oid NOT NULL,
	extension_oid oid NOT NULL,
	epoch integer NOT NULL DEFAULT 0,
	activated_at timestamptz NOT NULL,
	mail_paused_at timestamptz,
	mail_pause_reason text,
	CONSTRAINT a_pause_has_a_reason CHECK ((mail_paused_at IS NULL) = (mail_pause_reason IS NULL))
);
COMMENT ON TABLE usermgmt.installation IS 'One row once the triggers are armed: the id that link tokens are bound to, and the database it is live in.';
COMMENT ON COLUMN usermgmt.installation.one_row IS 'Always true: there is one row at most.';
COMMENT ON COLUMN usermgmt.installation.installation_id IS 'What link tokens are bound to; a copy takes a new one.';
COMMENT ON COLUMN usermgmt.installation.system_identifier IS 'The cluster that it is live in.';
COMMENT ON COLUMN usermgmt.installation.database_oid IS 'The database that it is live in.';
COMMENT ON COLUMN usermgmt.installation.extension_oid IS 'The extension there, new with every CREATE EXTENSION.';
COMMENT ON COLUMN usermgmt.installation.epoch IS 'How many databases it has lived in before.';
COMMENT ON COLUMN usermgmt.installation.activated_at IS 'When it became live here.';
COMMENT ON COLUMN usermgmt.installation.mail_paused_at IS 'Since when no mail is claimed; NULL when it is.';
COMMENT ON COLUMN usermgmt.installation.mail_pause_reason IS 'Why.';

CREATE TABLE usermgmt.actor_signal ();
COMMENT ON TABLE usermgmt.actor_signal IS 'Always empty: its invalidation tells every backend to read its acting user anew.';

-- Rows come from the install script, beside each object; grant_access reads them.
CREATE TABLE usermgmt.access_privilege (
	access text NOT NULL CHECK (access IN ('application', 'operator', 'relay', 'auditor')),
	object_kind text NOT NULL CHECK (object_kind IN ('function', 'relation')),
	object_name text NOT NULL,
	hidden_columns text[],
	PRIMARY KEY (object_name, access, object_kind)
);
COMMENT ON TABLE usermgmt.access_privilege IS 'What each kind of access may execute or read; an operator also has everything of application.';
COMMENT ON COLUMN usermgmt.access_privilege.access IS 'application, operator, relay or auditor.';
COMMENT ON COLUMN usermgmt.access_privilege.object_kind IS 'function or relation.';
COMMENT ON COLUMN usermgmt.access_privilege.object_name IS 'Its name in the schema.';
COMMENT ON COLUMN usermgmt.access_privilege.hidden_columns IS 'Columns of a relation that this access does not read.';

CREATE FUNCTION usermgmt.installation_changed() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.installation_changed() IS 'Trigger: every backend looks at the installation anew.';
CREATE TRIGGER signal AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON usermgmt.installation
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.installation_changed();

-- Disables every trigger of the extension's tables; dropped by finish.sql.
CREATE FUNCTION usermgmt.disarm() RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME';

-- Takes what default privileges gave; dropped by finish.sql.
CREATE FUNCTION usermgmt.revoke_everything() RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME';

CREATE FUNCTION usermgmt.activate() RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.activate() IS 'Arms the triggers and foreign keys, or adopts a restored copy and pauses its mail; the first call that writes does it too.';

CREATE FUNCTION usermgmt.grant_access(database_role name, access text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.grant_access(name, text) IS 'Gives a database role one of the accesses application, operator, relay, auditor; 22023, 42704.';

CREATE FUNCTION usermgmt.revoke_access(database_role name, access text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.revoke_access(name, text) IS 'Takes from a database role everything that this access gives; 22023, 42704.';

CREATE FUNCTION usermgmt.address_guard() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.address_guard() IS 'Trigger: the canonical address follows the address.';

CREATE FUNCTION usermgmt.current_user_id() RETURNS uuid
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.current_user_id() IS 'The acting user, or NULL.';

CREATE FUNCTION usermgmt.current_tenant_id() RETURNS uuid
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.current_tenant_id() IS 'The tenant of the acting user, or the one an operator selected, or NULL.';

CREATE FUNCTION usermgmt.current_session_id() RETURNS uuid
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.current_session_id() IS 'The session of the acting user, or NULL.';

CREATE FUNCTION usermgmt.tenant_as(role text) RETURNS uuid
	LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.tenant_as(text) IS 'The present tenant if the acting user has at least this role in it, else NULL; for views and policies.';

CREATE FUNCTION usermgmt.acts_without_session() RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.acts_without_session() IS 'Whether no session was bound, be it over by now: only then may an operator or auditor see all tenants.';

CREATE FUNCTION usermgmt.current_member_role() RETURNS text
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.current_member_role() IS 'The role of the acting user (owner, admin, member), or NULL.';

CREATE FUNCTION usermgmt.has_role(role text) RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.has_role(text) IS 'Whether the acting user has at least this role; false without a live session; 22023.';

CREATE FUNCTION usermgmt.end_use() RETURNS void
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.end_use() IS 'Forgets the acting user now.';

CREATE FUNCTION usermgmt.effective_seconds(settings jsonb, name text) RETURNS integer
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.effective_seconds(jsonb, text) IS 'A time setting in seconds: the tenant''s where its settings name it, else the server''s; 22023.';

CREATE FUNCTION usermgmt.effective_limit(settings jsonb, name text) RETURNS integer
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.effective_limit(jsonb, text) IS 'A limit: the tenant''s where its settings name it, else the server''s; 0 is none; 22023.';

CREATE FUNCTION usermgmt.effective_switch(settings jsonb, name text) RETURNS boolean
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.effective_switch(jsonb, text) IS 'An on/off setting: the tenant''s where its settings name it, else the server''s; 22023.';

CREATE FUNCTION usermgmt.id(public_id text) RETURNS uuid
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.id(text) IS 'The uuid of an identifier as the JSON functions show it (user_..., inv_..., ws_...); a uuid passes; 22023.';

CREATE FUNCTION usermgmt.public_id(kind text, id uuid) RETURNS text
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.public_id(text, uuid) IS 'The identifier to show for an id of this kind (user, inv, ws), as TypeID: the uuid in 26 characters of base32; 22023.';

CREATE FUNCTION usermgmt.relative_time(at timestamptz) RETURNS text
	LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.relative_time(timestamptz) IS 'How long ago that was, in words ("2 days ago"); 22023.';

CREATE FUNCTION usermgmt.hash_queue() RETURNS TABLE (running integer, waiting integer)
	LANGUAGE c ROWS 1 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.hash_queue() IS 'How many password hashes run, and how many connections wait for a hash slot, in all databases; for server_statistics.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('operator', 'function', 'activate'),
	('operator', 'function', 'hash_queue'),
	('application', 'function', 'current_user_id'),
	('application', 'function', 'current_tenant_id'),
	('application', 'function', 'current_session_id'),
	('application', 'function', 'current_member_role'),
	('application', 'function', 'acts_without_session'),
	('application', 'function', 'tenant_as'),
	('auditor', 'function', 'tenant_as'),
	('auditor', 'function', 'acts_without_session'),
	('application', 'function', 'has_role'),
	('application', 'function', 'end_use'),
	('application', 'function', 'effective_seconds'),
	('application', 'function', 'effective_limit'),
	('application', 'function', 'effective_switch'),
	('application', 'function', 'relative_time'),
	('application', 'function', 'id'),
	('application', 'function', 'public_id'),
	('operator', 'relation', 'installation'),
	('operator', 'relation', 'access_privilege'),
	('auditor', 'function', 'current_tenant_id'),
	('auditor', 'function', 'has_role');

