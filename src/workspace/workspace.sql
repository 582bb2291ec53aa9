-- active -> archived, and back; no function deletes one.
CREATE TABLE usermgmt.workspace (
	tenant_id uuid NOT NULL REFERENCES usermgmt.tenant,
	workspace_id uuid NOT NULL,
	slug text NOT NULL
		CONSTRAINT a_workspace_slug_is_simple CHECK (slug COLLATE "C" ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 63),
	name text NOT NULL CONSTRAINT a_workspace_has_a_name CHECK (name <> ''),
	settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object'),
	metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
	created_at timestamptz NOT NULL DEFAULT now(),
	archived_at timestamptz,
	PRIMARY KEY (tenant_id, workspace_id),
	CONSTRAINT one_workspace_per_slug UNIQUE (tenant_id, slug)
);
COMMENT ON TABLE usermgmt.workspace IS 'Workspaces of a tenant; an archived one admits nobody and keeps everything.';
COMMENT ON COLUMN usermgmt.workspace.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.workspace.workspace_id IS 'Id of the workspace.';
COMMENT ON COLUMN usermgmt.workspace.slug IS 'Its name in addresses, once in the tenant.';
COMMENT ON COLUMN usermgmt.workspace.name IS 'Its name for people.';
COMMENT ON COLUMN usermgmt.workspace.settings IS 'Settings, as the application sees fit.';
COMMENT ON COLUMN usermgmt.workspace.metadata IS 'The application''s own data.';
COMMENT ON COLUMN usermgmt.workspace.created_at IS 'When it was created.';
COMMENT ON COLUMN usermgmt.workspace.archived_at IS 'Since when it is archived.';
SELECT usermgmt.audit_attach('usermgmt.workspace', '{workspace,workspace_id}');

-- The member room adds that whoever leaves the tenant leaves its workspaces.
CREATE TABLE usermgmt.workspace_member (
	tenant_id uuid NOT NULL,
	workspace_id uuid NOT NULL,
	user_id uuid NOT NULL,
	role text NOT NULL CHECK (role IN ('admin', 'member', 'viewer')),
	added_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (tenant_id, workspace_id, user_id),
	FOREIGN KEY (tenant_id, workspace_id) REFERENCES usermgmt.workspace ON DELETE CASCADE
);
COMMENT ON TABLE usermgmt.workspace_member IS 'Who works in which workspace, and in which of its roles.';
COMMENT ON COLUMN usermgmt.workspace_member.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.workspace_member.workspace_id IS 'Id of the workspace.';
COMMENT ON COLUMN usermgmt.workspace_member.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.workspace_member.role IS 'admin, member or viewer.';
COMMENT ON COLUMN usermgmt.workspace_member.added_at IS 'Since when.';
CREATE INDEX workspace_member_person ON usermgmt.workspace_member (tenant_id, user_id);
SELECT usermgmt.audit_attach('usermgmt.workspace_member', '{workspace_member,workspace_id,person:user_id}');

CREATE TYPE usermgmt.workspace_facts AS (
	members integer,
	active_members integer,
	open_invitations integer,
	overdue_invitations integer,
	last_active_at timestamptz,
	health integer
);
COMMENT ON TYPE usermgmt.workspace_facts IS 'What the health of a workspace is made of.';
COMMENT ON COLUMN usermgmt.workspace_facts.members IS 'How many people with access work in it.';
COMMENT ON COLUMN usermgmt.workspace_facts.active_members IS 'How many of them logged in within inactive_after.';
COMMENT ON COLUMN usermgmt.workspace_facts.open_invitations IS 'How many open invitations offer a place in it, expired ones included.';
COMMENT ON COLUMN usermgmt.workspace_facts.overdue_invitations IS 'How many of these were made more than 3 days ago.';
COMMENT ON COLUMN usermgmt.workspace_facts.last_active_at IS 'When one of its people was last seen.';
COMMENT ON COLUMN usermgmt.workspace_facts.health IS 'The health, from 0 to 100.';

CREATE FUNCTION usermgmt.workspace_facts(workspace_id uuid) RETURNS usermgmt.workspace_facts
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.workspace_facts(uuid) IS 'Counts of a workspace that the acting user may see, and its health; NULLs for any other; 42883, 42P17.';

CREATE FUNCTION usermgmt.workspace_health(workspace_id uuid) RETURNS integer
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.workspace_health(uuid) IS 'How well a workspace is doing, from 0 to 100, by the formula in the manual or the function that workspace_health_function names; UM001, UM002, 42883, 42P17.';

