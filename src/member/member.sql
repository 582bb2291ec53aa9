-- active <-> deactivated; a removed member's row is gone.
CREATE TABLE usermgmt.membership (
	tenant_id uuid NOT NULL REFERENCES usermgmt.tenant,
	user_id uuid NOT NULL REFERENCES usermgmt.account,
	role text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
	status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'deactivated')),
	is_primary_owner boolean NOT NULL DEFAULT false,
	needs_verified boolean NOT NULL DEFAULT false,
	joined_at timestamptz NOT NULL DEFAULT now(),
	last_login_at timestamptz,
	last_seen_at timestamptz,
	deactivated_at timestamptz,
	deactivated_by uuid,
	deactivation_reason text,
	metadata jsonb NOT NULL DEFAULT '{}',
	PRIMARY KEY (tenant_id, user_id),
	CONSTRAINT the_primary_owner_is_an_active_owner CHECK (NOT is_primary_owner OR (role = 'owner' AND status = 'active')),
	CONSTRAINT only_a_deactivated_member_says_why CHECK (status = 'deactivated' OR (deactivated_at IS NULL AND deactivated_by IS NULL AND deactivation_reason IS NULL))
);
COMMENT ON TABLE usermgmt.membership IS 'Who belongs to which tenant, in which role and status; needs_verified keeps a person out who was made a member by address alone, until a link mailed to it was followed.';
CREATE UNIQUE INDEX one_primary_owner_per_tenant ON usermgmt.membership (tenant_id) WHERE is_primary_owner;
CREATE INDEX membership_joined ON usermgmt.membership (tenant_id, joined_at, user_id);
CREATE INDEX membership_person ON usermgmt.membership (user_id);
SELECT usermgmt.audit_attach('usermgmt.membership', '{user,user_id,person:user_id,ignore:last_login_at,ignore:last_seen_at}');

ALTER TABLE usermgmt.session ADD CONSTRAINT a_session_belongs_to_a_member
	FOREIGN KEY (tenant_id, user_id) REFERENCES usermgmt.membership ON DELETE CASCADE;
ALTER TABLE usermgmt.workspace_member ADD CONSTRAINT people_of_a_workspace_belong_to_its_tenant
	FOREIGN KEY (tenant_id, user_id) REFERENCES usermgmt.membership ON DELETE CASCADE;
CREATE INDEX session_member ON usermgmt.session (tenant_id, user_id, last_used_at);

CREATE FUNCTION usermgmt.membership_guard() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.membership_guard() IS 'Trigger: exactly one active owner is the primary one, and a membership stays where it is.';
CREATE TRIGGER guard BEFORE UPDATE OF tenant_id, user_id, role, status, is_primary_owner ON usermgmt.membership
	FOR EACH ROW EXECUTE FUNCTION usermgmt.membership_guard();

CREATE FUNCTION usermgmt.membership_changed() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.membership_changed() IS 'Trigger: keeps the owner count and the primary owner, and ends the sessions and links of whoever lost access.';
CREATE TRIGGER consequences AFTER INSERT OR DELETE OR UPDATE OF role, status, is_primary_owner ON usermgmt.membership
	FOR EACH ROW EXECUTE FUNCTION usermgmt.membership_changed();

CREATE FUNCTION usermgmt.membership_refuse_truncate() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.membership_refuse_truncate() IS 'Trigger: TRUNCATE would leave tenants without an owner.';
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON usermgmt.membership
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.membership_refuse_truncate();

