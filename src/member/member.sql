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
COMMENT ON COLUMN usermgmt.membership.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.membership.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.membership.role IS 'owner, admin or member.';
COMMENT ON COLUMN usermgmt.membership.status IS 'active or deactivated: whether the person has access.';
COMMENT ON COLUMN usermgmt.membership.is_primary_owner IS 'Whether this is the one primary owner.';
COMMENT ON COLUMN usermgmt.membership.needs_verified IS 'Whether the person is kept out until a link mailed to the address was followed.';
COMMENT ON COLUMN usermgmt.membership.joined_at IS 'When the person became a member.';
COMMENT ON COLUMN usermgmt.membership.last_login_at IS 'When the person last signed in.';
COMMENT ON COLUMN usermgmt.membership.last_seen_at IS 'When the person was last seen; signing in counts.';
COMMENT ON COLUMN usermgmt.membership.deactivated_at IS 'Since when the person has no access.';
COMMENT ON COLUMN usermgmt.membership.deactivated_by IS 'Who took it.';
COMMENT ON COLUMN usermgmt.membership.deactivation_reason IS 'Why.';
COMMENT ON COLUMN usermgmt.membership.metadata IS 'The application''s own data.';
CREATE UNIQUE INDEX one_primary_owner_per_tenant ON usermgmt.membership (tenant_id) WHERE is_primary_owner;
CREATE INDEX membership_joined ON usermgmt.membership (tenant_id, joined_at, user_id);
CREATE INDEX membership_person ON usermgmt.membership (user_id);
SELECT usermgmt.audit_attach('usermgmt.membership', '{user,user_id,person:user_id,ignore:last_login_at,ignore:last_seen_at}');

ALTER TABLE usermgmt.session ADD CONSTRAINT a_session_belongs_to_a_member
	FOREIGN KEY (tenant_id, user_id) REFERENCES usermgmt.membership ON DELETE CASCADE;
ALTER TABLE usermgmt.workspace_member ADD CONSTRAINT people_of_a_workspace_belong_to_its_tenant
	FOREIGN KEY (tenant_id, user_id) REFERENCES usermgmt.membership ON DELETE CASCADE;

CREATE INDEX membership_login ON usermgmt.membership (tenant_id, last_login_at);
CREATE INDEX membership_seen ON usermgmt.membership (tenant_id, last_seen_at) WHERE status = 'active';
CREATE INDEX membership_deactivated ON usermgmt.membership (tenant_id, user_id) WHERE status = 'deactivated';

-- The sum of n counts; a change adds rows, maintenance folds them.
CREATE TABLE usermgmt.member_count (
	tenant_id uuid NOT NULL,
	workspace_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
	role text NOT NULL,
	status text NOT NULL,
	logged_in_on date NOT NULL,
	count_id uuid NOT NULL,
	n integer NOT NULL CONSTRAINT a_count_counts CHECK (n <> 0),
	folded boolean NOT NULL DEFAULT false,
	PRIMARY KEY (tenant_id, workspace_id, role, status, logged_in_on, count_id)
);
COMMENT ON TABLE usermgmt.member_count IS 'How many members (the sum of n) a tenant has, and each of its workspaces (workspace_id; of the tenant: nil), kept by trigger: by role in the tenant and status (logged_in_on is infinity); and those with access by the day of the last log-in (role is any; UTC; -infinity: never).';
COMMENT ON COLUMN usermgmt.member_count.tenant_id IS 'The tenant whose members are counted.';
COMMENT ON COLUMN usermgmt.member_count.workspace_id IS 'The workspace whose people are counted; all zero for the tenant as a whole.';
COMMENT ON COLUMN usermgmt.member_count.role IS 'Their role in the tenant; any in the counts by day.';
COMMENT ON COLUMN usermgmt.member_count.status IS 'Their status in the tenant.';
COMMENT ON COLUMN usermgmt.member_count.logged_in_on IS 'Day of their last login (UTC), -infinity for never; infinity in the counts by role and status.';
COMMENT ON COLUMN usermgmt.member_count.count_id IS 'Id of the row.';
COMMENT ON COLUMN usermgmt.member_count.n IS 'How many more, or less if negative.';
COMMENT ON COLUMN usermgmt.member_count.folded IS 'Whether maintenance has summed it up.';
CREATE INDEX member_count_new ON usermgmt.member_count (tenant_id) WHERE NOT folded;

