-- Questions of administrators and auditors as views: what is asked for is computed
-- from what the rooms keep. A tenant's admin sees the own tenant, an auditor or
-- operator without a session and a selected tenant all of them.
CREATE INDEX outbox_delivered ON usermgmt.outbox (tenant_id, subject_id)
	WHERE state = 'sent' AND bounced_at IS NULL AND kind IN ('invitation', 'invitation_reminder');
-- What waits has no finished_at: one index for both.
CREATE INDEX outbox_finished ON usermgmt.outbox (tenant_id, finished_at);
CREATE INDEX outbox_bounced ON usermgmt.outbox (tenant_id, bounced_at) WHERE bounced_at IS NOT NULL;
CREATE INDEX membership_above ON usermgmt.membership (tenant_id, user_id) WHERE role <> 'member';
CREATE INDEX membership_history_left ON usermgmt.membership_history (tenant_id, user_id)
	WHERE status IN ('deactivated', 'removed') AND workspace_id = '00000000-0000-0000-0000-000000000000';

CREATE FUNCTION usermgmt.id_at(at timestamptz) RETURNS uuid
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.id_at(timestamptz) IS 'The least id that could have been made at that moment, to find rows by the time in their ids.';

-- Internal: the tenants whose reports the caller may see. However many there
-- are, the planner expects one (a tenth of an array's ten): so each report goes
-- by index from tenant to tenant, and is too cheap for JIT, which takes longer.
CREATE VIEW usermgmt.report_tenant_detail AS
	SELECT t.tenant_id, t.slug, t.settings, t.created_at
	FROM (
		SELECT u.tenant_id FROM unnest(ARRAY(
			SELECT usermgmt.tenant_as('admin')
			UNION ALL
			SELECT every.tenant_id
			FROM usermgmt.tenant AS every
			WHERE usermgmt.current_tenant_id() IS NULL
				AND usermgmt.acts_without_session()
				AND has_table_privilege('usermgmt.audit_event_detail', 'select')
		)) AS u (tenant_id) LIMIT (SELECT 9223372036854775807)
	) AS seen
	JOIN usermgmt.tenant AS t ON t.tenant_id = seen.tenant_id;
COMMENT ON VIEW usermgmt.report_tenant_detail IS 'The tenants that the caller may see reports of; each report is a barrier of its own.';
COMMENT ON COLUMN usermgmt.report_tenant_detail.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.report_tenant_detail.slug IS 'Its name in addresses.';
COMMENT ON COLUMN usermgmt.report_tenant_detail.settings IS 'Its own settings, by name.';
COMMENT ON COLUMN usermgmt.report_tenant_detail.created_at IS 'When it was created.';

-- Internal: those tenants with their months, in the time zone of the session.
CREATE VIEW usermgmt.report_month_detail AS
	SELECT t.tenant_id, t.slug, m.at
	FROM usermgmt.report_tenant_detail AS t
	CROSS JOIN LATERAL unnest(ARRAY(SELECT generate_series(
		date_trunc('month', least(t.created_at, (SELECT min(i.created_at) FROM usermgmt.invitation AS i WHERE i.tenant_id = t.tenant_id))),
		date_trunc('month', statement_timestamp()), INTERVAL '1 month'))) AS m (at);
COMMENT ON VIEW usermgmt.report_month_detail IS 'Every month since the tenant or its first invitation was made.';
COMMENT ON COLUMN usermgmt.report_month_detail.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.report_month_detail.slug IS 'Its name in addresses.';
COMMENT ON COLUMN usermgmt.report_month_detail.at IS 'Beginning of the month.';

CREATE VIEW usermgmt.report_invitation_funnel WITH (security_barrier) AS
	SELECT m.tenant_id, m.slug AS tenant, m.at::date AS month, f.invited, d.delivered, f.accepted, f.expired, f.revoked, f.declined, f.open,
		round(f.accepted::numeric / nullif(f.invited, 0), 3) AS acceptance_rate
	FROM usermgmt.report_month_detail AS m
	CROSS JOIN LATERAL (
		SELECT count(*)::integer AS invited,
			count(*) FILTER (WHERE i.state = 'accepted')::integer AS accepted,
			count(*) FILTER (WHERE i.state = 'pending' AND i.expires_at <= statement_timestamp())::integer AS expired,
			count(*) FILTER (WHERE i.state = 'revoked')::integer AS revoked,
			count(*) FILTER (WHERE i.state = 'declined')::integer AS declined,
			count(*) FILTER (WHERE i.state = 'pending' AND i.expires_at > statement_timestamp())::integer AS open
		FROM usermgmt.invitation AS i
		WHERE i.tenant_id = m.tenant_id AND i.created_at >= m.at AND i.created_at < m.at + INTERVAL '1 month'
	) AS f
	CROSS JOIN LATERAL (
		SELECT count(*)::integer AS delivered FROM (
			SELECT DISTINCT o.subject_id FROM usermgmt.outbox AS o
			WHERE o.tenant_id = m.tenant_id AND o.kind IN ('invitation', 'invitation_reminder')
				AND o.state = 'sent' AND o.bounced_at IS NULL
				AND o.subject_id >= usermgmt.id_at(m.at) AND o.subject_id < usermgmt.id_at(m.at + INTERVAL '1 month')
		) AS once
	) AS d;
COMMENT ON VIEW usermgmt.report_invitation_funnel IS 'What became of invitations, by tenant and month in which they were made (in the time zone of the session); every month since the tenant exists has a row.';
COMMENT ON COLUMN usermgmt.report_invitation_funnel.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.report_invitation_funnel.tenant IS 'Its slug.';
COMMENT ON COLUMN usermgmt.report_invitation_funnel.month IS 'First day of the month.';
COMMENT ON COLUMN usermgmt.report_invitation_funnel.invited IS 'Invitations made in it.';
COMMENT ON COLUMN usermgmt.report_invitation_funnel.delivered IS 'Of those, by the time in their ids, how many had a mail that a mail server took and that did not come back.';
COMMENT ON COLUMN usermgmt.report_invitation_funnel.accepted IS 'Accepted by now.';
COMMENT ON COLUMN usermgmt.report_invitation_funnel.expired IS 'Not accepted in time; they can be opened again.';
COMMENT ON COLUMN usermgmt.report_invitation_funnel.revoked IS 'Taken back.';
COMMENT ON COLUMN usermgmt.report_invitation_funnel.declined IS 'Turned down.';
COMMENT ON COLUMN usermgmt.report_invitation_funnel.open IS 'Can still be accepted.';
COMMENT ON COLUMN usermgmt.report_invitation_funnel.acceptance_rate IS 'accepted / invited, from 0 to 1; NULL where nobody was invited.';

CREATE VIEW usermgmt.report_time_to_accept WITH (security_barrier) AS
	SELECT m.tenant_id, m.slug AS tenant, m.at::date AS month, a.accepted,
		make_interval(secs => a.part[1]) AS median, make_interval(secs => a.mean) AS mean, make_interval(secs => a.part[2]) AS p90
	FROM (
		SELECT tenant_id, slug, at, at AS since, at + INTERVAL '1 month' AS until FROM usermgmt.report_month_detail
		UNION ALL
		SELECT tenant_id, slug, NULL, '-infinity', 'infinity' FROM usermgmt.report_tenant_detail
	) AS m
	CROSS JOIN LATERAL (
		SELECT count(*)::integer AS accepted, avg(taken.secs) AS mean, percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY taken.secs) AS part
		FROM (
			SELECT date_part('epoch', i.accepted_at - i.created_at) AS secs
			FROM usermgmt.invitation AS i
			WHERE i.tenant_id = m.tenant_id AND i.state = 'accepted' AND i.created_at >= m.since AND i.created_at < m.until
			OFFSET 0
		) AS taken
	) AS a;
