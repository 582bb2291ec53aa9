-- pending -> accepted | revoked | declined, and no way back; expired is pending past its time.
CREATE TABLE usermgmt.invitation (
	invitation_id uuid NOT NULL,
	tenant_id uuid NOT NULL REFERENCES usermgmt.tenant,
	email text NOT NULL,
	canonical_email text NOT NULL,
	name text,
	role text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
	message text,
	locale text,
	state text NOT NULL CHECK (state IN ('pending', 'accepted', 'revoked', 'declined')),
	generation integer NOT NULL DEFAULT 0,
	holds_seat boolean NOT NULL DEFAULT true,
	invited_by uuid,
	invited_by_email text,
	created_at timestamptz NOT NULL,
	queued_at timestamptz NOT NULL,
	expires_at timestamptz NOT NULL,
	accepted_at timestamptz,
	accepted_by uuid,
	revoked_at timestamptz,
	revoked_by uuid,
	revoke_reason text,
	declined_at timestamptz,
	reminded_at timestamptz,
	PRIMARY KEY (invitation_id, tenant_id),
	CONSTRAINT accepted_says_when CHECK ((state = 'accepted') = (accepted_at IS NOT NULL)),
	CONSTRAINT accepted_says_by_whom CHECK ((state = 'accepted') = (accepted_by IS NOT NULL)),
	CONSTRAINT revoked_says_when CHECK ((state = 'revoked') = (revoked_at IS NOT NULL)),
	CONSTRAINT declined_says_when CHECK ((state = 'declined') = (declined_at IS NOT NULL)),
	CONSTRAINT only_an_open_invitation_holds_a_seat CHECK (state = 'pending' OR NOT holds_seat),
	CONSTRAINT only_revoked_says_why CHECK (state = 'revoked' OR (revoked_by IS NULL AND revoke_reason IS NULL))
);
COMMENT ON TABLE usermgmt.invitation IS 'Every invitation ever made; its token is derived, never stored, and a raised generation voids earlier links.';
COMMENT ON COLUMN usermgmt.invitation.invitation_id IS 'Id of the invitation.';
COMMENT ON COLUMN usermgmt.invitation.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.invitation.email IS 'Who is invited, as typed.';
COMMENT ON COLUMN usermgmt.invitation.canonical_email IS 'The address as it is compared.';
COMMENT ON COLUMN usermgmt.invitation.name IS 'Name of the invited person, or NULL.';
COMMENT ON COLUMN usermgmt.invitation.role IS 'The role that acceptance gives: owner, admin or member.';
COMMENT ON COLUMN usermgmt.invitation.message IS 'The inviter''s words.';
COMMENT ON COLUMN usermgmt.invitation.locale IS 'The language of its mails; NULL: the tenant''s.';
COMMENT ON COLUMN usermgmt.invitation.state IS 'pending, accepted, revoked or declined.';
COMMENT ON COLUMN usermgmt.invitation.generation IS 'Raised to void earlier links.';
COMMENT ON COLUMN usermgmt.invitation.holds_seat IS 'Whether it reserves a seat.';
COMMENT ON COLUMN usermgmt.invitation.invited_by IS 'Who invited; NULL for an operator.';
COMMENT ON COLUMN usermgmt.invitation.invited_by_email IS 'That person''s address at the time.';
COMMENT ON COLUMN usermgmt.invitation.created_at IS 'When the person was invited.';
COMMENT ON COLUMN usermgmt.invitation.queued_at IS 'When its latest mail was queued, or is to leave.';
COMMENT ON COLUMN usermgmt.invitation.expires_at IS 'Until when it can be accepted.';
COMMENT ON COLUMN usermgmt.invitation.accepted_at IS 'When it was accepted.';
COMMENT ON COLUMN usermgmt.invitation.accepted_by IS 'The person who accepted.';
COMMENT ON COLUMN usermgmt.invitation.revoked_at IS 'When it was revoked.';
COMMENT ON COLUMN usermgmt.invitation.revoked_by IS 'Who revoked it; NULL for an operator.';
COMMENT ON COLUMN usermgmt.invitation.revoke_reason IS 'Why.';
COMMENT ON COLUMN usermgmt.invitation.declined_at IS 'When the invited person declined it.';
COMMENT ON COLUMN usermgmt.invitation.reminded_at IS 'When a reminder was queued.';
CREATE UNIQUE INDEX one_open_invitation_per_address ON usermgmt.invitation (tenant_id, canonical_email) WHERE state = 'pending';
CREATE INDEX invitation_created ON usermgmt.invitation (tenant_id, created_at, invitation_id) INCLUDE (state, expires_at, accepted_at);
CREATE INDEX invitation_unreminded ON usermgmt.invitation (tenant_id, queued_at) WHERE state = 'pending' AND reminded_at IS NULL;
CREATE INDEX invitation_open ON usermgmt.invitation (tenant_id, created_at, invitation_id) WHERE state = 'pending';
CREATE INDEX invitation_expiry ON usermgmt.invitation (tenant_id, expires_at) WHERE state = 'pending';
CREATE INDEX invitation_open_by_inviter ON usermgmt.invitation (invited_by) WHERE state = 'pending' AND invited_by IS NOT NULL;
SELECT usermgmt.audit_attach('usermgmt.invitation', '{invitation,invitation_id,subject:email,ignore:canonical_email,ignore:holds_seat}');

