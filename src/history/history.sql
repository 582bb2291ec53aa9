-- open -> closed at the instant at which the next period of the same opens; never anything else.
CREATE TABLE usermgmt.membership_history (
	tenant_id uuid NOT NULL,
	user_id uuid NOT NULL,
	workspace_id uuid NOT NULL,
	valid tstzrange NOT NULL CONSTRAINT a_period_begins_and_lasts CHECK (NOT isempty(valid) AND NOT lower_inf(valid) AND lower_inc(valid) AND NOT upper_inc(valid)),
	role text,
	status text NOT NULL CHECK (status IN ('active', 'deactivated', 'removed', 'suspended', 'archived')),
	is_primary_owner boolean NOT NULL DEFAULT false,
	slug text,
	changed_by uuid,
	database_role text NOT NULL,
	reason text,
	transaction_id xid8 NOT NULL,
	PRIMARY KEY (tenant_id, user_id, workspace_id, valid),
	CONSTRAINT a_person_has_a_role_while_there CHECK ((role IS NOT NULL) = (status IN ('active', 'deactivated')
		AND user_id <> '00000000-0000-0000-0000-000000000000'))
);
COMMENT ON TABLE usermgmt.membership_history IS 'Periods of access: of a person in a tenant (workspace_id all zero) or in a workspace, and (user_id all zero) of the tenant or workspace itself, which may be suspended or archived; written by trigger when a transaction commits.';
COMMENT ON COLUMN usermgmt.membership_history.tenant_id IS 'The tenant.';
COMMENT ON COLUMN usermgmt.membership_history.user_id IS 'The person; all zero for what happened to the tenant or workspace itself.';
COMMENT ON COLUMN usermgmt.membership_history.workspace_id IS 'The workspace; all zero for the tenant itself.';
COMMENT ON COLUMN usermgmt.membership_history.valid IS 'From when until when.';
COMMENT ON COLUMN usermgmt.membership_history.role IS 'The role then; NULL when there was none.';
COMMENT ON COLUMN usermgmt.membership_history.status IS 'active, deactivated, removed, suspended or archived.';
COMMENT ON COLUMN usermgmt.membership_history.is_primary_owner IS 'Whether the person was the primary owner.';
COMMENT ON COLUMN usermgmt.membership_history.slug IS 'Slug of the tenant or workspace then.';
COMMENT ON COLUMN usermgmt.membership_history.changed_by IS 'The person who began the period.';
COMMENT ON COLUMN usermgmt.membership_history.database_role IS 'The database role of that connection.';
COMMENT ON COLUMN usermgmt.membership_history.reason IS 'The reason given for it.';
COMMENT ON COLUMN usermgmt.membership_history.transaction_id IS 'The transaction, as in audit_trail.';
-- One open period of each, and a period opens only where that one is closed, in
-- one statement: so no two of them overlap, at every isolation level.
CREATE UNIQUE INDEX one_open_period ON usermgmt.membership_history (tenant_id, user_id, workspace_id) WHERE upper_inf(valid);
CREATE INDEX membership_history_person ON usermgmt.membership_history (user_id);
CREATE INDEX invitation_accepted ON usermgmt.invitation (accepted_by, tenant_id) WHERE state = 'accepted';

CREATE FUNCTION usermgmt.history_refuse() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.history_refuse() IS 'Trigger: the history is written by its triggers alone.';
CREATE TRIGGER written_by_trigger BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON usermgmt.membership_history
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.history_refuse();

CREATE FUNCTION usermgmt.history_note() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.history_note() IS 'Trigger: notes whose access changes, by whom and why.';

CREATE FUNCTION usermgmt.history_write() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.history_write() IS 'Trigger: before commit, writes the periods of everything noted, once.';

CREATE FUNCTION usermgmt.history_truncated() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.history_truncated() IS 'Trigger: TRUNCATE ends every period of the table.';

-- The arguments are the columns of the workspace and of the person, where there are any.
CREATE TRIGGER history_note AFTER INSERT OR DELETE OR UPDATE OF role, status, is_primary_owner ON usermgmt.membership
	FOR EACH ROW EXECUTE FUNCTION usermgmt.history_note('', 'user_id');
CREATE CONSTRAINT TRIGGER history_write AFTER INSERT OR DELETE OR UPDATE OF role, status, is_primary_owner ON usermgmt.membership
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION usermgmt.history_write();
CREATE TRIGGER history_note AFTER INSERT OR DELETE OR UPDATE OF tenant_id, workspace_id, user_id, role ON usermgmt.workspace_member
	FOR EACH ROW EXECUTE FUNCTION usermgmt.history_note('workspace_id', 'user_id');