COMMENT ON VIEW usermgmt.report_time_to_accept IS 'How long people took to accept, by tenant and month of the invitation (in the time zone of the session); and in a row with month NULL for all months together.';
COMMENT ON COLUMN usermgmt.report_time_to_accept.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.report_time_to_accept.tenant IS 'Its slug.';
COMMENT ON COLUMN usermgmt.report_time_to_accept.month IS 'First day of the month in which they were invited; NULL for all months.';
COMMENT ON COLUMN usermgmt.report_time_to_accept.accepted IS 'How many accepted.';
COMMENT ON COLUMN usermgmt.report_time_to_accept.median IS 'Half of them took at most this long; NULL where nobody accepted.';
COMMENT ON COLUMN usermgmt.report_time_to_accept.mean IS 'The average.';
COMMENT ON COLUMN usermgmt.report_time_to_accept.p90 IS 'Nine of ten took at most this long.';

CREATE VIEW usermgmt.report_open_invitations WITH (security_barrier) AS
	SELECT t.tenant_id, t.slug AS tenant, i.invitation_id, i.email, i.name, i.role,
		CASE WHEN i.expires_at <= statement_timestamp() THEN 'expired' ELSE 'pending' END AS status,
		i.created_at, floor(date_part('epoch', statement_timestamp() - i.created_at) / 86400)::integer AS days_open,
		i.expires_at, i.invited_by, i.invited_by_email, last.delivery, last.created_at AS last_mail_at
	FROM usermgmt.report_tenant_detail AS t
	JOIN usermgmt.invitation AS i ON i.tenant_id = t.tenant_id AND i.state = 'pending'
		AND i.created_at < statement_timestamp() - INTERVAL '72 hours'
	LEFT JOIN LATERAL (
		SELECT usermgmt.delivery_of(o) AS delivery, o.created_at
		FROM usermgmt.outbox AS o
		WHERE o.subject_id = i.invitation_id AND o.tenant_id = i.tenant_id
		ORDER BY o.message_id DESC LIMIT 1
	) AS last ON true;