CREATE TRIGGER address BEFORE INSERT OR UPDATE OF email, canonical_email ON usermgmt.invitation
	FOR EACH ROW EXECUTE FUNCTION usermgmt.address_guard();

CREATE FUNCTION usermgmt.invitation_guard() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.invitation_guard() IS 'Trigger: an invitation changes state only as the table of transitions allows, stays in its tenant, is never deleted, and holds a seat while it is open.';
CREATE TRIGGER guard BEFORE INSERT OR DELETE OR UPDATE OF tenant_id, state, expires_at ON usermgmt.invitation
	FOR EACH ROW EXECUTE FUNCTION usermgmt.invitation_guard();

CREATE FUNCTION usermgmt.invitation_inviter_left() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.invitation_inviter_left() IS 'Trigger: the open invitations of whoever left the tenant are revoked.';
CREATE TRIGGER invitations AFTER DELETE ON usermgmt.membership
	FOR EACH ROW EXECUTE FUNCTION usermgmt.invitation_inviter_left();

CREATE FUNCTION usermgmt.invitation_refuse_truncate() RETURNS trigger
	LANGUAGE c AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.invitation_refuse_truncate() IS 'Trigger: invitations are never deleted.';
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON usermgmt.invitation
	FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.invitation_refuse_truncate();

CREATE TABLE usermgmt.invitation_workspace (
	invitation_id uuid NOT NULL,
	tenant_id uuid NOT NULL,
	workspace_id uuid NOT NULL,
	role text NOT NULL CHECK (role IN ('admin', 'member', 'viewer')),
	is_open boolean NOT NULL DEFAULT true,
	PRIMARY KEY (invitation_id, tenant_id, workspace_id),
	FOREIGN KEY (invitation_id, tenant_id) REFERENCES usermgmt.invitation ON DELETE CASCADE,
	FOREIGN KEY (tenant_id, workspace_id) REFERENCES usermgmt.workspace
);
COMMENT ON TABLE usermgmt.invitation_workspace IS 'The places in workspaces that an invitation offers; is_open follows its state, so that counting the open ones touches no history.';
COMMENT ON COLUMN usermgmt.invitation_workspace.invitation_id IS 'The invitation.';
COMMENT ON COLUMN usermgmt.invitation_workspace.tenant_id IS 'Tenant of both.';
COMMENT ON COLUMN usermgmt.invitation_workspace.workspace_id IS 'The workspace that it offers a place in.';
COMMENT ON COLUMN usermgmt.invitation_workspace.role IS 'The role there: admin, member or viewer.';
COMMENT ON COLUMN usermgmt.invitation_workspace.is_open IS 'Whether the invitation is open.';
CREATE INDEX invitation_workspace_open ON usermgmt.invitation_workspace (tenant_id, workspace_id) WHERE is_open;
SELECT usermgmt.audit_attach('usermgmt.invitation_workspace', '{invitation_workspace,invitation_id,ignore:is_open}');

-- The sum of n counts; a change adds rows, maintenance folds them.
CREATE TABLE usermgmt.invitation_count (
	tenant_id uuid NOT NULL,
	expires_on date NOT NULL,
	count_id uuid NOT NULL,
	n integer NOT NULL CONSTRAINT a_count_counts CHECK (n <> 0),
	folded boolean NOT NULL DEFAULT false,
	PRIMARY KEY (tenant_id, expires_on, count_id)
);
COMMENT ON TABLE usermgmt.invitation_count IS 'How many invitations (the sum of n) a tenant has open, by the day on which they expire (UTC; -infinity: more than a week ago), kept by trigger.';
COMMENT ON COLUMN usermgmt.invitation_count.tenant_id IS 'The tenant whose invitations are counted.';
COMMENT ON COLUMN usermgmt.invitation_count.expires_on IS 'Day on which they expire (UTC); -infinity for more than a week ago.';
COMMENT ON COLUMN usermgmt.invitation_count.count_id IS 'Id of the row.';
COMMENT ON COLUMN usermgmt.invitation_count.n IS 'How many more, or less if negative.';
COMMENT ON COLUMN usermgmt.invitation_count.folded IS 'Whether maintenance has summed it up.';
CREATE INDEX invitation_count_new ON usermgmt.invitation_count (tenant_id) WHERE NOT folded;