-- Internal: members as the public view shows them, of every tenant.
CREATE VIEW usermgmt.member_detail AS
	SELECT m.user_id, m.tenant_id, a.email, a.name, m.role, m.is_primary_owner, m.status,
		CASE
			WHEN m.last_login_at IS NULL THEN 'never_logged_in'
			WHEN m.last_login_at > statement_timestamp()
				- make_interval(secs => usermgmt.effective_seconds(t.settings, 'inactive_after')) THEN 'active'
			ELSE 'inactive'
		END AS activity,
		m.joined_at, m.last_login_at, m.last_seen_at,
		usermgmt.relative_time(m.last_seen_at) AS last_active,
		m.deactivated_at, m.deactivated_by, m.deactivation_reason,
		coalesce(place.workspaces, '{}') AS workspaces,
		m.metadata
	FROM usermgmt.membership AS m
	JOIN usermgmt.account AS a USING (user_id)
	JOIN usermgmt.tenant AS t ON t.tenant_id = m.tenant_id
	CROSS JOIN LATERAL (
		SELECT jsonb_object_agg(w.slug, p.role ORDER BY w.slug) AS workspaces
		FROM usermgmt.workspace_member AS p
		JOIN usermgmt.workspace AS w ON w.tenant_id = p.tenant_id AND w.workspace_id = p.workspace_id
		WHERE p.tenant_id = m.tenant_id AND p.user_id = m.user_id AND w.archived_at IS NULL
	) AS place;
COMMENT ON VIEW usermgmt.member_detail IS 'Every member of every tenant in the columns of the view members.';

CREATE VIEW usermgmt.members WITH (security_barrier) AS
	SELECT * FROM usermgmt.member_detail
	WHERE tenant_id = usermgmt.tenant_as('admin');
COMMENT ON VIEW usermgmt.members IS 'The members of the present tenant, for its admins.';
COMMENT ON COLUMN usermgmt.members.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.members.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.members.email IS 'Address, as typed.';
COMMENT ON COLUMN usermgmt.members.name IS 'Name, or NULL.';
COMMENT ON COLUMN usermgmt.members.role IS 'owner, admin or member.';
COMMENT ON COLUMN usermgmt.members.is_primary_owner IS 'Whether this is the one primary owner.';
COMMENT ON COLUMN usermgmt.members.status IS 'active or deactivated: whether the person has access.';
COMMENT ON COLUMN usermgmt.members.activity IS 'active, inactive or never_logged_in, by the last login and the setting inactive_after.';
COMMENT ON COLUMN usermgmt.members.joined_at IS 'When the person became a member.';
COMMENT ON COLUMN usermgmt.members.last_login_at IS 'When the person last signed in.';
COMMENT ON COLUMN usermgmt.members.last_seen_at IS 'When the person was last seen; signing in counts.';
COMMENT ON COLUMN usermgmt.members.last_active IS 'The same in words, such as "2 days ago".';
COMMENT ON COLUMN usermgmt.members.deactivated_at IS 'Since when the person has no access.';
COMMENT ON COLUMN usermgmt.members.deactivated_by IS 'Who took it.';
COMMENT ON COLUMN usermgmt.members.deactivation_reason IS 'Why.';
COMMENT ON COLUMN usermgmt.members.workspaces IS 'Workspace roles by workspace slug.';
COMMENT ON COLUMN usermgmt.members.metadata IS 'The application''s own data.';

CREATE FUNCTION usermgmt.change_role(user_id uuid, role text, reason text DEFAULT NULL) RETURNS usermgmt.members
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.change_role(uuid, text, text) IS 'An admin gives a member another role, an owner also that of owner; UM002, UM030, UM037, 42501.';

CREATE FUNCTION usermgmt.deactivate_user(user_id uuid, reason text DEFAULT NULL) RETURNS usermgmt.members
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.deactivate_user(uuid, text) IS 'An admin takes a member''s access at once, every session and open link included; UM002, UM031, UM037.';

CREATE FUNCTION usermgmt.reactivate_user(user_id uuid) RETURNS usermgmt.members
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.reactivate_user(uuid) IS 'An admin gives a deactivated member access again; earlier sessions stay dead; UM002, UM036.';

CREATE FUNCTION usermgmt.transfer_ownership(new_owner_id uuid, reason text DEFAULT NULL) RETURNS usermgmt.members
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.transfer_ownership(uuid, text) IS 'The primary owner hands the tenant to another active member and becomes admin; 22023, UM002, UM037, 42501.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('application', 'function', 'change_role'),
	('application', 'function', 'transfer_ownership'),
	('application', 'function', 'deactivate_user'),
	('application', 'function', 'reactivate_user'),
	('application', 'relation', 'members'),
	('operator', 'relation', 'membership');

