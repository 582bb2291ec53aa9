-- attached <-> not attached; all of it is in the table's own definition.
CREATE FUNCTION usermgmt.attached_columns() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.attached_columns() IS 'Trigger that never fires: its columns and arguments say what the columns of an attached table mean.';

CREATE FUNCTION usermgmt.attached_row_security() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.attached_row_security() IS 'Trigger that never fires: its arguments say whether row security was on before the table was isolated.';

CREATE FUNCTION usermgmt.attached_activity() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.attached_activity() IS 'Trigger: a change of an attached table is activity of the acting user.';

CREATE FUNCTION usermgmt.attached_owner() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.attached_owner() IS 'Trigger: the owner of a row is an active member of its tenant, who is not removed meanwhile; UM037.';

-- Its name sorts before foreign keys to membership ("RI_..."), which might delete
-- what is to be handed over, and "consequences", which may close the account.
CREATE FUNCTION usermgmt.membership_hand_over() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.membership_hand_over() IS 'Trigger: what a removed member owned in attached tables passes to another one.';
CREATE TRIGGER "A_hand_over" AFTER DELETE ON usermgmt.membership
	FOR EACH ROW EXECUTE FUNCTION usermgmt.membership_hand_over();

CREATE FUNCTION usermgmt.activity_move_last_seen(tenant_id uuid, user_id uuid, at timestamptz) RETURNS void
	LANGUAGE c STRICT SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.activity_move_last_seen(uuid, uuid, timestamptz) IS 'Internal: record_activity() and the triggers of attached tables have it write when a member was last seen.';

CREATE FUNCTION usermgmt.attach_table(target regclass, tenant_column name DEFAULT NULL, workspace_column name DEFAULT NULL,
		owner_column name DEFAULT NULL, audit boolean DEFAULT NULL, track_activity boolean DEFAULT NULL, isolate boolean DEFAULT NULL,
		on_removal text DEFAULT NULL, redact name[] DEFAULT NULL, owner_provider text DEFAULT NULL)
	RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.attach_table(regclass, name, name, name, boolean, boolean, boolean, text, name[], text) IS 'An operator who owns the table attaches it: audit, last seen, isolation of tenants and workspaces, hand-over of what a leaver owned; called again it replaces what was attached; 22023, 42501, 42703, 42804, 42809, 0A000, 55000.';

CREATE FUNCTION usermgmt.detach_table(target regclass) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.detach_table(regclass) IS 'An operator who owns the table takes back everything that attach_table() added to it; 22023, 42501, UM036 when it is not attached.';

CREATE FUNCTION usermgmt.record_activity(kind text DEFAULT NULL) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.record_activity(text) IS 'The acting user did something (kind mutation, the default, or export): moves last_seen_at when the transaction commits; 22023, 25006, UM001.';

CREATE FUNCTION usermgmt.workspaces_as(role text) RETURNS uuid[]
	LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.workspaces_as(text) IS 'The workspaces of the present tenant that has_workspace_role() is true for: all open ones for owners, admins and operators; for the policies of attached tables; 22023.';

CREATE TYPE usermgmt.attachment AS (
	tenant_column name,
	workspace_column name,
	owner_column name,
	audit boolean,
	track_activity boolean,
	isolate boolean,
	on_removal text,
	redact name[],
	owner_provider text,
	problem text
);
COMMENT ON TYPE usermgmt.attachment IS 'What the definition of an attached table says.';
COMMENT ON COLUMN usermgmt.attachment.tenant_column IS 'The column that holds the tenant''s id.';
COMMENT ON COLUMN usermgmt.attachment.workspace_column IS 'The column that holds the workspace''s id.';
COMMENT ON COLUMN usermgmt.attachment.owner_column IS 'The column that says who owns the row.';
COMMENT ON COLUMN usermgmt.attachment.audit IS 'Whether changes make events.';
COMMENT ON COLUMN usermgmt.attachment.track_activity IS 'Whether changes move last_seen_at.';
COMMENT ON COLUMN usermgmt.attachment.isolate IS 'Whether row security keeps tenants apart.';
COMMENT ON COLUMN usermgmt.attachment.on_removal IS 'transfer or retain: what becomes of a leaver''s rows; NULL without an owner_column.';
COMMENT ON COLUMN usermgmt.attachment.redact IS 'Columns that no event shows.';
COMMENT ON COLUMN usermgmt.attachment.owner_provider IS 'The sign-in system whose ids the owner_column holds; NULL: our own.';
COMMENT ON COLUMN usermgmt.attachment.problem IS 'NULL, or what has to be mended, as a rule by calling attach_table() again.';

CREATE FUNCTION usermgmt.attachment(target oid) RETURNS usermgmt.attachment
	LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.attachment(oid) IS 'What the definition of a table says about its attachment, and what is wrong with it; for the view attached_tables.';

CREATE VIEW usermgmt.attached_tables AS
	SELECT t.target::regclass AS target, a.*
	FROM (
		SELECT DISTINCT t.tgrelid AS target
		FROM pg_trigger AS t
		JOIN pg_class AS c ON c.oid = t.tgrelid
		WHERE t.tgparentid = 0 AND NOT c.relispartition AND c.relnamespace <> 'usermgmt'::regnamespace
			AND t.tgfoid = ANY (ARRAY['usermgmt.attached_columns()', 'usermgmt.attached_row_security()',
				'usermgmt.attached_activity()', 'usermgmt.attached_owner()', 'usermgmt.audit_change()']::regprocedure[])
	) AS t
	CROSS JOIN LATERAL usermgmt.attachment(t.target) AS a
	ORDER BY t.target::regclass::text;
COMMENT ON VIEW usermgmt.attached_tables IS 'The application''s tables that attach_table() attached, what their columns mean, and what is wrong.';
COMMENT ON COLUMN usermgmt.attached_tables.target IS 'The table.';
COMMENT ON COLUMN usermgmt.attached_tables.tenant_column IS 'The column that holds the tenant''s id.';
COMMENT ON COLUMN usermgmt.attached_tables.workspace_column IS 'The column that holds the workspace''s id.';
COMMENT ON COLUMN usermgmt.attached_tables.owner_column IS 'The column that says who owns the row.';
COMMENT ON COLUMN usermgmt.attached_tables.audit IS 'Whether changes make events.';
COMMENT ON COLUMN usermgmt.attached_tables.track_activity IS 'Whether changes move last_seen_at.';
COMMENT ON COLUMN usermgmt.attached_tables.isolate IS 'Whether row security keeps tenants apart.';
COMMENT ON COLUMN usermgmt.attached_tables.on_removal IS 'transfer or retain: what becomes of a leaver''s rows; NULL without an owner_column.';
COMMENT ON COLUMN usermgmt.attached_tables.redact IS 'Columns that no event shows.';
COMMENT ON COLUMN usermgmt.attached_tables.owner_provider IS 'The sign-in system whose ids the owner_column holds; NULL: our own.';
COMMENT ON COLUMN usermgmt.attached_tables.problem IS 'NULL, or what has to be mended, as a rule by calling attach_table() again.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('operator', 'function', 'attach_table'),
	('operator', 'function', 'detach_table'),
	('operator', 'function', 'attachment'),
	('operator', 'relation', 'attached_tables'),
	('application', 'function', 'record_activity'),
	('application', 'function', 'workspaces_as');