CREATE FUNCTION usermgmt.invitation_changed() RETURNS trigger
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.invitation_changed() IS 'Trigger: an open invitation is counted, and what it holds on to is free when it is over.';
CREATE TRIGGER consequences AFTER INSERT OR UPDATE OF state, expires_at, holds_seat ON usermgmt.invitation
	FOR EACH ROW EXECUTE FUNCTION usermgmt.invitation_changed();

-- Internal: invitations as the public view shows them, of every tenant; what
-- can be done depends on the role of whoever asks.
CREATE VIEW usermgmt.invitation_detail AS
	SELECT i.invitation_id, i.tenant_id, i.email, i.name, i.role,
		coalesce((
			SELECT jsonb_object_agg(w.slug, p.role)
			FROM usermgmt.invitation_workspace AS p
			JOIN usermgmt.workspace AS w ON w.tenant_id = p.tenant_id AND w.workspace_id = p.workspace_id
			WHERE p.invitation_id = i.invitation_id AND p.tenant_id = i.tenant_id
		), '{}') AS workspaces,
		CASE WHEN i.state = 'pending' AND i.expires_at <= statement_timestamp() THEN 'expired' ELSE i.state END AS status,
		i.message, i.invited_by, i.invited_by_email, i.created_at,
		sent.first_sent_at, sent.last_sent_at, sent.send_count,
		i.expires_at, i.accepted_at, i.accepted_by, i.revoked_at, i.revoked_by, i.revoke_reason,
		last.delivery, last.delivery_detail,
		i.state = 'pending' AND t.suspended_at IS NULL AND usermgmt.has_role(i.role)
			AND t.invitations_enabled
			AND (i.expires_at <= statement_timestamp() AND (i.holds_seat OR usermgmt.seat_is_free())
				OR i.expires_at > statement_timestamp() AND i.queued_at <= t.cooled_down) AS can_resend,
		i.state = 'pending' AND usermgmt.has_role(i.role) AS can_revoke,
		i.declined_at,
		i.state = 'pending' AND i.expires_at > statement_timestamp() AND t.suspended_at IS NULL
			AND (i.invited_by IS NULL
				OR coalesce((
					SELECT m.status = 'active' AND (m.role = 'owner' OR (m.role = 'admin' AND i.role <> 'owner'))
					FROM usermgmt.membership AS m
					WHERE m.tenant_id = i.tenant_id AND m.user_id = i.invited_by
				), false))
			AND NOT EXISTS (
				SELECT FROM usermgmt.account AS a
				JOIN usermgmt.membership AS m ON m.tenant_id = i.tenant_id AND m.user_id = a.user_id
				WHERE a.canonical_email = i.canonical_email AND a.closed_at IS NULL
			) AS can_accept,
		i.state
	FROM usermgmt.invitation AS i
	JOIN (
		SELECT t.tenant_id, t.suspended_at, settings.invitations_enabled, settings.cooled_down
		FROM usermgmt.tenant AS t
		CROSS JOIN LATERAL (
			SELECT usermgmt.effective_switch(t.settings, 'invitations_enabled') AS invitations_enabled,
				statement_timestamp() - make_interval(secs => usermgmt.effective_seconds(t.settings, 'resend_cooldown')) AS cooled_down
			OFFSET 0 -- once for the tenant, not for each invitation
		) AS settings
	) AS t ON t.tenant_id = i.tenant_id
	CROSS JOIN LATERAL (
		SELECT min(o.finished_at) AS first_sent_at, max(o.finished_at) AS last_sent_at, count(*)::integer AS send_count
		FROM usermgmt.outbox AS o
		WHERE o.subject_id = i.invitation_id AND o.tenant_id = i.tenant_id AND o.state = 'sent'
	) AS sent
	LEFT JOIN LATERAL (
		SELECT usermgmt.delivery_of(o) AS delivery, coalesce(o.bounce_detail, o.reply) AS delivery_detail
		FROM usermgmt.outbox AS o
		WHERE o.subject_id = i.invitation_id AND o.tenant_id = i.tenant_id
		ORDER BY o.message_id DESC LIMIT 1
	) AS last ON true;
