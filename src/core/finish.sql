-- Nobody but the owner may do anything until grant_access() says so, every
-- table is dumped (signing_key is not, and what the script itself inserts is
-- not either), and the triggers wait for activate().
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA usermgmt FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA usermgmt FROM PUBLIC;
REVOKE ALL ON TYPE usermgmt.outbox_message, usermgmt.session_context, usermgmt.session_start, usermgmt.invitation_preview FROM PUBLIC;
REVOKE ALL ON SCHEMA usermgmt FROM PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('usermgmt.installation', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.actor_signal', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.access_privilege', 'WHERE false');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.audit_event', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.email_template', 'WHERE NOT built_in');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.outbox', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.outbox_attempt', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.address_suppression', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.tenant', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.account', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.membership', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.password_reset', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.session', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.login_throttle', '');
SELECT pg_catalog.pg_extension_config_dump('usermgmt.invitation', '');

SELECT usermgmt.disarm();
DROP FUNCTION usermgmt.disarm();
DROP FUNCTION usermgmt.audit_attach(regclass, text[]);