COMMENT ON VIEW usermgmt.report_open_invitations IS 'Invitations that nobody has accepted for more than three days, to follow up.';
COMMENT ON COLUMN usermgmt.report_open_invitations.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.report_open_invitations.tenant IS 'Its slug.';
COMMENT ON COLUMN usermgmt.report_open_invitations.invitation_id IS 'Id of the invitation, for resend_invitation() and revoke_invitation().';
COMMENT ON COLUMN usermgmt.report_open_invitations.email IS 'Who is invited.';
COMMENT ON COLUMN usermgmt.report_open_invitations.name IS 'Name, or NULL.';
COMMENT ON COLUMN usermgmt.report_open_invitations.role IS 'The role that acceptance gives.';
COMMENT ON COLUMN usermgmt.report_open_invitations.status IS 'pending or expired.';
COMMENT ON COLUMN usermgmt.report_open_invitations.created_at IS 'When the person was invited.';
COMMENT ON COLUMN usermgmt.report_open_invitations.days_open IS 'Full days since then.';
COMMENT ON COLUMN usermgmt.report_open_invitations.expires_at IS 'Until when it can be accepted.';
COMMENT ON COLUMN usermgmt.report_open_invitations.invited_by IS 'Who invited; NULL for an operator.';
COMMENT ON COLUMN usermgmt.report_open_invitations.invited_by_email IS 'That person''s address at the time.';
COMMENT ON COLUMN usermgmt.report_open_invitations.delivery IS 'The latest mail, as in the view invitations.';
COMMENT ON COLUMN usermgmt.report_open_invitations.last_mail_at IS 'When that mail was queued.';

CREATE VIEW usermgmt.report_inactive_members WITH (security_barrier) AS
	SELECT t.tenant_id, t.slug AS tenant, m.user_id, a.email, a.name, m.role,
		CASE WHEN m.last_login_at IS NULL THEN 'never_logged_in' ELSE 'inactive' END AS activity,
		m.joined_at, m.last_login_at,
		floor(date_part('epoch', statement_timestamp() - coalesce(m.last_login_at, m.joined_at)) / 86400)::integer AS days_inactive
	FROM (
		SELECT r.*, statement_timestamp() - make_interval(secs => usermgmt.effective_seconds(r.settings, 'inactive_after')) AS since
		FROM usermgmt.report_tenant_detail AS r OFFSET 0
	) AS t
	JOIN usermgmt.membership AS m ON m.tenant_id = t.tenant_id AND m.status = 'active'
		AND (m.last_login_at <= t.since OR m.last_login_at IS NULL)
	JOIN usermgmt.account AS a ON a.user_id = m.user_id;