COMMENT ON VIEW usermgmt.invitation_detail IS 'Every invitation of every tenant in the columns of the view invitations, and its state.';
COMMENT ON COLUMN usermgmt.invitation_detail.invitation_id IS 'Id of the invitation.';
COMMENT ON COLUMN usermgmt.invitation_detail.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.invitation_detail.email IS 'Who is invited, as typed.';
COMMENT ON COLUMN usermgmt.invitation_detail.name IS 'Name of the invited person, or NULL.';
COMMENT ON COLUMN usermgmt.invitation_detail.role IS 'The role that acceptance gives: owner, admin or member.';
COMMENT ON COLUMN usermgmt.invitation_detail.workspaces IS 'Workspace roles that acceptance gives, by workspace slug.';
COMMENT ON COLUMN usermgmt.invitation_detail.status IS 'pending, accepted, expired, revoked or declined.';
COMMENT ON COLUMN usermgmt.invitation_detail.message IS 'The inviter''s words.';
COMMENT ON COLUMN usermgmt.invitation_detail.invited_by IS 'Who invited; NULL for an operator.';
COMMENT ON COLUMN usermgmt.invitation_detail.invited_by_email IS 'That person''s address at the time.';
COMMENT ON COLUMN usermgmt.invitation_detail.created_at IS 'When the person was invited.';
COMMENT ON COLUMN usermgmt.invitation_detail.first_sent_at IS 'When the mail server took the first mail.';
COMMENT ON COLUMN usermgmt.invitation_detail.last_sent_at IS 'When it took the latest one.';
COMMENT ON COLUMN usermgmt.invitation_detail.send_count IS 'How many mails it took.';
COMMENT ON COLUMN usermgmt.invitation_detail.expires_at IS 'Until when it can be accepted.';
COMMENT ON COLUMN usermgmt.invitation_detail.accepted_at IS 'When it was accepted.';
COMMENT ON COLUMN usermgmt.invitation_detail.accepted_by IS 'The person who accepted.';
COMMENT ON COLUMN usermgmt.invitation_detail.revoked_at IS 'When it was revoked.';
COMMENT ON COLUMN usermgmt.invitation_detail.revoked_by IS 'Who revoked it; NULL for an operator.';
COMMENT ON COLUMN usermgmt.invitation_detail.revoke_reason IS 'Why.';
COMMENT ON COLUMN usermgmt.invitation_detail.delivery IS 'The latest mail: queued, scheduled, sent, deferred, failed, bounced or suppressed; NULL when it was cancelled.';
COMMENT ON COLUMN usermgmt.invitation_detail.delivery_detail IS 'The mail server''s last words about it.';
COMMENT ON COLUMN usermgmt.invitation_detail.can_resend IS 'Whether resend_invitation() by the present caller would accept it now.';
COMMENT ON COLUMN usermgmt.invitation_detail.can_revoke IS 'Whether revoke_invitation() would accept it now.';
COMMENT ON COLUMN usermgmt.invitation_detail.declined_at IS 'When the invited person declined it.';
COMMENT ON COLUMN usermgmt.invitation_detail.can_accept IS 'Whether its link works now; not if whoever invited may not invite any more.';
COMMENT ON COLUMN usermgmt.invitation_detail.state IS 'pending, accepted, revoked or declined: what is stored.';

CREATE VIEW usermgmt.invitations WITH (security_barrier) AS
	SELECT invitation_id, tenant_id, email, name, role, workspaces, status, message, invited_by, invited_by_email,
		created_at, first_sent_at, last_sent_at, send_count, expires_at, accepted_at, accepted_by, revoked_at,
		revoked_by, revoke_reason, delivery, delivery_detail, can_resend, can_revoke, declined_at, can_accept
	FROM usermgmt.invitation_detail
	WHERE tenant_id = usermgmt.tenant_as('admin')
	ORDER BY created_at, invitation_id;
COMMENT ON VIEW usermgmt.invitations IS 'All invitations of the present tenant, for its admins.';
COMMENT ON COLUMN usermgmt.invitations.invitation_id IS 'Id of the invitation.';
COMMENT ON COLUMN usermgmt.invitations.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.invitations.email IS 'Who is invited, as typed.';
COMMENT ON COLUMN usermgmt.invitations.name IS 'Name of the invited person, or NULL.';
COMMENT ON COLUMN usermgmt.invitations.role IS 'The role that acceptance gives: owner, admin or member.';
COMMENT ON COLUMN usermgmt.invitations.workspaces IS 'Workspace roles that acceptance gives, by workspace slug.';
COMMENT ON COLUMN usermgmt.invitations.status IS 'pending, accepted, expired, revoked or declined.';
COMMENT ON COLUMN usermgmt.invitations.message IS 'The inviter''s words.';
COMMENT ON COLUMN usermgmt.invitations.invited_by IS 'Who invited; NULL for an operator.';
COMMENT ON COLUMN usermgmt.invitations.invited_by_email IS 'That person''s address at the time.';
COMMENT ON COLUMN usermgmt.invitations.created_at IS 'When the person was invited.';
COMMENT ON COLUMN usermgmt.invitations.first_sent_at IS 'When the mail server took the first mail.';
COMMENT ON COLUMN usermgmt.invitations.last_sent_at IS 'When it took the latest one.';
COMMENT ON COLUMN usermgmt.invitations.send_count IS 'How many mails it took.';
COMMENT ON COLUMN usermgmt.invitations.expires_at IS 'Until when it can be accepted.';
COMMENT ON COLUMN usermgmt.invitations.accepted_at IS 'When it was accepted.';
COMMENT ON COLUMN usermgmt.invitations.accepted_by IS 'The person who accepted.';
COMMENT ON COLUMN usermgmt.invitations.revoked_at IS 'When it was revoked.';
COMMENT ON COLUMN usermgmt.invitations.revoked_by IS 'Who revoked it; NULL for an operator.';
COMMENT ON COLUMN usermgmt.invitations.revoke_reason IS 'Why.';
COMMENT ON COLUMN usermgmt.invitations.delivery IS 'The latest mail: queued, scheduled, sent, deferred, failed, bounced or suppressed; NULL when it was cancelled.';
COMMENT ON COLUMN usermgmt.invitations.delivery_detail IS 'The mail server''s last words about it.';
COMMENT ON COLUMN usermgmt.invitations.can_resend IS 'Whether resend_invitation() by the present caller would accept it now.';
COMMENT ON COLUMN usermgmt.invitations.can_revoke IS 'Whether revoke_invitation() would accept it now.';
COMMENT ON COLUMN usermgmt.invitations.declined_at IS 'When the invited person declined it.';
COMMENT ON COLUMN usermgmt.invitations.can_accept IS 'Whether its link works now; not if whoever invited may not invite any more.';

