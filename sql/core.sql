-- What a caller sees of the ground: activation, accesses, the acting user.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;

-- The first call that writes arms the triggers; activate() does only that.
SELECT count(*) FROM usermgmt.installation;
SELECT usermgmt.activate();
SELECT epoch, mail_paused_at, mail_pause_reason FROM usermgmt.installation;

-- Nobody is acting yet.
SELECT usermgmt.current_user_id(), usermgmt.current_tenant_id(), usermgmt.current_session_id(),
	usermgmt.current_member_role(), usermgmt.has_role('member');
SELECT usermgmt.has_role('boss');
\echo :SQLSTATE
SELECT usermgmt.has_role(NULL);

-- An operator is told to select a tenant.
SELECT usermgmt.invite_user('eva@example.org');
\echo :SQLSTATE

-- An application is told to bind a session.
CREATE ROLE regress_usermgmt_app;
SELECT usermgmt.grant_access('regress_usermgmt_app', 'application');
SET LOCAL ROLE regress_usermgmt_app;
SELECT usermgmt.invite_user('eva@example.org');
\echo :SQLSTATE
SELECT usermgmt.use_tenant('acme');
RESET ROLE;

-- Mistakes in granting.
SELECT usermgmt.grant_access('regress_usermgmt_app', 'admin');
\echo :SQLSTATE
SELECT usermgmt.grant_access('regress_usermgmt_nobody', 'relay');
SELECT usermgmt.grant_access(NULL, 'relay');
SELECT action, object_type, object_id, reason FROM usermgmt.audit_event WHERE action LIKE 'access.%';

-- Settings: bounds, units, and no misspelt ones.
SHOW usermgmt.invitation_ttl;
SET LOCAL usermgmt.invitation_ttl = '72h';
SHOW usermgmt.invitation_ttl;
SET LOCAL usermgmt.invitation_ttl = '3 weeks';
SET LOCAL usermgmt.hash_passes = 1;
SET LOCAL usermgmt.invite_ttl = '3d';

-- A tenant's own value wins; one that can not be read counts as absent.
SELECT usermgmt.effective_seconds('{"invitation_ttl": "30d"}', 'invitation_ttl') / 86400 AS days,
	usermgmt.effective_seconds('{"invitation_ttl": "soon"}', 'invitation_ttl') / 86400 AS fallback,
	usermgmt.effective_switch('{"invitations_enabled": "off"}', 'invitations_enabled') AS enabled;
SELECT usermgmt.effective_seconds('{}', 'invitations_enabled');

-- Ages in words.
SELECT age, usermgmt.relative_time(statement_timestamp() - age) AS words
FROM unnest('{10 seconds,1 minute,59 minutes,25 hours,2 days,40 days,800 days}'::interval[]) AS age;

-- Dressed up as a restored copy, the next call that writes says so and stops the mail.
UPDATE usermgmt.installation SET database_oid = 1;
SELECT usermgmt.activate();
SELECT epoch, mail_pause_reason FROM usermgmt.installation;
SELECT usermgmt.outbox_resume();
SELECT epoch, mail_pause_reason FROM usermgmt.installation;
ROLLBACK;

-- What writes says so on a standby and in a read-only transaction.
BEGIN READ ONLY;
SELECT usermgmt.activate();
\echo :SQLSTATE
ROLLBACK;
