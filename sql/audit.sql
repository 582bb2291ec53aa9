-- The trail as an admin, an auditor and an outside listener read it.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
CREATE ROLE regress_usermgmt_app;
CREATE ROLE regress_usermgmt_auditor;
SELECT usermgmt.grant_access('regress_usermgmt_app', 'application'),
	usermgmt.grant_access('regress_usermgmt_auditor', 'auditor');
SELECT status FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example', 'Olivia');
SELECT substring(text_body FROM 'token=(\S+)') AS token FROM usermgmt.outbox_claim('psql') \gset
SELECT usermgmt.reset_password(:'token', 'correct horse battery');
SELECT session_token AS olivia FROM usermgmt.log_in('olivia@acme.example', 'correct horse battery', ip => '192.0.2.7') \gset
SELECT email, role FROM usermgmt.use_session(:'olivia');
SELECT invitation_id FROM usermgmt.invite_user('eva@example.org', role => 'admin') \gset
SELECT status FROM usermgmt.revoke_invitation(:'invitation_id', 'wrong Eva');

-- What happened, who did it, from where and why.
SELECT action, object_type, subject_email, actor_email, ip, reason
FROM usermgmt.audit_trail ORDER BY event_id;

-- A new row shows its columns, a changed one what changed; secrets are in neither.
SELECT string_agg(name, ' ' ORDER BY name COLLATE "C") AS columns
FROM usermgmt.audit_trail, jsonb_object_keys(new) AS name
WHERE action = 'invitation.revoked';
SELECT action, old ->> 'state' AS was, new ->> 'state' AS is
FROM usermgmt.audit_trail WHERE object_type = 'invitation' ORDER BY event_id;
SELECT count(*) AS with_secrets FROM usermgmt.audit_event WHERE old ?| '{password_hash,token_hash}' OR new ?| '{password_hash,token_hash}';

-- An application shows the trail of the bound person's tenant.
SET LOCAL ROLE regress_usermgmt_app;
SELECT count(*) > 0 AS reads, count(DISTINCT tenant_id) AS tenants FROM usermgmt.audit_trail;
RESET ROLE;

-- Plain SQL leaves the same trail.
UPDATE usermgmt.tenant SET suspended_at = now(), suspend_reason = 'unpaid' WHERE slug = 'acme';
SELECT action, actor_db_role = session_user AS by_this_role, new ->> 'suspend_reason' AS why
FROM usermgmt.audit_event WHERE action LIKE 'tenant.%' ORDER BY event_id;

-- It cut everybody off, the reader of the trail included.
SET LOCAL ROLE regress_usermgmt_app;
SELECT count(*) AS reads FROM usermgmt.audit_trail;
RESET ROLE;

-- The trail itself stays as it is.
UPDATE usermgmt.audit_event SET reason = 'no reason';
\echo :SQLSTATE
DELETE FROM usermgmt.audit_event;
TRUNCATE usermgmt.audit_event;

-- An auditor reads all tenants', without a session.
SELECT usermgmt.end_use();
SET LOCAL ROLE regress_usermgmt_auditor;
SELECT action COLLATE "C" AS action, tenant_id IS NULL AS of_no_tenant, count(*)
FROM usermgmt.audit_trail GROUP BY 1, 2 ORDER BY 1, 2;
SELECT usermgmt.invite_user('eva@example.org');
RESET ROLE;

-- The feed gives what has been committed for good: nothing of this transaction.
SELECT count(*) FROM usermgmt.events_since() WHERE transaction_id = pg_current_xact_id()::text;
ROLLBACK;
