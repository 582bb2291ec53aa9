-- Inviting, mailing again, taking back, accepting.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT status FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example', 'Olivia');
SELECT substring(text_body FROM 'token=(\S+)') AS token FROM usermgmt.outbox_claim('psql') \gset
SELECT usermgmt.reset_password(:'token', 'correct horse battery');
SELECT session_token AS olivia FROM usermgmt.log_in('olivia@acme.example', 'correct horse battery') \gset
SELECT role FROM usermgmt.use_session(:'olivia');

-- Only an address is needed.
\x on
SELECT email, name, role, workspaces, status, message, invited_by_email, first_sent_at, last_sent_at, send_count,
	expires_at - created_at AS lives, accepted_at, accepted_by, revoked_at, revoked_by, revoke_reason,
	delivery, delivery_detail, can_resend, can_revoke
FROM usermgmt.invite_user('Eva@Example.org');
\x off
SELECT email, role, status, expires_at - created_at AS lives
FROM usermgmt.invite_user('ida@example.org', role => 'admin', message => 'Welcome!', expires_in => '72 hours', name => 'Ida');
SELECT delivery, can_resend FROM usermgmt.invite_user('paul@example.org', send_at => now() + interval '3 days');

-- What is refused, and what to do about it.
SELECT usermgmt.invite_user('eva@example.org');
\echo :SQLSTATE
SELECT usermgmt.invite_user('olivia@acme.example');
\echo :SQLSTATE
SELECT usermgmt.invite_user('otto@example.org', role => 'owner');
\echo :SQLSTATE
SELECT usermgmt.invite_user('otto@example.org', role => 'guest');
\echo :SQLSTATE
SELECT usermgmt.invite_user('otto(at)example.org');
SELECT usermgmt.invite_user(NULL);
SELECT usermgmt.invite_user('otto@example.org', workspaces => '{"client-a": "viewer"}');
\echo :SQLSTATE
SELECT usermgmt.invite_user('otto@example.org', expires_in => '-1 day');
SELECT usermgmt.invite_user('otto@example.org', send_at => 'infinity');

-- The open ones.
SELECT email, role, status, delivery, can_resend, can_revoke FROM usermgmt.pending_invitations ORDER BY created_at;

-- Mailing again: not at once, and without a longer life; expired ones begin anew.
SELECT invitation_id AS eva FROM usermgmt.invitations WHERE email = 'Eva@Example.org' \gset
SELECT usermgmt.resend_invitation(:'eva');
\echo :SQLSTATE
SET LOCAL usermgmt.resend_cooldown = 0;
SELECT expires_at - created_at AS lives, can_resend FROM usermgmt.resend_invitation(:'eva');
RESET usermgmt.resend_cooldown;
SELECT split_part(usermgmt.invitation_link(:'eva'), '=', 2) AS old_link \gset
UPDATE usermgmt.invitation SET expires_at = clock_timestamp() WHERE invitation_id = :'eva';
SELECT status, can_resend, can_revoke FROM usermgmt.invitations WHERE invitation_id = :'eva';
SELECT usermgmt.invitation_link(:'eva');
\echo :SQLSTATE
SELECT tenant_name, inviter_name, status, account_exists FROM usermgmt.preview_invitation(:'old_link');
SELECT usermgmt.accept_invitation(:'old_link', 'seven quiet lanterns');
\echo :SQLSTATE
SELECT status, expires_at - statement_timestamp() > '6 days 23 hours' AS fresh FROM usermgmt.resend_invitation(:'eva');
SELECT usermgmt.accept_invitation(:'old_link', 'seven quiet lanterns');
\echo :SQLSTATE

-- Accepting.
SELECT split_part(usermgmt.invitation_link(:'eva'), '=', 2) AS link \gset
SELECT tenant_name, email, role, inviter_name, status, account_exists FROM usermgmt.preview_invitation(:'link');
SELECT usermgmt.accept_invitation(:'link');
\echo :SQLSTATE
SELECT outcome, left(session_token, 4) AS token, role FROM usermgmt.accept_invitation(:'link', 'seven quiet lanterns', 'Eva');
SELECT usermgmt.accept_invitation(:'link', 'seven quiet lanterns');
\echo :SQLSTATE
SELECT status FROM usermgmt.preview_invitation(:'link');
SELECT usermgmt.revoke_invitation(:'eva');
\echo :SQLSTATE

-- Somebody who has an account already joins with the account's own password.
SELECT status FROM usermgmt.create_tenant('globex', 'Globex', 'gus@globex.example', 'Gus');
SELECT usermgmt.end_use(), usermgmt.use_tenant('globex') IS NOT NULL AS selected;
SELECT invitation_id FROM usermgmt.invite_user('eva@example.org', role => 'admin') \gset
SELECT split_part(usermgmt.invitation_link(:'invitation_id'), '=', 2) AS link \gset
SELECT status, inviter_name, account_exists FROM usermgmt.preview_invitation(:'link');
SELECT outcome FROM usermgmt.accept_invitation(:'link', 'seven loud lanterns');
SELECT outcome, role FROM usermgmt.accept_invitation(:'link', 'seven quiet lanterns');

-- Taking one back takes its unsent mail with it.
SELECT role FROM usermgmt.use_session(:'olivia');
SELECT invitation_id AS ida FROM usermgmt.invitations WHERE email = 'ida@example.org' \gset
SELECT split_part(usermgmt.invitation_link(:'ida'), '=', 2) AS link \gset
SELECT status, revoke_reason, delivery, delivery_detail, can_resend, can_revoke FROM usermgmt.revoke_invitation(:'ida', 'wrong address');
SELECT usermgmt.accept_invitation(:'link', 'nine round pebbles');
\echo :SQLSTATE
SELECT usermgmt.resend_invitation(:'ida');
\echo :SQLSTATE
SELECT usermgmt.resend_invitation('00000000-0000-7000-8000-000000000001');
\echo :SQLSTATE

-- Invitations can be switched off for a tenant, and are never deleted.
UPDATE usermgmt.tenant SET settings = '{"invitations_enabled": "off"}' WHERE slug = 'acme';
SELECT usermgmt.invite_user('otto@example.org');
\echo :SQLSTATE
SELECT email, status, can_resend FROM usermgmt.invitations ORDER BY created_at;
DELETE FROM usermgmt.invitation;
\echo :SQLSTATE
SELECT action, subject_email, reason FROM usermgmt.audit_trail WHERE object_type = 'invitation' ORDER BY event_id;
ROLLBACK;