COMMENT ON VIEW usermgmt.report_inactive_members IS 'Members with access who have not logged in for inactive_after, or never: candidates for deactivation.';
COMMENT ON COLUMN usermgmt.report_inactive_members.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.report_inactive_members.tenant IS 'Its slug.';
COMMENT ON COLUMN usermgmt.report_inactive_members.user_id IS 'Id of the person, for deactivate_user().';
COMMENT ON COLUMN usermgmt.report_inactive_members.email IS 'Address.';
COMMENT ON COLUMN usermgmt.report_inactive_members.name IS 'Name, or NULL.';
COMMENT ON COLUMN usermgmt.report_inactive_members.role IS 'owner, admin or member.';
COMMENT ON COLUMN usermgmt.report_inactive_members.activity IS 'inactive or never_logged_in.';
COMMENT ON COLUMN usermgmt.report_inactive_members.joined_at IS 'When the person became a member.';
COMMENT ON COLUMN usermgmt.report_inactive_members.last_login_at IS 'When the person last signed in.';
COMMENT ON COLUMN usermgmt.report_inactive_members.days_inactive IS 'Full days since then, or since joining.';

CREATE VIEW usermgmt.report_role_review WITH (security_barrier) AS
	SELECT t.tenant_id, t.slug AS tenant, m.user_id, a.email, a.name, m.role, m.is_primary_owner, m.status,
		CASE
			WHEN m.last_login_at IS NULL THEN 'never_logged_in'
			WHEN m.last_login_at > statement_timestamp() - make_interval(secs => usermgmt.effective_seconds(t.settings, 'inactive_after')) THEN 'active'
			ELSE 'inactive'
		END AS activity,
		m.last_login_at, lower(h.valid) AS since, c.owners, c.admins, c.members, c.deactivated
	FROM usermgmt.report_tenant_detail AS t
	JOIN usermgmt.membership AS m ON m.tenant_id = t.tenant_id AND m.role <> 'member'
	JOIN usermgmt.account AS a ON a.user_id = m.user_id
	CROSS JOIN LATERAL (
		SELECT coalesce(sum(n.n) FILTER (WHERE n.role = 'owner'), 0)::integer AS owners,
			coalesce(sum(n.n) FILTER (WHERE n.role = 'admin'), 0)::integer AS admins,
			coalesce(sum(n.n) FILTER (WHERE n.role = 'member'), 0)::integer AS members,
			coalesce(sum(n.n) FILTER (WHERE n.status = 'deactivated'), 0)::integer AS deactivated
		FROM usermgmt.member_count AS n WHERE n.tenant_id = t.tenant_id AND n.workspace_id = '00000000-0000-0000-0000-000000000000'
			AND n.role = ANY ('{owner,admin,member}') OFFSET 0
	) AS c
	LEFT JOIN usermgmt.membership_history AS h ON h.tenant_id = m.tenant_id AND h.user_id = m.user_id
		AND h.workspace_id = '00000000-0000-0000-0000-000000000000' AND upper_inf(h.valid);
COMMENT ON VIEW usermgmt.report_role_review IS 'Everybody above member, whether they are active themselves, and how many people of each role the tenant has.';
COMMENT ON COLUMN usermgmt.report_role_review.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.report_role_review.tenant IS 'Its slug.';
COMMENT ON COLUMN usermgmt.report_role_review.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.report_role_review.email IS 'Address.';
COMMENT ON COLUMN usermgmt.report_role_review.name IS 'Name, or NULL.';
COMMENT ON COLUMN usermgmt.report_role_review.role IS 'owner or admin.';
COMMENT ON COLUMN usermgmt.report_role_review.is_primary_owner IS 'Whether this is the one primary owner.';
COMMENT ON COLUMN usermgmt.report_role_review.status IS 'active or deactivated: whether the person has access.';
COMMENT ON COLUMN usermgmt.report_role_review.activity IS 'active, inactive or never_logged_in, by the last login and inactive_after.';
COMMENT ON COLUMN usermgmt.report_role_review.last_login_at IS 'When the person last signed in.';
COMMENT ON COLUMN usermgmt.report_role_review.since IS 'Since when role and status are these; access_history() says who gave them.';
COMMENT ON COLUMN usermgmt.report_role_review.owners IS 'Owners of the tenant.';
COMMENT ON COLUMN usermgmt.report_role_review.admins IS 'Its admins.';
COMMENT ON COLUMN usermgmt.report_role_review.members IS 'Its other members.';
COMMENT ON COLUMN usermgmt.report_role_review.deactivated IS 'Of all those, people without access.';

