-- Nobody but the owner may do anything until grant_access() says so, whatever
-- PUBLIC or the database's default privileges give to new objects.
SELECT usermgmt.revoke_everything();
DROP FUNCTION usermgmt.revoke_everything();

-- Row security keeps the rows from pg_read_all_data and pg_write_all_data, who
-- need no grant; functions, triggers and views run as the owner and pass.
ALTER TABLE usermgmt.signing_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.actor_signal ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.access_privilege ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.installation ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.audit_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.audit_seal ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.audit_head ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.audit_erasure ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.audit_sink ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.email_template ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.outbox_attempt ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.address_suppression ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.seat_count ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.invite_domain ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.account ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.role ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.permission ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.role_permission ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.account_identity ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.membership ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.member_count ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.password_reset ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.email_change ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.session ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.login_throttle ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.workspace ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.workspace_member ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.invitation_workspace ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.invitation_count ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.invitation ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.inventory ENABLE ROW LEVEL SECURITY;
ALTER TABLE usermgmt.membership_history ENABLE ROW LEVEL SECURITY;
CREATE POLICY operators ON usermgmt.access_privilege FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.installation FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.audit_event FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.audit_seal FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.audit_head FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.audit_erasure FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.audit_sink FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.email_template FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.outbox FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.outbox_attempt FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.address_suppression FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.tenant FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.seat_count FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.invite_domain FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.account FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.role FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.permission FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.role_permission FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.account_identity FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.membership FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.member_count FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.password_reset FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.email_change FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.session FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.login_throttle FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.workspace FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.workspace_member FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.invitation_workspace FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.invitation_count FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.invitation FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.inventory FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));
CREATE POLICY operators ON usermgmt.membership_history FOR SELECT USING (has_function_privilege('usermgmt.use_tenant(text)', 'execute'));

-- Attached here, for the shipped texts are nobody's change.
SELECT usermgmt.audit_attach('usermgmt.email_template', '{email_template,kind}');

-- Every table is dumped, but signing_key, inventory and what this script itself
-- inserts.
SELECT pg_catalog.pg_extension_config_dump('usermgmt.installation', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.actor_signal', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.access_privilege', 'WHERE false');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.audit_event', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.audit_seal', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.audit_head', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.audit_erasure', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.audit_sink', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.email_template', 'WHERE NOT built_in');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.outbox', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.outbox_attempt', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.address_suppression', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.tenant', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.seat_count', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.invite_domain', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.account', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.role', 'WHERE false');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.permission', 'WHERE NOT built_in');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.role_permission', 'WHERE NOT built_in');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.account_identity', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.membership', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.member_count', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.password_reset', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.email_change', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.session', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.login_throttle', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.workspace', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.workspace_member', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.invitation_workspace', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.invitation_count', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.invitation', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.membership_history', '');

-- The triggers wait for activate(), so that a restore fires none.
SELECT usermgmt.disarm();
DROP FUNCTION usermgmt.disarm();
DROP FUNCTION usermgmt.audit_attach(regclass, text[]);

-- Last of all: what there is now is what check() compares with.
INSERT INTO usermgmt.inventory SELECT * FROM usermgmt.inventory_now();