CREATE FUNCTION usermgmt.member_count_join() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.member_count_join() IS 'Trigger: notes that the tenant has one member more.';
CREATE TRIGGER count_join AFTER INSERT ON usermgmt.membership
	FOR EACH ROW EXECUTE FUNCTION usermgmt.member_count_join();

CREATE FUNCTION usermgmt.member_count_move() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.member_count_move() IS 'Trigger: notes that a member is to be counted elsewhere, in the tenant and in the workspaces.';
CREATE TRIGGER count_move AFTER UPDATE OF role, status, last_login_at ON usermgmt.membership
	FOR EACH ROW EXECUTE FUNCTION usermgmt.member_count_move();

CREATE FUNCTION usermgmt.member_count_leave() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.member_count_leave() IS 'Trigger: notes that the tenant and workspaces have one member less, while the places are still there.';
CREATE TRIGGER count_leave BEFORE DELETE ON usermgmt.membership
	FOR EACH ROW EXECUTE FUNCTION usermgmt.member_count_leave();

CREATE FUNCTION usermgmt.member_count_place() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.member_count_place() IS 'Trigger: notes that a workspace has one member more or less.';
CREATE TRIGGER count_place AFTER INSERT OR DELETE OR UPDATE OF tenant_id, workspace_id, user_id ON usermgmt.workspace_member
	FOR EACH ROW EXECUTE FUNCTION usermgmt.member_count_place();

CREATE FUNCTION usermgmt.member_count_write() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.member_count_write() IS 'Trigger: writes what the statement changed of the counts.';
CREATE TRIGGER count_write AFTER INSERT OR DELETE OR UPDATE OF role, status, last_login_at ON usermgmt.membership
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.member_count_write();
CREATE TRIGGER count_write AFTER INSERT OR DELETE OR UPDATE OF tenant_id, workspace_id, user_id ON usermgmt.workspace_member
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.member_count_write();

CREATE FUNCTION usermgmt.member_count_clear() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.member_count_clear() IS 'Trigger: after a TRUNCATE nobody works in any workspace.';
CREATE TRIGGER count_clear AFTER TRUNCATE ON usermgmt.workspace_member
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.member_count_clear();

-- Internal: who uses a license, each once, of every tenant. How many sessions the window has the
-- planner does not know. Where the deactivated are more than eight times those, each session is
-- looked up by itself, so that the time does not grow with people who have left; where they are
-- fewer it may be cheaper to read them all once. No more sessions are read to tell which it is.
CREATE VIEW usermgmt.license_detail AS
	SELECT t.tenant_id,
		CASE WHEN f.sessions <= d.deactivated / 8 THEN (
			SELECT count(DISTINCT p.user_id)::integer FROM unnest(f.people) AS p (user_id)
			WHERE (
				SELECT true FROM usermgmt.membership AS m
				WHERE m.tenant_id = t.tenant_id AND m.user_id = p.user_id AND m.status = 'deactivated'
			) IS NULL
		) ELSE (
			SELECT count(*)::integer FROM (
				SELECT FROM usermgmt.session AS s
				WHERE s.tenant_id = t.tenant_id AND s.last_used_at > t.since
					AND s.last_used_at < 'infinity' -- a range with two ends: the planner takes it for a short one
					AND NOT EXISTS (
						SELECT FROM usermgmt.membership AS m
						WHERE m.tenant_id = s.tenant_id AND m.user_id = s.user_id AND m.status = 'deactivated'
					)
				GROUP BY s.user_id
			) AS once
		) END AS licensed
	FROM (
		SELECT tenant_id, statement_timestamp() - make_interval(secs => usermgmt.effective_seconds(settings, 'license_window')) AS since
		FROM usermgmt.tenant
	) AS t
	CROSS JOIN LATERAL (
		SELECT greatest(sum(c.n), 0) AS deactivated
		FROM usermgmt.member_count AS c
		WHERE c.tenant_id = t.tenant_id AND c.workspace_id = '00000000-0000-0000-0000-000000000000'
			AND c.role = ANY ('{owner,admin,member}') AND c.status = 'deactivated'
	) AS d
	CROSS JOIN LATERAL (
		SELECT count(*) AS sessions, array_agg(first.user_id) AS people
		FROM (
			SELECT s.user_id FROM usermgmt.session AS s
			WHERE s.tenant_id = t.tenant_id AND s.last_used_at > t.since AND s.last_used_at < 'infinity'
			ORDER BY s.last_used_at -- so that it is read by that index
			LIMIT d.deactivated / 8 + 1
		) AS first
	) AS f;