CREATE VIEW usermgmt.report_license_use WITH (security_barrier) AS
	SELECT t.tenant_id, t.slug AS tenant, coalesce(t.settings ->> 'license_tier', current_setting('usermgmt.license_tier', true)) AS license_tier,
		u.licensed, c.members_with_access, round(u.licensed::numeric / nullif(c.members_with_access, 0), 3) AS used_share,
		nullif(usermgmt.effective_limit(t.settings, 'seat_limit'), 0) AS seat_limit,
		make_interval(secs => usermgmt.effective_seconds(t.settings, 'license_window')) AS license_window
	FROM usermgmt.report_tenant_detail AS t
	CROSS JOIN LATERAL (
		SELECT coalesce(sum(n.n), 0)::integer AS members_with_access
		FROM usermgmt.member_count AS n WHERE n.tenant_id = t.tenant_id AND n.workspace_id = '00000000-0000-0000-0000-000000000000'
			AND n.role = ANY ('{owner,admin,member}') AND n.status = 'active'
	) AS c
	JOIN usermgmt.license_detail AS u ON u.tenant_id = t.tenant_id;
COMMENT ON VIEW usermgmt.report_license_use IS 'How many people use a license: members with access and a session used within license_window (24 hours), each once; a row per tenant.';
COMMENT ON COLUMN usermgmt.report_license_use.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.report_license_use.tenant IS 'Its slug.';
COMMENT ON COLUMN usermgmt.report_license_use.license_tier IS 'The license, as the application names it; every member may read it.';
COMMENT ON COLUMN usermgmt.report_license_use.licensed IS 'People who use a license now.';
COMMENT ON COLUMN usermgmt.report_license_use.members_with_access IS 'Members who could.';
COMMENT ON COLUMN usermgmt.report_license_use.used_share IS 'licensed / members_with_access; NULL without members.';
COMMENT ON COLUMN usermgmt.report_license_use.seat_limit IS 'How many seats there are; NULL without a limit.';
COMMENT ON COLUMN usermgmt.report_license_use.license_window IS 'The time that counts.';

CREATE VIEW usermgmt.report_delivery WITH (security_barrier) AS
	SELECT t.tenant_id, t.slug AS tenant, m.kind,
		count(*) FILTER (WHERE m.delivery IN ('queued', 'scheduled'))::integer AS queued,
		count(*) FILTER (WHERE m.delivery = 'deferred')::integer AS deferred,
		count(*) FILTER (WHERE m.delivery = 'sent')::integer AS sent,
		count(*) FILTER (WHERE m.delivery = 'bounced')::integer AS bounced,
		count(*) FILTER (WHERE m.delivery = 'failed')::integer AS failed,
		count(*) FILTER (WHERE m.delivery = 'suppressed')::integer AS suppressed,
		count(*) FILTER (WHERE m.delivery IS NULL)::integer AS cancelled,
		statement_timestamp() - min(m.due_at) FILTER (WHERE m.finished_at IS NULL AND m.due_at <= statement_timestamp()) AS oldest_age
	FROM usermgmt.report_tenant_detail AS t
	JOIN LATERAL (
		SELECT o.kind, usermgmt.delivery_of(o) AS delivery, o.due_at, o.finished_at
		FROM usermgmt.outbox AS o
		WHERE o.tenant_id = t.tenant_id AND o.finished_at > statement_timestamp() - INTERVAL '720 hours'
		UNION ALL
		SELECT o.kind, usermgmt.delivery_of(o), o.due_at, o.finished_at
		FROM usermgmt.outbox AS o
		WHERE o.tenant_id = t.tenant_id AND o.finished_at IS NULL
	) AS m ON true
	GROUP BY t.tenant_id, t.slug, m.kind;
