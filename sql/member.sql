-- Roles, deactivation, reactivation.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT status FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example', 'Olivia');
SELECT substring(text_body FROM 'token=(\S+)') AS token FROM usermgmt.outbox_claim('psql') \gset
SELECT usermgmt.reset_password(:'token', 'correct horse battery');
SELECT session_token AS olivia, user_id AS olivia_id FROM usermgmt.log_in('olivia@acme.example', 'correct horse battery') \gset
SELECT role FROM usermgmt.use_session(:'olivia');
SELECT invitation_id FROM usermgmt.invite_user('eva@example.org', name => 'Eva') \gset
SELECT split_part(usermgmt.invitation_link(:'invitation_id'), '=', 2) AS link \gset
SELECT outcome, session_token AS eva, user_id AS eva_id FROM usermgmt.accept_invitation(:'link', 'seven quiet lanterns') \gset
SELECT invitation_id FROM usermgmt.invite_user('ida@example.org') \gset

-- The list and its totals.
SELECT email, name, role, is_primary_owner, status, activity, last_active, workspaces
FROM usermgmt.members ORDER BY joined_at;
\x on
SELECT * FROM usermgmt.member_statistics;
\x off

-- Promotion, with a reason; the old session is over.
SELECT email, role FROM usermgmt.change_role(:'eva_id', 'admin', 'runs the team now');
SELECT usermgmt.use_session(:'eva');
\echo :SQLSTATE
SELECT session_token AS eva FROM usermgmt.log_in('eva@example.org', 'seven quiet lanterns') \gset

-- An admin is no owner.
SELECT role FROM usermgmt.use_session(:'eva');
SELECT usermgmt.change_role(:'eva_id', 'owner');
\echo :SQLSTATE
SELECT usermgmt.change_role(:'olivia_id', 'member');
SELECT usermgmt.deactivate_user(:'olivia_id');
\echo :SQLSTATE
SELECT usermgmt.change_role(:'eva_id', 'boss');
\echo :SQLSTATE
SELECT usermgmt.change_role('00000000-0000-7000-8000-000000000001', 'member');
\echo :SQLSTATE

-- The last owner stays one.
SELECT role FROM usermgmt.use_session(:'olivia');
SELECT usermgmt.change_role(:'olivia_id', 'admin');
\echo :SQLSTATE

-- Deactivated: out at once, and told so only with the right password.
SELECT email, status, deactivation_reason FROM usermgmt.deactivate_user(:'eva_id', 'left the company');
SELECT usermgmt.deactivate_user(:'eva_id');
\echo :SQLSTATE
SELECT usermgmt.change_role(:'eva_id', 'member');
\echo :SQLSTATE
SELECT usermgmt.send_password_reset(:'eva_id');
SELECT usermgmt.use_session(:'eva');
SELECT outcome FROM usermgmt.log_in('eva@example.org', 'seven quiet lanterns');
SELECT outcome FROM usermgmt.log_in('eva@example.org', 'seven loud lanterns');

-- And back; earlier sessions stay dead.
SELECT email, status, deactivated_at, deactivation_reason FROM usermgmt.reactivate_user(:'eva_id');
SELECT usermgmt.reactivate_user(:'eva_id');
\echo :SQLSTATE
SELECT usermgmt.use_session(:'eva');
SELECT outcome, session_token AS eva FROM usermgmt.log_in('eva@example.org', 'seven quiet lanterns') \gset
\echo :outcome

-- A second owner, and the primary one stands back: the other takes over.
SELECT role FROM usermgmt.change_role(:'eva_id', 'owner');
SELECT role FROM usermgmt.change_role(:'olivia_id', 'member');
SELECT usermgmt.use_tenant('acme') IS NOT NULL AS selected, usermgmt.end_use();
SELECT email, role, is_primary_owner FROM usermgmt.members ORDER BY joined_at;

-- Another address: the password asks, the new mailbox confirms.
SELECT session_token AS olivia FROM usermgmt.log_in('olivia@acme.example', 'correct horse battery') \gset
SELECT role FROM usermgmt.use_session(:'olivia');
SELECT usermgmt.request_email_change('olivia@home.example', 'battery staple');
\echo :SQLSTATE
SELECT usermgmt.request_email_change('olivia', 'correct horse battery');
SELECT usermgmt.request_email_change('olivia@acme.example', 'correct horse battery');
SELECT usermgmt.request_email_change('olivia@home.example', 'correct horse battery');
SELECT usermgmt.request_email_change('olivia@home.example', 'correct horse battery');
\echo :SQLSTATE
SELECT kind, recipient, state FROM usermgmt.mail_queue WHERE kind LIKE 'email%' ORDER BY kind;
SELECT substring(text_body FROM 'token=(\S+)') AS link, regexp_replace(text_body, 'token=\S+|until [^.]+ UTC', '...', 'g') AS text
FROM usermgmt.outbox_claim('psql') WHERE kind = 'email_change' \gset
\echo :text
SELECT old_email, new_email, status FROM usermgmt.preview_email_change(:'link');
SELECT usermgmt.confirm_email_change(:'link');
SELECT usermgmt.confirm_email_change(:'link');
\echo :SQLSTATE
SELECT kind, recipient, state FROM usermgmt.mail_queue WHERE kind = 'email_changed' ORDER BY recipient;
SELECT outcome FROM usermgmt.log_in('olivia@home.example', 'correct horse battery');

-- A member manages nobody and sees no list.
SELECT count(*) FROM usermgmt.members;
SELECT count(*) FROM usermgmt.member_statistics;
SELECT usermgmt.deactivate_user(:'eva_id');
\echo :SQLSTATE
ROLLBACK;
