-- creating -> active, for ever; suspended_at closes it to everybody.
CREATE TABLE usermgmt.tenant (
	tenant_id uuid NOT NULL PRIMARY KEY,
	slug text NOT NULL CONSTRAINT one_tenant_per_slug UNIQUE
		CONSTRAINT a_slug_is_simple CHECK (slug COLLATE "C" ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 63),
	name text NOT NULL CONSTRAINT a_tenant_has_a_name CHECK (name <> ''),
	branding jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(branding) = 'object'),
	settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object'),
	metadata jsonb NOT NULL DEFAULT '{}',
	state text NOT NULL CHECK (state IN ('creating', 'active')),
	owner_count integer NOT NULL DEFAULT 0,
	suspended_at timestamptz,
	suspend_reason text,
	created_at timestamptz NOT NULL,
	CONSTRAINT a_tenant_keeps_an_owner CHECK (owner_count >= 1 OR state = 'creating'),
	CONSTRAINT a_suspension_has_a_date CHECK (suspend_reason IS NULL OR suspended_at IS NOT NULL)
);
COMMENT ON TABLE usermgmt.tenant IS 'Tenants; owner_count is kept by the trigger on membership and is never below one.';
SELECT usermgmt.audit_attach('usermgmt.tenant', '{tenant,tenant_id,ignore:owner_count,ignore:state}');

CREATE FUNCTION usermgmt.tenant_guard() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.tenant_guard() IS 'Trigger: a tenant opens once, when it has an owner.';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OF state ON usermgmt.tenant
	FOR EACH ROW EXECUTE FUNCTION usermgmt.tenant_guard();

CREATE FUNCTION usermgmt.tenant_changed() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.tenant_changed() IS 'Trigger: suspension ends every session of the tenant.';
CREATE TRIGGER sessions AFTER UPDATE OF suspended_at ON usermgmt.tenant
	FOR EACH ROW EXECUTE FUNCTION usermgmt.tenant_changed();

-- Internal: tenants as the public view shows them, of all.
CREATE VIEW usermgmt.tenant_detail AS
	SELECT tenant_id, slug, name,
		CASE WHEN suspended_at IS NULL THEN 'active' ELSE 'suspended' END AS status,
		branding, metadata, created_at, suspended_at, suspend_reason
	FROM usermgmt.tenant;
COMMENT ON VIEW usermgmt.tenant_detail IS 'Every tenant in the columns of the view tenants.';

CREATE VIEW usermgmt.tenants WITH (security_barrier) AS
	SELECT * FROM usermgmt.tenant_detail
	WHERE tenant_id = usermgmt.current_tenant_id()
	UNION ALL
	SELECT * FROM usermgmt.tenant_detail
	WHERE usermgmt.current_tenant_id() IS NULL
		AND usermgmt.acts_without_session()
		AND has_table_privilege('usermgmt.tenant_detail', 'select');
COMMENT ON VIEW usermgmt.tenants IS 'The present tenant; for an operator who has selected none, all of them.';
COMMENT ON COLUMN usermgmt.tenants.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.tenants.slug IS 'Its name in addresses.';
COMMENT ON COLUMN usermgmt.tenants.name IS 'Its name for people.';
COMMENT ON COLUMN usermgmt.tenants.status IS 'active or suspended.';
COMMENT ON COLUMN usermgmt.tenants.branding IS 'How it looks: logo, colours, as the application sees fit.';
COMMENT ON COLUMN usermgmt.tenants.metadata IS 'The application''s own data.';
COMMENT ON COLUMN usermgmt.tenants.created_at IS 'When it was created.';
COMMENT ON COLUMN usermgmt.tenants.suspended_at IS 'Since when nobody is admitted.';
COMMENT ON COLUMN usermgmt.tenants.suspend_reason IS 'Why.';

CREATE FUNCTION usermgmt.use_tenant(tenant text) RETURNS uuid
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.use_tenant(text) IS 'An operator works in this tenant (slug or id) until disconnect; UM002 when there is none.';

CREATE FUNCTION usermgmt.create_tenant(slug text, name text, owner_email text, owner_name text DEFAULT NULL)
	RETURNS usermgmt.tenants
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.create_tenant(text, text, text, text) IS 'Creates a tenant with its first owner, and mails the owner a link to choose a password; 23505 when the slug is taken.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('operator', 'function', 'use_tenant'),
	('operator', 'function', 'create_tenant'),
	('operator', 'relation', 'tenant_detail'),
	('operator', 'relation', 'tenant'),
	('application', 'relation', 'tenants');