COMMENT ON VIEW usermgmt.report_delivery IS 'What became of the mails of the last 30 days, and what waits, by tenant and kind.';
COMMENT ON COLUMN usermgmt.report_delivery.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.report_delivery.tenant IS 'Its slug.';
COMMENT ON COLUMN usermgmt.report_delivery.kind IS 'The kind of mail, as in the view mail_queue.';
COMMENT ON COLUMN usermgmt.report_delivery.queued IS 'Waiting to be sent, also for a later date.';
COMMENT ON COLUMN usermgmt.report_delivery.deferred IS 'Tried, and waiting for another try.';
COMMENT ON COLUMN usermgmt.report_delivery.sent IS 'Taken by a mail server.';
COMMENT ON COLUMN usermgmt.report_delivery.bounced IS 'Came back after that.';
COMMENT ON COLUMN usermgmt.report_delivery.failed IS 'Given up.';
COMMENT ON COLUMN usermgmt.report_delivery.suppressed IS 'Not sent, because the address had bounced for good.';
COMMENT ON COLUMN usermgmt.report_delivery.cancelled IS 'Not wanted any more before it was sent.';
COMMENT ON COLUMN usermgmt.report_delivery.oldest_age IS 'How long the mail that waits longest has been due; NULL if none is.';

CREATE VIEW usermgmt.report_bounces WITH (security_barrier) AS
	SELECT t.tenant_id, t.slug AS tenant, o.message_id, o.kind, o.recipient, o.recipient_name, o.finished_at AS sent_at, o.bounced_at, o.bounce_detail,
		EXISTS (
			SELECT FROM usermgmt.address_suppression AS s WHERE s.address = lower(o.recipient COLLATE "C")
		) AS suppressed
	FROM usermgmt.report_tenant_detail AS t
	JOIN usermgmt.outbox AS o ON o.tenant_id = t.tenant_id AND o.bounced_at IS NOT NULL;
COMMENT ON VIEW usermgmt.report_bounces IS 'Mails that came back, and whether the address still gets mail.';
COMMENT ON COLUMN usermgmt.report_bounces.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.report_bounces.tenant IS 'Its slug.';
COMMENT ON COLUMN usermgmt.report_bounces.message_id IS 'Id of the mail.';
COMMENT ON COLUMN usermgmt.report_bounces.kind IS 'Its kind.';
COMMENT ON COLUMN usermgmt.report_bounces.recipient IS 'Where it went to.';
COMMENT ON COLUMN usermgmt.report_bounces.recipient_name IS 'The name beside the address.';
COMMENT ON COLUMN usermgmt.report_bounces.sent_at IS 'When a mail server took it.';
COMMENT ON COLUMN usermgmt.report_bounces.bounced_at IS 'When it came back.';
COMMENT ON COLUMN usermgmt.report_bounces.bounce_detail IS 'What the bounce said.';
COMMENT ON COLUMN usermgmt.report_bounces.suppressed IS 'Whether mail to the address is held back since.';

CREATE VIEW usermgmt.report_admin_activity WITH (security_barrier) AS
	SELECT t.tenant_id, t.slug AS tenant, m.user_id, a.email, a.name, m.role, m.status, m.last_login_at,
		coalesce(e.acts, 0) AS acts, coalesce(e.invitations, 0) AS invitations, coalesce(e.role_changes, 0) AS role_changes,
		coalesce(e.deactivations, 0) AS deactivations, coalesce(e.removals, 0) AS removals, e.last_act_at
	FROM usermgmt.report_tenant_detail AS t
	JOIN usermgmt.membership AS m ON m.tenant_id = t.tenant_id AND m.role <> 'member'
	JOIN usermgmt.account AS a ON a.user_id = m.user_id
	LEFT JOIN LATERAL (
		SELECT e.actor_user_id, count(*)::integer AS acts,
			count(*) FILTER (WHERE e.action = 'invitation.created')::integer AS invitations,
			count(*) FILTER (WHERE e.action = 'user.role_changed')::integer AS role_changes,
			count(*) FILTER (WHERE e.action = 'user.deactivated')::integer AS deactivations,
			count(*) FILTER (WHERE e.action = 'user.removed')::integer AS removals,
			max(e.occurred_at) AS last_act_at
		FROM usermgmt.audit_event AS e
		WHERE e.tenant_id = t.tenant_id AND e.event_id >= usermgmt.id_at(statement_timestamp() - INTERVAL '720 hours')
			AND e.object_type <> 'session' AND e.actor_user_id IS NOT NULL AND e.subject_email IS DISTINCT FROM e.actor_email
		GROUP BY e.actor_user_id
	) AS e ON e.actor_user_id = m.user_id;