CREATE VIEW usermgmt.pending_invitations WITH (security_barrier) AS
	SELECT invitation_id, tenant_id, email, name, role, workspaces, status, message, invited_by, invited_by_email,
		created_at, first_sent_at, last_sent_at, send_count, expires_at, accepted_at, accepted_by, revoked_at,
		revoked_by, revoke_reason, delivery, delivery_detail, can_resend, can_revoke, declined_at, can_accept
	FROM usermgmt.invitation_detail
	WHERE tenant_id = usermgmt.tenant_as('admin') AND state = 'pending'
	ORDER BY created_at, invitation_id;
COMMENT ON VIEW usermgmt.pending_invitations IS 'The open invitations of the present tenant, expired ones included, for its admins.';
COMMENT ON COLUMN usermgmt.pending_invitations.invitation_id IS 'Id of the invitation.';
COMMENT ON COLUMN usermgmt.pending_invitations.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.pending_invitations.email IS 'Who is invited, as typed.';
COMMENT ON COLUMN usermgmt.pending_invitations.name IS 'Name of the invited person, or NULL.';
COMMENT ON COLUMN usermgmt.pending_invitations.role IS 'The role that acceptance gives: owner, admin or member.';
COMMENT ON COLUMN usermgmt.pending_invitations.workspaces IS 'Workspace roles that acceptance gives, by workspace slug.';
COMMENT ON COLUMN usermgmt.pending_invitations.status IS 'pending or expired.';
COMMENT ON COLUMN usermgmt.pending_invitations.message IS 'The inviter''s words.';
COMMENT ON COLUMN usermgmt.pending_invitations.invited_by IS 'Who invited; NULL for an operator.';
COMMENT ON COLUMN usermgmt.pending_invitations.invited_by_email IS 'That person''s address at the time.';
COMMENT ON COLUMN usermgmt.pending_invitations.created_at IS 'When the person was invited.';
COMMENT ON COLUMN usermgmt.pending_invitations.first_sent_at IS 'When the mail server took the first mail.';
COMMENT ON COLUMN usermgmt.pending_invitations.last_sent_at IS 'When it took the latest one.';
COMMENT ON COLUMN usermgmt.pending_invitations.send_count IS 'How many mails it took.';
COMMENT ON COLUMN usermgmt.pending_invitations.expires_at IS 'Until when it can be accepted.';
COMMENT ON COLUMN usermgmt.pending_invitations.accepted_at IS 'When it was accepted.';
COMMENT ON COLUMN usermgmt.pending_invitations.accepted_by IS 'The person who accepted.';
COMMENT ON COLUMN usermgmt.pending_invitations.revoked_at IS 'When it was revoked.';
COMMENT ON COLUMN usermgmt.pending_invitations.revoked_by IS 'Who revoked it; NULL for an operator.';
COMMENT ON COLUMN usermgmt.pending_invitations.revoke_reason IS 'Why.';
COMMENT ON COLUMN usermgmt.pending_invitations.delivery IS 'The latest mail: queued, scheduled, sent, deferred, failed, bounced or suppressed; NULL when it was cancelled.';
COMMENT ON COLUMN usermgmt.pending_invitations.delivery_detail IS 'The mail server''s last words about it.';
COMMENT ON COLUMN usermgmt.pending_invitations.can_resend IS 'Whether resend_invitation() would accept it now.';
COMMENT ON COLUMN usermgmt.pending_invitations.can_revoke IS 'Whether revoke_invitation() would accept it now.';
COMMENT ON COLUMN usermgmt.pending_invitations.declined_at IS 'When the invited person declined it.';
COMMENT ON COLUMN usermgmt.pending_invitations.can_accept IS 'Whether its link works now; not if whoever invited may not invite any more.';

