-- What each access gives, and what a role that has it can and can not do.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
\pset null null
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT access, object_kind AS kind, object_name AS name, hidden_columns AS without
FROM usermgmt.access_privilege
ORDER BY access COLLATE "C", object_kind COLLATE "C", object_name COLLATE "C";

-- Without access: nothing, not even the schema.
CREATE ROLE regress_usermgmt_nobody;
CREATE ROLE regress_usermgmt_app;
CREATE ROLE regress_usermgmt_operator;
CREATE ROLE regress_usermgmt_relay;
CREATE ROLE regress_usermgmt_auditor;
SET LOCAL ROLE regress_usermgmt_nobody;
SELECT usermgmt.current_user_id();
SELECT * FROM usermgmt.members;
RESET ROLE;
SELECT usermgmt.grant_access('regress_usermgmt_app', 'application'),
	usermgmt.grant_access('regress_usermgmt_operator', 'operator'),
	usermgmt.grant_access('regress_usermgmt_relay', 'relay'),
	usermgmt.grant_access('regress_usermgmt_auditor', 'auditor');

-- The operator founds a tenant, and reads the tables without their secrets.
SET LOCAL ROLE regress_usermgmt_operator;
SELECT slug FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example');
SELECT email FROM usermgmt.account;
SELECT password_hash FROM usermgmt.account;
\echo :SQLSTATE
SELECT token_hash FROM usermgmt.session;
SELECT key FROM usermgmt.signing_key;
UPDATE usermgmt.membership SET role = 'member';
SELECT count(*) FROM usermgmt.audit_trail;
SELECT usermgmt.grant_access('regress_usermgmt_nobody', 'operator');
SELECT count(*) FROM usermgmt.outbox_claim('operator');
RESET ROLE;

-- The application acts only with a session, and sees no table.
SET LOCAL ROLE regress_usermgmt_app;
SELECT count(*) FROM usermgmt.members;
SELECT count(*) FROM usermgmt.tenants;
SELECT usermgmt.use_tenant('acme');
\echo :SQLSTATE
SELECT * FROM usermgmt.account;
SELECT * FROM usermgmt.mail_queue;
SELECT usermgmt.create_tenant('globex', 'Globex', 'gus@globex.example');
RESET ROLE;

-- An operator's tenant is not inherited by whoever has no operator access.
SELECT usermgmt.use_tenant('acme') IS NOT NULL AS selected;
SELECT count(*) FROM usermgmt.members;
SET LOCAL ROLE regress_usermgmt_app;
SELECT count(*) FROM usermgmt.members;
SELECT usermgmt.current_tenant_id();
RESET ROLE;

-- The relay has its functions and nothing else.
SET LOCAL ROLE regress_usermgmt_relay;
SELECT kind, recipient FROM usermgmt.outbox_claim('relay-1');
SELECT usermgmt.run_maintenance();
SELECT * FROM usermgmt.outbox;
SELECT usermgmt.current_user_id();
RESET ROLE;

-- The auditor reads the trail of every tenant, and changes nothing.
SET LOCAL ROLE regress_usermgmt_auditor;
SELECT count(*) > 0 AS reads FROM usermgmt.audit_trail;
SELECT * FROM usermgmt.members;
SELECT usermgmt.activate();
RESET ROLE;

-- Access can be taken back.
SELECT usermgmt.revoke_access('regress_usermgmt_auditor', 'auditor');
SET LOCAL ROLE regress_usermgmt_auditor;
SELECT count(*) FROM usermgmt.audit_trail;
RESET ROLE;
ROLLBACK;
