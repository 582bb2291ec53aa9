-- DROP EXTENSION leaves nothing behind, and it can be created again.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
SELECT tenant_id IS NOT NULL AS in_use FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example');
DROP EXTENSION usermgmt;
SELECT count(*) FROM pg_namespace WHERE nspname = 'usermgmt';
SELECT count(*) FROM pg_proc WHERE probin LIKE '%usermgmt%';
SELECT count(*) FROM pg_depend AS d
WHERE d.refclassid = 'pg_extension'::regclass AND NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.oid = d.refobjid);
SELECT usermgmt.current_user_id();

-- The same connection goes on with a fresh installation.
CREATE EXTENSION usermgmt;
SELECT count(*) FROM usermgmt.tenant;
SELECT tenant_id IS NOT NULL AS in_use FROM usermgmt.create_tenant('acme', 'Acme', 'olivia@acme.example');
SELECT slug, status FROM usermgmt.tenants;
SELECT kind, recipient, state FROM usermgmt.mail_queue;
SELECT substring(text_body FROM 'token=') AS link FROM usermgmt.outbox_claim('psql');
DROP EXTENSION usermgmt;