CREATE TYPE usermgmt.invitation_preview AS (
	tenant_name text,
	branding jsonb,
	email text,
	role text,
	inviter_name text,
	status text,
	expires_at timestamptz,
	account_exists boolean
);
COMMENT ON TYPE usermgmt.invitation_preview IS 'What a link says before it is used; status is pending, accepted, expired, revoked (also when whoever invited may not any more), declined, superseded or suspended (the tenant).';
COMMENT ON COLUMN usermgmt.invitation_preview.tenant_name IS 'Name of the tenant.';
COMMENT ON COLUMN usermgmt.invitation_preview.branding IS 'How the tenant looks.';
COMMENT ON COLUMN usermgmt.invitation_preview.email IS 'Who is invited, as typed.';
COMMENT ON COLUMN usermgmt.invitation_preview.role IS 'The role that acceptance gives: owner, admin or member.';
COMMENT ON COLUMN usermgmt.invitation_preview.inviter_name IS 'Who invites; NULL when an operator does.';
COMMENT ON COLUMN usermgmt.invitation_preview.status IS 'pending, accepted, expired, revoked (also when whoever invited may not any more), declined, superseded or suspended (the tenant).';
COMMENT ON COLUMN usermgmt.invitation_preview.expires_at IS 'Until when it can be accepted.';
COMMENT ON COLUMN usermgmt.invitation_preview.account_exists IS 'Whether to ask for the account''s password instead of a new one.';

CREATE FUNCTION usermgmt.invite_user(email text, role text DEFAULT NULL, workspaces jsonb DEFAULT NULL, message text DEFAULT NULL,
		expires_in interval DEFAULT NULL, send_at timestamptz DEFAULT NULL, name text DEFAULT NULL, locale text DEFAULT NULL)
	RETURNS usermgmt.invitations
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.invite_user(text, text, jsonb, text, interval, timestamptz, text, text) IS 'An admin invites a person by e-mail, role member by default, never above the own role, in the language of locale where the person has chosen none; 22023, UM002, UM032, UM033, UM034, UM035, UM036, UM038, UM040, UM041, 42501.';

CREATE FUNCTION usermgmt.invite_users(emails text[], role text DEFAULT NULL, workspaces jsonb DEFAULT NULL, message text DEFAULT NULL)
	RETURNS TABLE (email text, invitation_id uuid, outcome text)
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.invite_users(text[], text, jsonb, text) IS 'An admin invites many people at once (at most 10,000); outcome is invited, invalid_address, already_member, already_invited, domain_not_allowed or limit_reached, and one bad address does not stop the others; 22023, UM002, UM036, UM038, UM040, UM041, 42501.';

CREATE FUNCTION usermgmt.resend_invitation(invitation_id uuid, extend boolean DEFAULT NULL) RETURNS usermgmt.invitations
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.resend_invitation(uuid, boolean) IS 'An admin has one more mail sent: pending keeps its expiry unless extend, expired is reopened with a fresh one; UM002, UM035, UM036, UM039, UM040, UM041, 42501.';

CREATE FUNCTION usermgmt.revoke_invitation(invitation_id uuid, reason text DEFAULT NULL) RETURNS usermgmt.invitations
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.revoke_invitation(uuid, text) IS 'An admin takes an open invitation back, its link and its unsent mail with it; UM002, UM036, 42501.';

CREATE FUNCTION usermgmt.change_invitation_role(invitation_id uuid, role text, reason text DEFAULT NULL) RETURNS usermgmt.invitations
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.change_invitation_role(uuid, text, text) IS 'An admin changes the role that acceptance will give, while the invitation is open, never above the own role; 22023, UM002, UM036, UM038, 42501.';

CREATE FUNCTION usermgmt.change_invitation_workspaces(invitation_id uuid, workspaces jsonb) RETURNS usermgmt.invitations
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.change_invitation_workspaces(uuid, jsonb) IS 'An admin changes the places in workspaces that acceptance will give, while the invitation is open; what is not named is taken away; 22023, UM002, UM036, 42501.';

CREATE FUNCTION usermgmt.decline_invitation(token text) RETURNS usermgmt.invitations
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.decline_invitation(text) IS 'The invited person turns the invitation down by its link, for good; UM010 to UM014.';

CREATE FUNCTION usermgmt.invitation_link(invitation_id uuid) RETURNS text
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.invitation_link(uuid) IS 'The link of a pending invitation, for an admin to copy by hand; audited; UM002, UM036, 42501.';

CREATE FUNCTION usermgmt.preview_invitation(token text) RETURNS usermgmt.invitation_preview
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.preview_invitation(text) IS 'What a link offers and whether it still works; consumes and writes nothing; UM010.';