COMMENT ON VIEW usermgmt.report_admin_activity IS 'What everybody above member did within 30 days, who did nothing included.';
COMMENT ON COLUMN usermgmt.report_admin_activity.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.report_admin_activity.tenant IS 'Its slug.';
COMMENT ON COLUMN usermgmt.report_admin_activity.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.report_admin_activity.email IS 'Address.';
COMMENT ON COLUMN usermgmt.report_admin_activity.name IS 'Name, or NULL.';
COMMENT ON COLUMN usermgmt.report_admin_activity.role IS 'owner or admin.';
COMMENT ON COLUMN usermgmt.report_admin_activity.status IS 'active or deactivated.';
COMMENT ON COLUMN usermgmt.report_admin_activity.last_login_at IS 'When the person last signed in.';
COMMENT ON COLUMN usermgmt.report_admin_activity.acts IS 'Events of the trail that the person brought about; sessions and what concerns the person itself do not count.';
COMMENT ON COLUMN usermgmt.report_admin_activity.invitations IS 'Of those, invitations made.';
COMMENT ON COLUMN usermgmt.report_admin_activity.role_changes IS 'Roles changed.';
COMMENT ON COLUMN usermgmt.report_admin_activity.deactivations IS 'People deactivated.';
COMMENT ON COLUMN usermgmt.report_admin_activity.removals IS 'People removed.';
COMMENT ON COLUMN usermgmt.report_admin_activity.last_act_at IS 'When the last of them was; NULL if there was none.';

-- The addresses are those that known_email() gives, which the readers of a view
-- may not call.
CREATE VIEW usermgmt.report_leavers WITH (security_barrier) AS
	SELECT t.tenant_id, t.slug AS tenant, h.user_id,
		CASE WHEN a.closed_at IS NOT NULL OR present.here THEN a.email ELSE (
			SELECT i.email FROM usermgmt.invitation AS i
			WHERE i.accepted_by = h.user_id AND i.tenant_id = t.tenant_id AND i.state = 'accepted'
			ORDER BY i.accepted_at DESC LIMIT 1
		) END AS email,
		CASE WHEN a.closed_at IS NOT NULL OR present.here THEN a.name END AS name, h.status AS how, before.role,
		lower(h.valid) AS left_at, upper(h.valid) AS back_at, h.changed_by,
		(
			SELECT CASE WHEN b.closed_at IS NOT NULL OR EXISTS (
					SELECT FROM usermgmt.membership AS m WHERE m.tenant_id = t.tenant_id AND m.user_id = h.changed_by
				) THEN b.email ELSE (
					SELECT i.email FROM usermgmt.invitation AS i
					WHERE i.accepted_by = h.changed_by AND i.tenant_id = t.tenant_id AND i.state = 'accepted'
					ORDER BY i.accepted_at DESC LIMIT 1
				) END
			FROM usermgmt.account AS b
			WHERE b.user_id = h.changed_by
		) AS changed_by_email, h.database_role, h.reason,
		before.workspaces_left,
		CASE WHEN h.status = 'removed' THEN (
			SELECT jsonb_object_agg(c.action, c.n) FROM (
				SELECT e.action, count(*) AS n FROM (
					SELECT e.action FROM usermgmt.audit_event AS e
					WHERE e.epoch = (SELECT i.epoch FROM usermgmt.installation AS i) AND e.transaction_id = h.transaction_id
						AND e.tenant_id = h.tenant_id AND e.occurred_at <= lower(h.valid) AND e.occurred_at > lower(h.valid) - INTERVAL '1 day'
					LIMIT 1000
				) AS e GROUP BY e.action
			) AS c
		) END AS handed_over,
		a.closed_at AS account_closed_at, a.successor_id, h.transaction_id::text AS transaction_id
	FROM usermgmt.report_tenant_detail AS t
	JOIN usermgmt.membership_history AS h ON h.tenant_id = t.tenant_id AND h.status IN ('deactivated', 'removed')
		AND h.workspace_id = '00000000-0000-0000-0000-000000000000' AND h.user_id <> '00000000-0000-0000-0000-000000000000'
	JOIN usermgmt.account AS a ON a.user_id = h.user_id
	CROSS JOIN LATERAL (
		SELECT EXISTS (SELECT FROM usermgmt.membership AS m WHERE m.tenant_id = t.tenant_id AND m.user_id = h.user_id) AS here
	) AS present
	CROSS JOIN LATERAL (
		SELECT (array_agg(x.role ORDER BY x.valid DESC) FILTER (WHERE x.workspace_id = h.workspace_id AND x.valid < h.valid))[1] AS role,
			count(*) FILTER (WHERE x.workspace_id <> h.workspace_id AND x.status = 'removed' AND lower(x.valid) = lower(h.valid))::integer AS workspaces_left
		FROM usermgmt.membership_history AS x
		WHERE x.tenant_id = h.tenant_id AND x.user_id = h.user_id
	) AS before
	WHERE before.role IS NOT NULL;
