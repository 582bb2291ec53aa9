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
COMMENT ON COLUMN usermgmt.tenant.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.tenant.slug IS 'Its name in addresses.';
COMMENT ON COLUMN usermgmt.tenant.name IS 'Its name for people.';
COMMENT ON COLUMN usermgmt.tenant.branding IS 'How it looks: logo, colours, as the application sees fit.';
COMMENT ON COLUMN usermgmt.tenant.settings IS 'The tenant''s own settings, by name.';
COMMENT ON COLUMN usermgmt.tenant.metadata IS 'The application''s own data.';
COMMENT ON COLUMN usermgmt.tenant.state IS 'creating until it has its first owner, then active.';
COMMENT ON COLUMN usermgmt.tenant.owner_count IS 'How many active owners it has, kept by trigger.';
COMMENT ON COLUMN usermgmt.tenant.suspended_at IS 'Since when nobody is admitted.';
COMMENT ON COLUMN usermgmt.tenant.suspend_reason IS 'Why nobody is admitted.';
COMMENT ON COLUMN usermgmt.tenant.created_at IS 'When it was created.';
SELECT usermgmt.audit_attach('usermgmt.tenant', '{tenant,tenant_id,ignore:owner_count,ignore:state}');

-- A row only where there is a limit.
CREATE TABLE usermgmt.seat_count (
	tenant_id uuid NOT NULL PRIMARY KEY REFERENCES usermgmt.tenant ON DELETE CASCADE,
	members integer NOT NULL CHECK (members >= 0),
	invitations integer NOT NULL CHECK (invitations >= 0)
);
COMMENT ON TABLE usermgmt.seat_count IS 'The seats that active members and open invitations take, of tenants that have a limit; kept by triggers.';
COMMENT ON COLUMN usermgmt.seat_count.tenant_id IS 'The tenant.';
COMMENT ON COLUMN usermgmt.seat_count.members IS 'Seats of active members.';
COMMENT ON COLUMN usermgmt.seat_count.invitations IS 'Seats of open invitations, those expired but not yet given back included.';

CREATE FUNCTION usermgmt.seat_is_free() RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.seat_is_free() IS 'Whether the limits of the present tenant leave room for one more invitation; NULL without a tenant.';

CREATE FUNCTION usermgmt.tenant_guard() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.tenant_guard() IS 'Trigger: a tenant opens once, when it has an owner, and its settings and branding are ones that fit, and its owners are counted, not set.';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OF state, settings, branding, owner_count ON usermgmt.tenant
	FOR EACH ROW EXECUTE FUNCTION usermgmt.tenant_guard();

CREATE FUNCTION usermgmt.tenant_changed() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.tenant_changed() IS 'Trigger: suspension ends every session of the tenant and cancels its unsent mail, and without a limit no seats are counted.';
CREATE TRIGGER sessions AFTER UPDATE OF suspended_at, settings ON usermgmt.tenant
	FOR EACH ROW EXECUTE FUNCTION usermgmt.tenant_changed();

-- Internal: tenants as the public view shows them, of all.
CREATE VIEW usermgmt.tenant_detail AS
	SELECT tenant_id, slug, name,
		CASE WHEN suspended_at IS NULL THEN 'active' ELSE 'suspended' END AS status,
		branding, metadata, created_at, suspended_at, suspend_reason
	FROM usermgmt.tenant;
COMMENT ON VIEW usermgmt.tenant_detail IS 'Every tenant in the columns of the view tenants.';
COMMENT ON COLUMN usermgmt.tenant_detail.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.tenant_detail.slug IS 'Its name in addresses.';
COMMENT ON COLUMN usermgmt.tenant_detail.name IS 'Its name for people.';
COMMENT ON COLUMN usermgmt.tenant_detail.status IS 'active or suspended.';
COMMENT ON COLUMN usermgmt.tenant_detail.branding IS 'How it looks: logo, colours, as the application sees fit.';
COMMENT ON COLUMN usermgmt.tenant_detail.metadata IS 'The application''s own data.';
COMMENT ON COLUMN usermgmt.tenant_detail.created_at IS 'When it was created.';
COMMENT ON COLUMN usermgmt.tenant_detail.suspended_at IS 'Since when nobody is admitted.';
COMMENT ON COLUMN usermgmt.tenant_detail.suspend_reason IS 'Why.';

-- A bare UNION ALL would not be a barrier: PostgreSQL pulls it up.
CREATE VIEW usermgmt.tenants WITH (security_barrier) AS
	SELECT * FROM (
		SELECT * FROM usermgmt.tenant_detail
		WHERE tenant_id = usermgmt.current_tenant_id()
		UNION ALL
		SELECT * FROM usermgmt.tenant_detail
		WHERE usermgmt.current_tenant_id() IS NULL
			AND usermgmt.acts_without_session()
			AND has_table_privilege('usermgmt.tenant_detail', 'select')
	) AS visible;
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