COMMENT ON VIEW usermgmt.license_detail IS 'Internal: how many people of each tenant use a license: members with access and a session used within license_window, each once.';
COMMENT ON COLUMN usermgmt.license_detail.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.license_detail.licensed IS 'People who use a license now.';

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

-- open -> used | superseded | cancelled, and no way back.
CREATE TABLE usermgmt.email_change (
	change_id uuid NOT NULL,
	user_id uuid NOT NULL REFERENCES usermgmt.account,
	tenant_id uuid NOT NULL REFERENCES usermgmt.tenant,
	old_email text NOT NULL,
	email text NOT NULL,
	canonical_email text NOT NULL,
	state text NOT NULL CHECK (state IN ('open', 'used', 'superseded', 'cancelled')),
	generation integer NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	finished_at timestamptz,
	PRIMARY KEY (change_id, user_id),
	CONSTRAINT a_finished_change_says_when CHECK ((state = 'open') = (finished_at IS NULL))
);
COMMENT ON TABLE usermgmt.email_change IS 'Wishes of people to have another address (email), each confirmed by a link mailed there; the token is derived, never stored.';
COMMENT ON COLUMN usermgmt.email_change.change_id IS 'Id of the wish.';
COMMENT ON COLUMN usermgmt.email_change.user_id IS 'Who wants another address.';
COMMENT ON COLUMN usermgmt.email_change.tenant_id IS 'The tenant in whose session the person asked.';
COMMENT ON COLUMN usermgmt.email_change.old_email IS 'The address at the time.';
COMMENT ON COLUMN usermgmt.email_change.email IS 'The new address, as typed.';
COMMENT ON COLUMN usermgmt.email_change.canonical_email IS 'The new address as it is compared.';
COMMENT ON COLUMN usermgmt.email_change.state IS 'open, used, superseded or cancelled.';
COMMENT ON COLUMN usermgmt.email_change.generation IS 'Raised to void earlier links.';
COMMENT ON COLUMN usermgmt.email_change.created_at IS 'When it was asked for.';
COMMENT ON COLUMN usermgmt.email_change.expires_at IS 'Until when the link works.';
COMMENT ON COLUMN usermgmt.email_change.finished_at IS 'When it was used or voided.';
CREATE UNIQUE INDEX one_open_email_change_per_person ON usermgmt.email_change (user_id) WHERE state = 'open';
CREATE INDEX email_change_recent ON usermgmt.email_change (user_id, created_at);
SELECT usermgmt.audit_attach('usermgmt.email_change', '{email_change,change_id,person:user_id,ignore:canonical_email}');
CREATE TRIGGER address BEFORE INSERT OR UPDATE OF email, canonical_email ON usermgmt.email_change
	FOR EACH ROW EXECUTE FUNCTION usermgmt.address_guard();

CREATE FUNCTION usermgmt.email_change_guard() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.email_change_guard() IS 'Trigger: a wish for another address changes state only as the table of transitions allows.';
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OF state ON usermgmt.email_change
	FOR EACH ROW EXECUTE FUNCTION usermgmt.email_change_guard();