COMMENT ON VIEW usermgmt.report_leavers IS 'Everybody who lost access, by removal or deactivation, in the past or now.';
COMMENT ON COLUMN usermgmt.report_leavers.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.report_leavers.tenant IS 'Its slug.';
COMMENT ON COLUMN usermgmt.report_leavers.user_id IS 'Id of the person.';
COMMENT ON COLUMN usermgmt.report_leavers.email IS 'Address.';
COMMENT ON COLUMN usermgmt.report_leavers.name IS 'Name, or NULL.';
COMMENT ON COLUMN usermgmt.report_leavers.how IS 'removed or deactivated.';
COMMENT ON COLUMN usermgmt.report_leavers.role IS 'The role before.';
COMMENT ON COLUMN usermgmt.report_leavers.left_at IS 'When the access ended.';
COMMENT ON COLUMN usermgmt.report_leavers.back_at IS 'When that was over: reactivated, invited again, or (deactivated) removed; NULL while it lasts.';
COMMENT ON COLUMN usermgmt.report_leavers.changed_by IS 'Who ended it; NULL for an operator or plain SQL.';
COMMENT ON COLUMN usermgmt.report_leavers.changed_by_email IS 'That person''s address.';
COMMENT ON COLUMN usermgmt.report_leavers.database_role IS 'The database role of the connection.';
COMMENT ON COLUMN usermgmt.report_leavers.reason IS 'Why.';
COMMENT ON COLUMN usermgmt.report_leavers.workspaces_left IS 'Places in workspaces that ended with it.';
COMMENT ON COLUMN usermgmt.report_leavers.handed_over IS 'Of a removal: what its transaction did, as the trail has it, by action and number, rows of the application''s audited tables included; at most 1,000 events are counted, none from before a restore.';
COMMENT ON COLUMN usermgmt.report_leavers.account_closed_at IS 'When the account was closed, if it is.';
COMMENT ON COLUMN usermgmt.report_leavers.successor_id IS 'The account that its records were handed to, by link_previous_account().';
COMMENT ON COLUMN usermgmt.report_leavers.transaction_id IS 'The transaction, as in audit_trail.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('application', 'relation', 'report_invitation_funnel'),
	('auditor', 'relation', 'report_invitation_funnel'),
	('application', 'relation', 'report_time_to_accept'),
	('auditor', 'relation', 'report_time_to_accept'),
	('application', 'relation', 'report_open_invitations'),
	('auditor', 'relation', 'report_open_invitations'),
	('application', 'relation', 'report_inactive_members'),
	('auditor', 'relation', 'report_inactive_members'),
	('application', 'relation', 'report_role_review'),
	('auditor', 'relation', 'report_role_review'),
	('application', 'relation', 'report_license_use'),
	('auditor', 'relation', 'report_license_use'),
	('application', 'relation', 'report_delivery'),
	('auditor', 'relation', 'report_delivery'),
	('application', 'relation', 'report_bounces'),
	('auditor', 'relation', 'report_bounces'),
	('application', 'relation', 'report_admin_activity'),
	('auditor', 'relation', 'report_admin_activity'),
	('application', 'relation', 'report_leavers'),
	('auditor', 'relation', 'report_leavers'),
	('application', 'function', 'id_at'),
	('auditor', 'function', 'id_at'),
	('auditor', 'function', 'effective_seconds'),
	('auditor', 'function', 'effective_limit'),
	('auditor', 'function', 'delivery_of');