CREATE FUNCTION usermgmt.has_workspace_role(workspace_id uuid, role text) RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.has_workspace_role(uuid, text) IS 'Whether the acting user has at least this role (admin, member, viewer) in the workspace; owners and admins of the tenant have every one; false without a live session, and for an archived or unknown workspace; 22023.';

-- Internal: workspaces as the public view shows them, of every tenant.
CREATE VIEW usermgmt.workspace_detail AS
	SELECT w.workspace_id, w.tenant_id, w.slug, w.name, w.settings,
		CASE WHEN w.archived_at IS NULL THEN 'active' ELSE 'archived' END AS status,
		f.members AS member_count, f.health, w.created_at, w.archived_at, w.metadata
	FROM usermgmt.workspace AS w
	CROSS JOIN LATERAL usermgmt.workspace_facts(w.workspace_id) AS f;
COMMENT ON VIEW usermgmt.workspace_detail IS 'Every workspace in the columns of the view workspaces; counts and health only of the present tenant.';
COMMENT ON COLUMN usermgmt.workspace_detail.workspace_id IS 'Id of the workspace.';
COMMENT ON COLUMN usermgmt.workspace_detail.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.workspace_detail.slug IS 'Its name in addresses, once in the tenant.';
COMMENT ON COLUMN usermgmt.workspace_detail.name IS 'Its name for people.';
COMMENT ON COLUMN usermgmt.workspace_detail.settings IS 'Settings, as the application sees fit.';
COMMENT ON COLUMN usermgmt.workspace_detail.status IS 'active or archived.';
COMMENT ON COLUMN usermgmt.workspace_detail.member_count IS 'How many people with access work in it.';
COMMENT ON COLUMN usermgmt.workspace_detail.health IS 'How well it is doing, from 0 to 100.';
COMMENT ON COLUMN usermgmt.workspace_detail.created_at IS 'When it was created.';
COMMENT ON COLUMN usermgmt.workspace_detail.archived_at IS 'Since when it is archived.';
COMMENT ON COLUMN usermgmt.workspace_detail.metadata IS 'The application''s own data.';

CREATE VIEW usermgmt.workspaces WITH (security_barrier) AS
	SELECT * FROM usermgmt.workspace_detail
	WHERE tenant_id = usermgmt.tenant_as('member')
		AND (tenant_id = usermgmt.tenant_as('admin')
			OR (tenant_id, workspace_id) IN (
				SELECT m.tenant_id, m.workspace_id FROM usermgmt.workspace_member AS m
				WHERE m.tenant_id = usermgmt.tenant_as('member') AND m.user_id = usermgmt.current_user_id()
			))
	ORDER BY slug;
COMMENT ON VIEW usermgmt.workspaces IS 'The workspaces of the present tenant: all of them for its admins, for others the ones they work in.';
COMMENT ON COLUMN usermgmt.workspaces.workspace_id IS 'Id of the workspace.';
COMMENT ON COLUMN usermgmt.workspaces.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.workspaces.slug IS 'Its name in addresses, once in the tenant.';
COMMENT ON COLUMN usermgmt.workspaces.name IS 'Its name for people.';
COMMENT ON COLUMN usermgmt.workspaces.settings IS 'Settings, as the application sees fit.';
COMMENT ON COLUMN usermgmt.workspaces.status IS 'active or archived.';
COMMENT ON COLUMN usermgmt.workspaces.member_count IS 'How many people with access work in it.';
COMMENT ON COLUMN usermgmt.workspaces.health IS 'How well it is doing, from 0 to 100.';
COMMENT ON COLUMN usermgmt.workspaces.created_at IS 'When it was created.';
COMMENT ON COLUMN usermgmt.workspaces.archived_at IS 'Since when it is archived.';
COMMENT ON COLUMN usermgmt.workspaces.metadata IS 'The application''s own data.';

-- Internal: people of workspaces as the public view shows them, of every tenant.
CREATE VIEW usermgmt.workspace_member_detail AS
	SELECT m.workspace_id, m.tenant_id, w.slug, m.user_id, a.email, a.name, m.role, m.added_at
	FROM usermgmt.workspace_member AS m
	JOIN usermgmt.workspace AS w ON w.tenant_id = m.tenant_id AND w.workspace_id = m.workspace_id
	JOIN usermgmt.account AS a ON a.user_id = m.user_id;