CREATE TABLE usermgmt.invite_domain (
	tenant_id uuid NOT NULL REFERENCES usermgmt.tenant,
	domain text NOT NULL CONSTRAINT a_domain_is_in_lower_case CHECK (domain COLLATE "C" ~ '^[.]?[a-z0-9.-]+$'),
	PRIMARY KEY (tenant_id, domain)
);
COMMENT ON TABLE usermgmt.invite_domain IS 'E-mail domains that may be invited to a tenant (a leading dot: their subdomains); none listed allows all.';
COMMENT ON COLUMN usermgmt.invite_domain.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.invite_domain.domain IS 'The domain; with a leading dot, its subdomains.';
SELECT usermgmt.audit_attach('usermgmt.invite_domain', '{invite_domain,domain}');

CREATE VIEW usermgmt.invite_domains WITH (security_barrier) AS
	SELECT tenant_id, domain
	FROM usermgmt.invite_domain
	WHERE tenant_id = usermgmt.tenant_as('admin');
COMMENT ON VIEW usermgmt.invite_domains IS 'The e-mail domains that may be invited to the present tenant, for its admins; none listed allows all.';
COMMENT ON COLUMN usermgmt.invite_domains.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.invite_domains.domain IS 'The domain; with a leading dot, its subdomains.';

CREATE FUNCTION usermgmt.allow_invite_domain(domain text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.allow_invite_domain(text) IS 'An admin allows invitations to this e-mail domain, or with a leading dot to its subdomains; 22023.';

CREATE FUNCTION usermgmt.disallow_invite_domain(domain text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.disallow_invite_domain(text) IS 'An admin takes an e-mail domain off the list; 22023, UM002.';

CREATE FUNCTION usermgmt.use_tenant(tenant text) RETURNS uuid
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.use_tenant(text) IS 'An operator works in this tenant (slug or id) until disconnect; UM002 when there is none; 22023.';

CREATE FUNCTION usermgmt.create_tenant(slug text, name text, owner_email text, owner_name text DEFAULT NULL)
	RETURNS usermgmt.tenants
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.create_tenant(text, text, text, text) IS 'Creates a tenant with its first owner, and mails the owner a link to choose a password; 22023, 23505 when the slug is taken.';

CREATE FUNCTION usermgmt.update_tenant(name text DEFAULT NULL, slug text DEFAULT NULL, branding jsonb DEFAULT NULL)
	RETURNS usermgmt.tenants
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.update_tenant(text, text, jsonb) IS 'An admin changes name, slug or branding of the tenant; NULL leaves it; 22023, 23505.';

CREATE FUNCTION usermgmt.set_tenant_setting(name text, value text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.set_tenant_setting(text, text) IS 'An admin overrides a server-wide setting for the tenant; some only an owner or an operator may; 22023, 42501.';

CREATE FUNCTION usermgmt.reset_tenant_setting(name text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.reset_tenant_setting(text) IS 'The server-wide setting holds for the tenant again; 22023, 42501.';

CREATE FUNCTION usermgmt.tenant_setting(name text) RETURNS text
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.tenant_setting(text) IS 'The value that holds for the tenant: its own, else the server''s; times as intervals, switches as on or off; 22023.';

CREATE FUNCTION usermgmt.suspend_tenant(reason text) RETURNS usermgmt.tenants
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.suspend_tenant(text) IS 'An operator closes the selected tenant to everybody and ends its sessions; UM036.';

CREATE FUNCTION usermgmt.resume_tenant() RETURNS usermgmt.tenants
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.resume_tenant() IS 'An operator opens the selected tenant again; UM036.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('operator', 'function', 'use_tenant'),
	('operator', 'function', 'create_tenant'),
	('operator', 'function', 'suspend_tenant'),
	('operator', 'function', 'resume_tenant'),
	('application', 'function', 'seat_is_free'),
	('operator', 'relation', 'seat_count'),
	('application', 'function', 'update_tenant'),
	('application', 'function', 'allow_invite_domain'),
	('application', 'function', 'disallow_invite_domain'),
	('application', 'relation', 'invite_domains'),
	('operator', 'relation', 'invite_domain'),
	('application', 'function', 'set_tenant_setting'),
	('application', 'function', 'reset_tenant_setting'),
	('application', 'function', 'tenant_setting'),
	('operator', 'relation', 'tenant_detail'),
	('operator', 'relation', 'tenant'),
	('application', 'relation', 'tenants');