CREATE CONSTRAINT TRIGGER history_write AFTER INSERT OR DELETE OR UPDATE OF tenant_id, workspace_id, user_id, role ON usermgmt.workspace_member
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION usermgmt.history_write();
CREATE TRIGGER history_truncated AFTER TRUNCATE ON usermgmt.workspace_member
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.history_truncated('workspace_id', 'user_id');
CREATE TRIGGER history_note AFTER INSERT OR DELETE OR UPDATE OF tenant_id, slug, suspended_at ON usermgmt.tenant
	FOR EACH ROW EXECUTE FUNCTION usermgmt.history_note('', '');
CREATE CONSTRAINT TRIGGER history_write AFTER INSERT OR DELETE OR UPDATE OF tenant_id, slug, suspended_at ON usermgmt.tenant
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION usermgmt.history_write();
CREATE TRIGGER history_note AFTER INSERT OR DELETE OR UPDATE OF tenant_id, workspace_id, slug, archived_at ON usermgmt.workspace
	FOR EACH ROW EXECUTE FUNCTION usermgmt.history_note('workspace_id', '');
CREATE CONSTRAINT TRIGGER history_write AFTER INSERT OR DELETE OR UPDATE OF tenant_id, workspace_id, slug, archived_at ON usermgmt.workspace
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION usermgmt.history_write();
CREATE TRIGGER history_truncated AFTER TRUNCATE ON usermgmt.workspace
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.history_truncated('workspace_id', '');

-- Internal: the address under which a tenant knows a person. Who is no member
-- any more may have moved to another one since, which is not the tenant's to see.
CREATE FUNCTION usermgmt.known_email(tenant_id uuid, user_id uuid) RETURNS text
	LANGUAGE sql STABLE
	RETURN (
		SELECT CASE
				WHEN a.closed_at IS NOT NULL OR EXISTS (
					SELECT FROM usermgmt.membership AS m
					WHERE m.tenant_id = known_email.tenant_id AND m.user_id = a.user_id
				) THEN a.email
				ELSE (
					SELECT i.email FROM usermgmt.invitation AS i
					WHERE i.accepted_by = a.user_id AND i.tenant_id = known_email.tenant_id AND i.state = 'accepted'
					ORDER BY i.accepted_at DESC LIMIT 1
				)
			END
		FROM usermgmt.account AS a
		WHERE a.user_id = known_email.user_id
	);
COMMENT ON FUNCTION usermgmt.known_email(uuid, uuid) IS 'Internal: the address under which a tenant knows a person: the present one of members and of closed accounts, else that of the invitation accepted last.';

CREATE TYPE usermgmt.access_state AS (
	tenant_id uuid,
	user_id uuid,
	email text,
	role text,
	status text,
	workspaces jsonb
);
COMMENT ON TYPE usermgmt.access_state IS 'A member at some instant: role, status (active, deactivated, suspended: the tenant was) and workspace roles by slug.';
COMMENT ON COLUMN usermgmt.access_state.tenant_id IS 'The tenant.';
COMMENT ON COLUMN usermgmt.access_state.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.access_state.email IS 'The address under which the tenant knows the person.';
COMMENT ON COLUMN usermgmt.access_state.role IS 'owner, admin or member.';
COMMENT ON COLUMN usermgmt.access_state.status IS 'active, deactivated, or suspended: an active member of a tenant that was suspended then.';
COMMENT ON COLUMN usermgmt.access_state.workspaces IS 'Workspace roles by the workspace slug of then.';

CREATE TYPE usermgmt.access_period AS (
	tenant_id uuid,
	tenant text,
	kind text,
	workspace_id uuid,
	workspace text,
	role text,
	status text,
	valid_from timestamptz,
	valid_until timestamptz,
	changed_by uuid,
	changed_by_email text,
	database_role text,
	reason text
);
COMMENT ON TYPE usermgmt.access_period IS 'A period of a person''s access: kind is membership, workspace, tenant (it was suspended) or archive (the workspace was); valid_until is NULL for the present one, changed_by brought it about.';
COMMENT ON COLUMN usermgmt.access_period.tenant_id IS 'The tenant that the period is about.';
COMMENT ON COLUMN usermgmt.access_period.tenant IS 'Slug of the tenant.';
COMMENT ON COLUMN usermgmt.access_period.kind IS 'membership, workspace, tenant (it was suspended meanwhile) or archive (the workspace was).';
COMMENT ON COLUMN usermgmt.access_period.workspace_id IS 'The workspace; NULL for the tenant itself.';
COMMENT ON COLUMN usermgmt.access_period.workspace IS 'Slug of the workspace.';
COMMENT ON COLUMN usermgmt.access_period.role IS 'The role in the tenant or workspace; NULL once it was taken.';
COMMENT ON COLUMN usermgmt.access_period.status IS 'active, deactivated, suspended, archived, or removed: access ended.';
COMMENT ON COLUMN usermgmt.access_period.valid_from IS 'Since when.';
COMMENT ON COLUMN usermgmt.access_period.valid_until IS 'Until when, that instant excluded; NULL: still.';
COMMENT ON COLUMN usermgmt.access_period.changed_by IS 'The person who brought it about.';
COMMENT ON COLUMN usermgmt.access_period.changed_by_email IS 'That person''s address.';
COMMENT ON COLUMN usermgmt.access_period.database_role IS 'The database role of that connection.';
COMMENT ON COLUMN usermgmt.access_period.reason IS 'The reason given for it.';