COMMENT ON VIEW usermgmt.workspace_member_detail IS 'The people of every workspace in the columns of the view workspace_members.';
COMMENT ON COLUMN usermgmt.workspace_member_detail.workspace_id IS 'Id of the workspace.';
COMMENT ON COLUMN usermgmt.workspace_member_detail.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.workspace_member_detail.slug IS 'Slug of the workspace.';
COMMENT ON COLUMN usermgmt.workspace_member_detail.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.workspace_member_detail.email IS 'Address, as typed.';
COMMENT ON COLUMN usermgmt.workspace_member_detail.name IS 'Name, or NULL.';
COMMENT ON COLUMN usermgmt.workspace_member_detail.role IS 'admin, member or viewer.';
COMMENT ON COLUMN usermgmt.workspace_member_detail.added_at IS 'Since when.';

CREATE VIEW usermgmt.workspace_members WITH (security_barrier) AS
	SELECT * FROM usermgmt.workspace_member_detail
	WHERE tenant_id = usermgmt.tenant_as('member')
		AND (tenant_id = usermgmt.tenant_as('admin')
			OR user_id = usermgmt.current_user_id()
			OR (tenant_id, workspace_id) IN (
				SELECT m.tenant_id, m.workspace_id
				FROM usermgmt.workspace_member AS m
				JOIN usermgmt.workspace AS w ON w.tenant_id = m.tenant_id AND w.workspace_id = m.workspace_id AND w.archived_at IS NULL
				WHERE m.tenant_id = usermgmt.tenant_as('member') AND m.user_id = usermgmt.current_user_id() AND m.role = 'admin'
			));
COMMENT ON VIEW usermgmt.workspace_members IS 'Who works in which workspace: for admins of the tenant and of the workspace; everybody sees the own rows.';
COMMENT ON COLUMN usermgmt.workspace_members.workspace_id IS 'Id of the workspace.';
COMMENT ON COLUMN usermgmt.workspace_members.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.workspace_members.slug IS 'Slug of the workspace.';
COMMENT ON COLUMN usermgmt.workspace_members.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.workspace_members.email IS 'Address, as typed.';
COMMENT ON COLUMN usermgmt.workspace_members.name IS 'Name, or NULL.';
COMMENT ON COLUMN usermgmt.workspace_members.role IS 'admin, member or viewer.';
COMMENT ON COLUMN usermgmt.workspace_members.added_at IS 'Since when.';

CREATE FUNCTION usermgmt.create_workspace(slug text, name text, settings jsonb DEFAULT NULL) RETURNS usermgmt.workspaces
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.create_workspace(text, text, jsonb) IS 'An admin creates a workspace of the tenant; 22023, 23505 when the slug is taken, 42501.';

CREATE FUNCTION usermgmt.update_workspace(workspace_id uuid, name text DEFAULT NULL, slug text DEFAULT NULL, settings jsonb DEFAULT NULL)
	RETURNS usermgmt.workspaces
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.update_workspace(uuid, text, text, jsonb) IS 'An admin of the tenant or of the workspace changes its name, slug or settings; NULL leaves it; UM002, UM036 when archived, 22023, 23505, 42501.';

CREATE FUNCTION usermgmt.archive_workspace(workspace_id uuid) RETURNS usermgmt.workspaces
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.archive_workspace(uuid) IS 'An admin closes a workspace to everybody and keeps all of it; UM002, UM036, 42501.';

CREATE FUNCTION usermgmt.restore_workspace(workspace_id uuid) RETURNS usermgmt.workspaces
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.restore_workspace(uuid) IS 'An admin opens an archived workspace again, with the people that it had; UM002, UM036, 42501.';

CREATE FUNCTION usermgmt.set_workspace_member(workspace_id uuid, user_id uuid, role text DEFAULT NULL) RETURNS usermgmt.workspace_members
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.set_workspace_member(uuid, uuid, text) IS 'An admin of the tenant or of the workspace assigns an active member to it, role member by default, or changes the role there; UM002, UM036 when archived, UM037, 22023, 42501.';

CREATE FUNCTION usermgmt.remove_workspace_member(workspace_id uuid, user_id uuid) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.remove_workspace_member(uuid, uuid) IS 'An admin of the tenant or of the workspace takes a person from it; the membership in the tenant stays; UM002, 42501.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('application', 'function', 'workspace_facts'),
	('application', 'function', 'workspace_health'),
	('application', 'function', 'has_workspace_role'),
	('application', 'function', 'create_workspace'),
	('application', 'function', 'update_workspace'),
	('application', 'function', 'archive_workspace'),
	('application', 'function', 'restore_workspace'),
	('application', 'function', 'set_workspace_member'),
	('application', 'function', 'remove_workspace_member'),
	('application', 'relation', 'workspaces'),
	('application', 'relation', 'workspace_members'),
	('operator', 'relation', 'workspace'),
	('operator', 'relation', 'workspace_member');