CREATE FUNCTION usermgmt.accept_invitation(token text, password text DEFAULT NULL, name text DEFAULT NULL, ip text DEFAULT NULL, user_agent text DEFAULT NULL)
	RETURNS usermgmt.session_start
	LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.accept_invitation(text, text, text, text, text) IS 'Joins the tenant by a mailed link, once: a new person chooses a password, a known one gives the account''s or has a session bound; an account whose address nobody had proven is taken over; UM010 to UM014, UM021, UM022, UM032, UM041.';

CREATE FUNCTION usermgmt.invitation_json(invitation_id uuid) RETURNS jsonb
	LANGUAGE c STABLE SECURITY DEFINER SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.invitation_json(uuid) IS 'An invitation of the present tenant as {"invitation_id": ..., "email": ..., "status": ..., "expires_at": ...}, for its admins; UM001, UM002, 42501.';

-- A bare UNION ALL would not be a barrier: PostgreSQL pulls it up.
CREATE VIEW usermgmt.people WITH (security_barrier) AS
	SELECT * FROM (
		SELECT m.tenant_id, m.user_id, NULL::uuid AS invitation_id, m.email, m.name, m.role, m.status, m.activity,
			m.joined_at AS since, m.last_login_at, m.last_active, m.workspaces
		FROM usermgmt.member_detail AS m
		WHERE m.tenant_id = usermgmt.tenant_as('admin')
		UNION ALL
		SELECT i.tenant_id, NULL, i.invitation_id, i.email, i.name, i.role,
			CASE i.status WHEN 'pending' THEN 'invited' ELSE i.status END, NULL,
			i.created_at, NULL, NULL, i.workspaces
		FROM usermgmt.invitation_detail AS i
		WHERE i.tenant_id = usermgmt.tenant_as('admin') AND i.state = 'pending'
	) AS everybody;
COMMENT ON VIEW usermgmt.people IS 'Members and open invitations of the present tenant together, for its admins.';
COMMENT ON COLUMN usermgmt.people.tenant_id IS 'Id of the tenant.';
COMMENT ON COLUMN usermgmt.people.user_id IS 'Id of the member; NULL for who is only invited.';
COMMENT ON COLUMN usermgmt.people.invitation_id IS 'Id of the open invitation; NULL for a member.';
COMMENT ON COLUMN usermgmt.people.email IS 'Address, as typed.';
COMMENT ON COLUMN usermgmt.people.name IS 'Name, or NULL.';
COMMENT ON COLUMN usermgmt.people.role IS 'The role, or the one that acceptance gives: owner, admin or member.';
COMMENT ON COLUMN usermgmt.people.status IS 'active, deactivated, invited or expired.';
COMMENT ON COLUMN usermgmt.people.activity IS 'Of members: active, inactive or never_logged_in.';
COMMENT ON COLUMN usermgmt.people.since IS 'When the person joined or was invited.';
COMMENT ON COLUMN usermgmt.people.last_login_at IS 'When the member last signed in.';
COMMENT ON COLUMN usermgmt.people.last_active IS 'When the member was last seen, in words.';
COMMENT ON COLUMN usermgmt.people.workspaces IS 'Workspace roles by workspace slug.';