CREATE TYPE usermgmt.access_explanation AS (
	tenant_id uuid,
	tenant text,
	user_id uuid,
	email text,
	permission text,
	allowed boolean,
	role text,
	role_allows boolean,
	blocked_by text[],
	allowed_roles text[],
	how text,
	since timestamptz,
	granted_by uuid,
	granted_by_email text,
	database_role text,
	reason text
);
COMMENT ON TYPE usermgmt.access_explanation IS 'Whether a person may do something in a tenant and why: the role, the roles that may, what blocks it, and how, when and by whom the person came to the role.';
COMMENT ON COLUMN usermgmt.access_explanation.tenant_id IS 'The tenant that the answer is about.';
COMMENT ON COLUMN usermgmt.access_explanation.tenant IS 'Slug of the tenant.';
COMMENT ON COLUMN usermgmt.access_explanation.user_id IS 'The person.';
COMMENT ON COLUMN usermgmt.access_explanation.email IS 'The address under which the tenant knows the person.';
COMMENT ON COLUMN usermgmt.access_explanation.permission IS 'The permission asked for.';
COMMENT ON COLUMN usermgmt.access_explanation.allowed IS 'Whether the person may do it now.';
COMMENT ON COLUMN usermgmt.access_explanation.role IS 'owner, admin or member; NULL for who is no member any more.';
COMMENT ON COLUMN usermgmt.access_explanation.role_allows IS 'Whether the permission matrix gives it to that role.';
COMMENT ON COLUMN usermgmt.access_explanation.blocked_by IS 'What stands in the way: not a member, deactivated, address not verified, tenant suspended, role; empty when allowed.';
COMMENT ON COLUMN usermgmt.access_explanation.allowed_roles IS 'The roles that have the permission.';
COMMENT ON COLUMN usermgmt.access_explanation.how IS 'How the person came to the role: tenant created, invitation accepted, added, role changed, ownership transferred; removed for who is no member any more.';
COMMENT ON COLUMN usermgmt.access_explanation.since IS 'Since when.';
COMMENT ON COLUMN usermgmt.access_explanation.granted_by IS 'The person who granted it; after an invitation, who invited.';
COMMENT ON COLUMN usermgmt.access_explanation.granted_by_email IS 'That person''s address.';
COMMENT ON COLUMN usermgmt.access_explanation.database_role IS 'The database role through which it was granted.';
COMMENT ON COLUMN usermgmt.access_explanation.reason IS 'The reason given then; after an invitation, its message.';

CREATE FUNCTION usermgmt.access_at(at timestamptz, tenant text DEFAULT NULL) RETURNS SETOF usermgmt.access_state
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.access_at(timestamptz, text) IS 'Who belonged to the tenant at that instant, with role, status and workspaces: for admins of their own, for operators and auditors of any (slug or id) or of all; 22023, UM001, UM002, 42501.';

CREATE FUNCTION usermgmt.access_history(user_id uuid) RETURNS SETOF usermgmt.access_period
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.access_history(uuid) IS 'Every period of a person''s access, in order, with who changed it and why: for admins in their own tenant, for operators and auditors in the selected one or in all; 22023, UM001, UM002, 42501.';

CREATE FUNCTION usermgmt.explain_access(user_id uuid, permission text) RETURNS SETOF usermgmt.access_explanation
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.explain_access(uuid, text) IS 'Why a person may or may not do this, and who granted the role, in a row for each tenant that the person belongs or belonged to: for admins of their own, for operators and auditors of the selected one or of all; 22023, UM001, UM002, 42501.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('application', 'function', 'access_at'),
	('application', 'function', 'access_history'),
	('application', 'function', 'explain_access'),
	('auditor', 'function', 'access_at'),
	('auditor', 'function', 'access_history'),
	('auditor', 'function', 'explain_access'),
	('operator', 'relation', 'membership_history');