CREATE FUNCTION usermgmt.email_change_follow() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.email_change_follow() IS 'Trigger: a new password or address voids an open wish for another address, a new address also the open links for a new password.';
CREATE TRIGGER email_changes AFTER UPDATE OF email, canonical_email, password_hash, password_version, closed_at ON usermgmt.account
	FOR EACH ROW EXECUTE FUNCTION usermgmt.email_change_follow();

CREATE TABLE usermgmt.role (
	role text NOT NULL PRIMARY KEY,
	rank integer NOT NULL UNIQUE,
	description text NOT NULL
);
COMMENT ON TABLE usermgmt.role IS 'The roles of a tenant; each may do what those of a lower rank may.';
COMMENT ON COLUMN usermgmt.role.role IS 'owner, admin or member.';
COMMENT ON COLUMN usermgmt.role.rank IS 'The higher, the more.';
COMMENT ON COLUMN usermgmt.role.description IS 'What it is for.';

CREATE TABLE usermgmt.permission (
	permission text NOT NULL PRIMARY KEY,
	position integer NOT NULL,
	description text NOT NULL,
	built_in boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE usermgmt.permission IS 'What can be permitted to a role: the shipped ones (built_in), and those that an administrator adds for the application.';
COMMENT ON COLUMN usermgmt.permission.permission IS 'Name of the permission, as has_permission() takes it.';
COMMENT ON COLUMN usermgmt.permission.position IS 'Its place in the list.';
COMMENT ON COLUMN usermgmt.permission.description IS 'What it allows.';
COMMENT ON COLUMN usermgmt.permission.built_in IS 'Whether it was shipped.';

CREATE TABLE usermgmt.role_permission (
	role text NOT NULL REFERENCES usermgmt.role,
	permission text NOT NULL REFERENCES usermgmt.permission ON DELETE CASCADE,
	built_in boolean NOT NULL DEFAULT false,
	PRIMARY KEY (role, permission)
);
COMMENT ON TABLE usermgmt.role_permission IS 'The permission matrix: which role has which permission.';
COMMENT ON COLUMN usermgmt.role_permission.role IS 'The role.';
COMMENT ON COLUMN usermgmt.role_permission.permission IS 'What it may do.';
COMMENT ON COLUMN usermgmt.role_permission.built_in IS 'Whether it was shipped.';
INSERT INTO usermgmt.role (role, rank, description) VALUES
	('member', 1, 'takes part'),
	('admin', 2, 'manages people and settings'),
	('owner', 3, 'everything, billing and ownership included');
INSERT INTO usermgmt.permission (permission, position, description, built_in) VALUES
	('view_own_evidence', 1, 'view own evidence', true),
	('create_evidence', 2, 'create evidence', true),
	('view_org_analytics', 3, 'view analytics of the organization', true),
	('manage_users', 4, 'manage users', true),
	('invite_users', 5, 'invite users', true),
	('edit_org_settings', 6, 'edit settings of the organization', true),
	('manage_billing', 7, 'manage billing', true),
	('transfer_ownership', 8, 'transfer ownership', true);
INSERT INTO usermgmt.role_permission (role, permission, built_in)
	SELECT r.role, p.permission, true
	FROM usermgmt.role AS r
	JOIN usermgmt.permission AS p ON p.position <= CASE r.role WHEN 'member' THEN 2 WHEN 'admin' THEN 6 ELSE 8 END;
SELECT usermgmt.audit_attach('usermgmt.role', '{role,role}');
SELECT usermgmt.audit_attach('usermgmt.permission', '{permission,permission}');
SELECT usermgmt.audit_attach('usermgmt.role_permission', '{role_permission,permission}');

CREATE VIEW usermgmt.role_matrix AS
	SELECT p.permission, p.description,
		bool_or(r.role IS NOT DISTINCT FROM 'owner') AS owner,
		bool_or(r.role IS NOT DISTINCT FROM 'admin') AS admin,
		bool_or(r.role IS NOT DISTINCT FROM 'member') AS member
	FROM usermgmt.permission AS p
	LEFT JOIN usermgmt.role_permission AS r ON r.permission = p.permission
	GROUP BY p.permission, p.description, p.position
	ORDER BY p.position, p.permission;
COMMENT ON VIEW usermgmt.role_matrix IS 'Which role has which permission.';
COMMENT ON COLUMN usermgmt.role_matrix.permission IS 'Name of the permission, as has_permission() takes it.';
COMMENT ON COLUMN usermgmt.role_matrix.description IS 'What it allows.';
COMMENT ON COLUMN usermgmt.role_matrix.owner IS 'Whether owners have it.';
COMMENT ON COLUMN usermgmt.role_matrix.admin IS 'Whether admins have it.';
COMMENT ON COLUMN usermgmt.role_matrix.member IS 'Whether ordinary members have it.';

CREATE FUNCTION usermgmt.has_permission(permission text) RETURNS boolean
	LANGUAGE c STABLE PARALLEL RESTRICTED SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.has_permission(text) IS 'Whether the role of the acting user has this permission, by the view role_matrix; false without a live session; 22023.';

-- Internal: members as the public view shows them, of every tenant.
CREATE VIEW usermgmt.member_detail AS
	SELECT m.user_id, m.tenant_id, a.email, a.name, m.role, m.is_primary_owner, m.status,
		CASE
			WHEN m.last_login_at IS NULL THEN 'never_logged_in'
			WHEN m.last_login_at > t.active_since THEN 'active'
			ELSE 'inactive'
		END AS activity,
		m.joined_at, m.last_login_at, m.last_seen_at,
		usermgmt.relative_time(m.last_seen_at) AS last_active,
		m.deactivated_at, m.deactivated_by, m.deactivation_reason,
		coalesce((
			SELECT jsonb_object_agg(w.slug, p.role)
			FROM usermgmt.workspace_member AS p
			JOIN usermgmt.workspace AS w ON w.tenant_id = p.tenant_id AND w.workspace_id = p.workspace_id
			WHERE p.tenant_id = m.tenant_id AND p.user_id = m.user_id AND w.archived_at IS NULL
		), '{}') AS workspaces,
		m.metadata
	FROM usermgmt.membership AS m
	JOIN (
		SELECT t.tenant_id, threshold.active_since
		FROM usermgmt.tenant AS t
		CROSS JOIN LATERAL (
			SELECT statement_timestamp() - make_interval(secs => usermgmt.effective_seconds(t.settings, 'inactive_after')) AS active_since
			OFFSET 0 -- once for the tenant, not for each member
		) AS threshold
	) AS t ON t.tenant_id = m.tenant_id
	CROSS JOIN LATERAL (SELECT a.email, a.name FROM usermgmt.account AS a WHERE a.user_id = m.user_id LIMIT 1) AS a;
COMMENT ON VIEW usermgmt.member_detail IS 'Every member of every tenant in the columns of the view members.';
COMMENT ON COLUMN usermgmt.member_detail.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.member_detail.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.member_detail.email IS 'Address, as typed.';
COMMENT ON COLUMN usermgmt.member_detail.name IS 'Name, or NULL.';
COMMENT ON COLUMN usermgmt.member_detail.role IS 'owner, admin or member.';
COMMENT ON COLUMN usermgmt.member_detail.is_primary_owner IS 'Whether this is the one primary owner.';
COMMENT ON COLUMN usermgmt.member_detail.status IS 'active or deactivated: whether the person has access.';
COMMENT ON COLUMN usermgmt.member_detail.activity IS 'active, inactive or never_logged_in, by the last login and the setting inactive_after.';
COMMENT ON COLUMN usermgmt.member_detail.joined_at IS 'When the person became a member.';
COMMENT ON COLUMN usermgmt.member_detail.last_login_at IS 'When the person last signed in.';
COMMENT ON COLUMN usermgmt.member_detail.last_seen_at IS 'When the person was last seen; signing in counts.';
COMMENT ON COLUMN usermgmt.member_detail.last_active IS 'The same in words, such as "2 days ago".';
COMMENT ON COLUMN usermgmt.member_detail.deactivated_at IS 'Since when the person has no access.';
COMMENT ON COLUMN usermgmt.member_detail.deactivated_by IS 'Who took it.';
COMMENT ON COLUMN usermgmt.member_detail.deactivation_reason IS 'Why.';
COMMENT ON COLUMN usermgmt.member_detail.workspaces IS 'Workspace roles by workspace slug.';
COMMENT ON COLUMN usermgmt.member_detail.metadata IS 'The application''s own data.';

CREATE FUNCTION usermgmt.member_list_tenant() RETURNS uuid
	LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.member_list_tenant() IS 'The present tenant if the acting user may list its members: an admin, or anybody where members_see_members is on; else NULL.';

-- What only admins and the person should know is NULL for ordinary members. Who
-- asks is found out once (OFFSET 0), as an admin of which tenant.
CREATE VIEW usermgmt.members WITH (security_barrier) AS
	SELECT d.user_id, d.tenant_id, d.email, d.name, d.role, d.is_primary_owner, d.status,
		CASE WHEN d.tenant_id = asker.admin_of OR d.user_id = asker.user_id THEN d.activity END AS activity,
		d.joined_at,
		CASE WHEN d.tenant_id = asker.admin_of OR d.user_id = asker.user_id THEN d.last_login_at END AS last_login_at,
		CASE WHEN d.tenant_id = asker.admin_of OR d.user_id = asker.user_id THEN d.last_seen_at END AS last_seen_at,
		CASE WHEN d.tenant_id = asker.admin_of OR d.user_id = asker.user_id THEN d.last_active END AS last_active,
		CASE WHEN d.tenant_id = asker.admin_of OR d.user_id = asker.user_id THEN d.deactivated_at END AS deactivated_at,
		CASE WHEN d.tenant_id = asker.admin_of OR d.user_id = asker.user_id THEN d.deactivated_by END AS deactivated_by,
		CASE WHEN d.tenant_id = asker.admin_of OR d.user_id = asker.user_id THEN d.deactivation_reason END AS deactivation_reason,
		CASE WHEN d.tenant_id = asker.admin_of OR d.user_id = asker.user_id THEN d.workspaces END AS workspaces,
		CASE WHEN d.tenant_id = asker.admin_of OR d.user_id = asker.user_id THEN d.metadata END AS metadata
	FROM usermgmt.member_detail AS d
	CROSS JOIN (SELECT usermgmt.tenant_as('admin') AS admin_of, usermgmt.current_user_id() AS user_id OFFSET 0) AS asker
	WHERE d.tenant_id = usermgmt.member_list_tenant()
		AND (d.status = 'active' OR d.tenant_id = asker.admin_of)
	ORDER BY d.joined_at, d.user_id;
COMMENT ON VIEW usermgmt.members IS 'The members of the present tenant, for its admins; where members_see_members is on, other members see the active ones, but not their doings.';
COMMENT ON COLUMN usermgmt.members.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.members.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.members.email IS 'Address, as typed.';
COMMENT ON COLUMN usermgmt.members.name IS 'Name, or NULL.';
COMMENT ON COLUMN usermgmt.members.role IS 'owner, admin or member.';
COMMENT ON COLUMN usermgmt.members.is_primary_owner IS 'Whether this is the one primary owner.';
COMMENT ON COLUMN usermgmt.members.status IS 'active or deactivated: whether the person has access.';
COMMENT ON COLUMN usermgmt.members.activity IS 'active, inactive or never_logged_in, by the last login and the setting inactive_after; this and what follows from last_login_at on is NULL for ordinary members but of themselves.';
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
COMMENT ON FUNCTION usermgmt.change_role(uuid, text, text) IS 'An admin gives a member another role, an owner also that of owner; 22023, UM002, UM030, UM037, 42501.';

CREATE FUNCTION usermgmt.deactivate_user(user_id uuid, reason text DEFAULT NULL) RETURNS usermgmt.members
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.deactivate_user(uuid, text) IS 'An admin takes a member''s access at once, every session and open link included; UM002, UM031, UM037.';

CREATE FUNCTION usermgmt.reactivate_user(user_id uuid) RETURNS usermgmt.members
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.reactivate_user(uuid) IS 'An admin gives a deactivated member access again; earlier sessions stay dead; UM002, UM035, UM036.';

CREATE FUNCTION usermgmt.transfer_ownership(new_owner_id uuid, reason text DEFAULT NULL) RETURNS usermgmt.members
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.transfer_ownership(uuid, text) IS 'The primary owner hands the tenant to another active member and becomes admin; 22023, UM002, UM037, 42501.';

CREATE TYPE usermgmt.removal_preview AS (
	sessions integer,
	invitations integer,
	workspaces integer,
	resources jsonb,
	new_owner_id uuid,
	closes_account boolean
);
COMMENT ON TYPE usermgmt.removal_preview IS 'What a removal would take: open sessions, open invitations sent, places in workspaces, rows of attached tables by table and who would own them, and whether it closes the account.';
COMMENT ON COLUMN usermgmt.removal_preview.sessions IS 'How many open sessions would end.';
COMMENT ON COLUMN usermgmt.removal_preview.invitations IS 'How many open invitations of the person would be revoked.';
COMMENT ON COLUMN usermgmt.removal_preview.workspaces IS 'How many places in workspaces would be taken.';
COMMENT ON COLUMN usermgmt.removal_preview.resources IS 'How many rows would go to the new owner, by attached table.';
COMMENT ON COLUMN usermgmt.removal_preview.new_owner_id IS 'Who would own them.';
COMMENT ON COLUMN usermgmt.removal_preview.closes_account IS 'Whether it is the last membership, so that the account would be closed.';

CREATE TYPE usermgmt.removal AS (
	user_id uuid,
	email text,
	sessions integer,
	invitations integer,
	workspaces integer,
	resources jsonb,
	new_owner_id uuid,
	account_closed boolean,
	removed_at timestamptz,
	reason text
);
COMMENT ON TYPE usermgmt.removal IS 'Who was removed, what that ended, and who owns what the person owned.';
COMMENT ON COLUMN usermgmt.removal.user_id IS 'Who was removed.';
COMMENT ON COLUMN usermgmt.removal.email IS 'That person''s address.';
COMMENT ON COLUMN usermgmt.removal.sessions IS 'How many open sessions ended.';
COMMENT ON COLUMN usermgmt.removal.invitations IS 'How many open invitations of the person were revoked.';
COMMENT ON COLUMN usermgmt.removal.workspaces IS 'How many places in workspaces were taken.';
COMMENT ON COLUMN usermgmt.removal.resources IS 'How many rows went to the new owner, by attached table.';
COMMENT ON COLUMN usermgmt.removal.new_owner_id IS 'Who owns them now.';
COMMENT ON COLUMN usermgmt.removal.account_closed IS 'Whether it was the last membership, so that the account was closed.';
COMMENT ON COLUMN usermgmt.removal.removed_at IS 'When.';
COMMENT ON COLUMN usermgmt.removal.reason IS 'Why, as given by the caller.';

CREATE FUNCTION usermgmt.preview_removal(user_id uuid) RETURNS usermgmt.removal_preview
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.preview_removal(uuid) IS 'What remove_user() would do, found by doing and undoing it; UM002, UM031, 42501.';

CREATE FUNCTION usermgmt.remove_user(user_id uuid, transfer_to uuid DEFAULT NULL, reason text DEFAULT NULL, confirm boolean DEFAULT NULL)
	RETURNS usermgmt.removal
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.remove_user(uuid, uuid, text, boolean) IS 'An admin removes a member from the tenant for good, with all sessions, links and places in workspaces; the last membership closes the account; without confirm, UM050 with the preview in DETAIL; 22023, UM002, UM031, UM036, UM037, 55000, 42501.';

CREATE FUNCTION usermgmt.link_previous_account(old_user_id uuid, new_user_id uuid) RETURNS integer
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.link_previous_account(uuid, uuid) IS 'An operator hands the records of a removed person''s closed account to a new account, and learns how many there were; 22023, UM002, UM036.';

CREATE FUNCTION usermgmt.update_profile(name text, locale text DEFAULT NULL) RETURNS usermgmt.members
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.update_profile(text, text) IS 'The acting user changes the own name (an empty one takes it away) and, where locale is given, the language of the own mails; 22023, UM001.';

CREATE FUNCTION usermgmt.request_email_change(new_email text, password text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.request_email_change(text, text) IS 'The acting user asks, with the password, for another address: a link goes to the new one, a notice to the present one, whoever else has the new one; 22023, UM001, UM020, UM022, UM039.';

CREATE FUNCTION usermgmt.confirm_email_change(token text) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.confirm_email_change(text) IS 'The acting user confirms the new address by the link mailed there, once; both addresses are told, open links for a new password end; 23505, UM001, UM010, UM011, UM012, UM014, UM037.';

CREATE TYPE usermgmt.email_change_preview AS (
	old_email text,
	new_email text,
	status text,
	expires_at timestamptz
);
COMMENT ON TYPE usermgmt.email_change_preview IS 'Which address a link would replace by which, and whether it still works: pending, used, superseded, cancelled or expired.';
COMMENT ON COLUMN usermgmt.email_change_preview.old_email IS 'The address to be replaced.';
COMMENT ON COLUMN usermgmt.email_change_preview.new_email IS 'The address to replace it.';
COMMENT ON COLUMN usermgmt.email_change_preview.status IS 'pending, used, superseded, cancelled or expired.';
COMMENT ON COLUMN usermgmt.email_change_preview.expires_at IS 'Until when the link works.';

CREATE FUNCTION usermgmt.preview_email_change(token text) RETURNS usermgmt.email_change_preview
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.preview_email_change(text) IS 'Which address a link would replace by which, and whether it still works; consumes and writes nothing; UM010.';

CREATE FUNCTION usermgmt.set_metadata(kind text, id uuid, metadata jsonb) RETURNS void
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.set_metadata(text, uuid, jsonb) IS 'Replaces what the application keeps about a tenant, workspace, membership (by user id; an admin may) or account (its person and operators may); an object of less than 100 kB; 22023, UM002, 42501.';

CREATE FUNCTION usermgmt.users_json() RETURNS jsonb
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.users_json() IS 'The members of the present tenant and their statistics as {"data": {"users": [...], "stats": {...}}}, for its admins; UM001, 42501.';

CREATE FUNCTION usermgmt.team_json() RETURNS jsonb
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.team_json() IS 'The members of the present tenant as {"users": [...], "total": n}, for its admins; UM001, 42501.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('application', 'function', 'member_list_tenant'),
	('application', 'function', 'has_permission'),
	('application', 'function', 'preview_removal'),
	('application', 'function', 'remove_user'),
	('operator', 'function', 'link_previous_account'),
	('application', 'function', 'update_profile'),
	('application', 'function', 'request_email_change'),
	('application', 'function', 'confirm_email_change'),
	('application', 'function', 'preview_email_change'),
	('operator', 'relation', 'email_change'),
	('application', 'function', 'set_metadata'),
	('application', 'function', 'users_json'),
	('application', 'function', 'team_json'),
	('application', 'relation', 'role_matrix'),
	('auditor', 'relation', 'role_matrix'),
	('operator', 'relation', 'role'),
	('operator', 'relation', 'permission'),
	('operator', 'relation', 'role_permission'),
	('application', 'function', 'change_role'),
	('application', 'function', 'transfer_ownership'),
	('application', 'function', 'deactivate_user'),
	('application', 'function', 'reactivate_user'),
	('application', 'relation', 'members'),
	('operator', 'relation', 'member_count'),
	('operator', 'relation', 'membership');