-- The numbers of members and of open invitations are kept (member_count,
-- invitation_count); of the day on which the threshold of activity falls, the
-- members are looked at, and the invitations that expire today.
CREATE VIEW usermgmt.member_statistics WITH (security_barrier) AS
	SELECT m.total, m.owners, m.admins, m.members, m.owners_and_admins,
		d.logged_in + b.logged_in AS active,
		m.total - m.deactivated - d.never_logged_in - d.logged_in - b.logged_in AS inactive,
		d.never_logged_in, m.deactivated, i.pending_invitations,
		(SELECT l.licensed FROM usermgmt.license_detail AS l WHERE l.tenant_id = t.tenant_id) AS licensed_now,
		m.total - m.deactivated + i.expire_later + e.expire_today AS seats_taken,
		nullif(usermgmt.effective_limit(t.settings, 'seat_limit'), 0) AS seat_limit
	FROM usermgmt.tenant AS t
	CROSS JOIN LATERAL (
		SELECT at, (at AT TIME ZONE 'UTC')::date AS day FROM (
			SELECT statement_timestamp() - make_interval(secs => usermgmt.effective_seconds(t.settings, 'inactive_after')) AS at
			OFFSET 0
		) AS threshold OFFSET 0
	) AS since
	CROSS JOIN (SELECT (statement_timestamp() AT TIME ZONE 'UTC')::date AS day OFFSET 0) AS today
	CROSS JOIN LATERAL (
		SELECT
			coalesce(sum(c.n), 0)::integer AS total,
			coalesce(sum(c.n) FILTER (WHERE c.role = 'owner'), 0)::integer AS owners,
			coalesce(sum(c.n) FILTER (WHERE c.role = 'admin'), 0)::integer AS admins,
			coalesce(sum(c.n) FILTER (WHERE c.role = 'member'), 0)::integer AS members,
			coalesce(sum(c.n) FILTER (WHERE c.role <> 'member'), 0)::integer AS owners_and_admins,
			coalesce(sum(c.n) FILTER (WHERE c.status = 'deactivated'), 0)::integer AS deactivated
		FROM usermgmt.member_count AS c
		WHERE c.tenant_id = t.tenant_id AND c.workspace_id = '00000000-0000-0000-0000-000000000000'
			AND c.role = ANY ('{owner,admin,member}')
	) AS m
	CROSS JOIN LATERAL (
		SELECT
			coalesce(sum(c.n) FILTER (WHERE c.logged_in_on > since.day), 0)::integer AS logged_in,
			coalesce(sum(c.n) FILTER (WHERE c.logged_in_on = '-infinity'), 0)::integer AS never_logged_in
		FROM usermgmt.member_count AS c
		WHERE c.tenant_id = t.tenant_id AND c.workspace_id = '00000000-0000-0000-0000-000000000000'
			AND c.role = 'any' AND c.status = 'active'
			AND (c.logged_in_on > since.day OR c.logged_in_on = '-infinity')
	) AS d
	CROSS JOIN LATERAL (
		SELECT count(*)::integer AS logged_in
		FROM usermgmt.membership AS m
		WHERE m.tenant_id = t.tenant_id AND m.status = 'active' AND m.last_login_at > since.at
			AND m.last_login_at < (since.day + 1)::timestamp AT TIME ZONE 'UTC'
	) AS b
	CROSS JOIN LATERAL (
		SELECT coalesce(sum(c.n), 0)::integer AS pending_invitations,
			coalesce(sum(c.n) FILTER (WHERE c.expires_on > today.day), 0)::integer AS expire_later
		FROM usermgmt.invitation_count AS c
		WHERE c.tenant_id = t.tenant_id
	) AS i
	CROSS JOIN LATERAL (
		SELECT count(*)::integer AS expire_today
		FROM usermgmt.invitation AS i
		WHERE i.tenant_id = t.tenant_id AND i.state = 'pending' AND i.expires_at > statement_timestamp()
			AND i.expires_at < (today.day + 1)::timestamp AT TIME ZONE 'UTC'
	) AS e
	WHERE t.tenant_id = usermgmt.tenant_as('admin');
COMMENT ON VIEW usermgmt.member_statistics IS 'How many members the present tenant has, by role and activity, in one row for its admins.';
COMMENT ON COLUMN usermgmt.member_statistics.total IS 'All members, deactivated ones included.';
COMMENT ON COLUMN usermgmt.member_statistics.owners IS 'Owners.';
COMMENT ON COLUMN usermgmt.member_statistics.admins IS 'Admins.';
COMMENT ON COLUMN usermgmt.member_statistics.members IS 'Regular members.';
COMMENT ON COLUMN usermgmt.member_statistics.owners_and_admins IS 'Owners and admins together.';
COMMENT ON COLUMN usermgmt.member_statistics.active IS 'With access, and logged in within inactive_after.';
COMMENT ON COLUMN usermgmt.member_statistics.inactive IS 'With access, but not logged in for that long.';
COMMENT ON COLUMN usermgmt.member_statistics.never_logged_in IS 'With access, but never logged in.';
COMMENT ON COLUMN usermgmt.member_statistics.deactivated IS 'Without access.';
COMMENT ON COLUMN usermgmt.member_statistics.pending_invitations IS 'Open invitations, expired ones included.';
COMMENT ON COLUMN usermgmt.member_statistics.licensed_now IS 'Active members with a session used within license_window.';
COMMENT ON COLUMN usermgmt.member_statistics.seats_taken IS 'Members with access and invitations that can still be accepted.';
COMMENT ON COLUMN usermgmt.member_statistics.seat_limit IS 'How many seats there are; NULL without a limit.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('application', 'function', 'invite_user'),
	('application', 'function', 'invite_users'),
	('application', 'function', 'change_invitation_workspaces'),
	('application', 'function', 'resend_invitation'),
	('application', 'function', 'revoke_invitation'),
	('application', 'function', 'change_invitation_role'),
	('application', 'function', 'decline_invitation'),
	('application', 'function', 'invitation_link'),
	('application', 'function', 'preview_invitation'),
	('application', 'function', 'accept_invitation'),
	('application', 'relation', 'invitations'),
	('application', 'relation', 'pending_invitations'),
	('application', 'function', 'invitation_json'),
	('application', 'relation', 'people'),
	('application', 'relation', 'member_statistics'),
	('operator', 'relation', 'invitation'),
	('operator', 'relation', 'invitation_count'),
	('operator', 'relation', 'invitation_workspace');

