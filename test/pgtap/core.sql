-- The ground: privileges, catalog rules, the acting user, and bad arguments.
BEGIN;
\ir helpers.psql
SELECT no_plan();

-- What the catalog says.
CREATE VIEW pg_temp.extension_function AS
	SELECT p.* FROM pg_proc AS p WHERE p.pronamespace = 'usermgmt'::regnamespace;

SELECT is_empty(
	$$SELECT p.oid::regprocedure FROM pg_temp.extension_function AS p,
		aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a WHERE a.grantee = 0$$,
	'PUBLIC may execute no function of the schema');
SELECT is_empty(
	$$SELECT c.oid::regclass, a.privilege_type FROM pg_class AS c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a
		WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind IN ('r', 'v', 'S', 'm', 'p') AND a.grantee = 0
	UNION ALL
	SELECT t.attrelid::regclass, a.privilege_type FROM pg_attribute AS t, aclexplode(t.attacl) AS a
		WHERE a.grantee = 0 AND t.attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace)$$,
	'PUBLIC has no privilege on any table, view, sequence or column of the schema');
SELECT is_empty(
	$$SELECT a.privilege_type FROM pg_namespace AS n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
		WHERE n.nspname = 'usermgmt' AND a.grantee = 0$$,
	'PUBLIC has no privilege on the schema');
SELECT is_empty(
	$$SELECT oid::regprocedure FROM pg_temp.extension_function WHERE obj_description(oid, 'pg_proc') IS NULL$$,
	'every function has a comment');
SELECT is_empty(
	$$SELECT oid::regclass FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace AND relkind IN ('r', 'v', 'm', 'p')
		AND obj_description(oid, 'pg_class') IS NULL$$,
	'every table and view has a comment');
SELECT is_empty(
	$$SELECT c.relname || '.' || t.attname FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid AND t.attnum > 0
		WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'c') AND NOT t.attisdropped
			AND col_description(c.oid, t.attnum) IS NULL$$,
	'every column of every table, view and composite type has a comment');
SELECT is_empty(
	$$SELECT objoid, objsubid, description FROM pg_description AS d
		WHERE (description ~ '[^.]\. ' OR description !~ '[^.]\.$') AND EXISTS (SELECT FROM pg_depend AS p JOIN pg_extension AS e ON p.refclassid = 'pg_extension'::regclass AND p.refobjid = e.oid
			WHERE e.extname = 'usermgmt' AND p.deptype = 'e' AND p.classid = d.classoid AND p.objid = d.objoid)$$,
	'every comment is one sentence');
SELECT is_empty(
	$$SELECT t.oid::regtype FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
		WHERE t.typnamespace = 'usermgmt'::regnamespace AND (c.relkind = 'c' OR t.typtype IN ('d', 'e', 'r'))
		AND obj_description(t.oid, 'pg_type') IS NULL$$,
	'every type has a comment');
SELECT is_empty(
	$$SELECT oid::regprocedure, proconfig FROM pg_temp.extension_function
		WHERE prosecdef AND proconfig IS DISTINCT FROM '{"search_path=pg_catalog, usermgmt, pg_temp"}'::text[]$$,
	'every SECURITY DEFINER function has the fixed search_path');
SELECT is_empty(
	$$SELECT proname FROM pg_temp.extension_function GROUP BY proname HAVING count(*) > 1$$,
	'no function is overloaded');
SELECT is_empty(
	$$SELECT oid::regprocedure FROM pg_temp.extension_function WHERE prokind <> 'f' OR provariadic <> 0$$,
	'there are functions only, and none is variadic');
SELECT is_empty(
	$$SELECT p.oid::regprocedure, n FROM pg_temp.extension_function AS p, generate_series(1, p.pronargs) AS n
		WHERE pg_get_function_arg_default(p.oid, n) !~ '^NULL::'$$,
	'every optional argument is declared DEFAULT NULL');
SELECT is_empty(
	$$SELECT p.oid::regprocedure FROM pg_temp.extension_function AS p, generate_series(1, p.pronargs) AS n
		WHERE coalesce(p.proargnames[n], '') = ''$$,
	'every argument has a name');
SELECT set_eq(
	$$SELECT c.oid::regclass::text FROM pg_class AS c, pg_extension AS e WHERE e.extname = 'usermgmt' AND c.oid = ANY (e.extconfig)$$,
	$$SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relnamespace = 'usermgmt'::regnamespace
		AND c.relkind IN ('r', 'S', 'p') AND c.relname NOT IN ('signing_key', 'inventory')$$,
	'every table and sequence but signing_key and inventory is dumped (pg_extension_config_dump)');
SELECT is_empty(
	$$SELECT t.attrelid::regclass, t.attname FROM pg_attribute AS t JOIN pg_class AS c ON c.oid = t.attrelid
		JOIN pg_type AS y ON y.oid = t.atttypid
		WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind IN ('r', 'v') AND t.attnum > 0
		AND (y.typtype = 'e' OR y.typname IN ('citext', 'timestamp', 'varchar', 'bpchar'))$$,
	'no column is an enum, a citext or a timestamp without time zone');
SELECT is_empty(
	$$SELECT oid::regprocedure FROM pg_temp.extension_function WHERE ARRAY['internal', 'cstring', 'anyelement']::regtype[]::oid[] && (proargtypes::oid[] || prorettype)$$,
	'R22 no function takes or gives what SQL can not name');
SELECT set_eq(
	$$SELECT proname::text, provolatile::text FROM pg_temp.extension_function WHERE provolatile = 'i' OR proparallel = 's'$$,
	$$SELECT f, 'i' FROM unnest(ARRAY['id', 'id_at', 'names_address', 'public_id']) AS f UNION ALL
		SELECT f, 's' FROM unnest(ARRAY['delivery_of', 'effective_limit', 'effective_seconds', 'effective_switch', 'mail_time', 'relative_time']) AS f$$,
	'R9 only what reads neither tables nor who is acting is immutable or parallel safe');
SELECT set_eq(
	$$SELECT c.relname::text FROM pg_class AS c WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind = 'r'
		AND (SELECT count(DISTINCT t.tgtype & 60) FROM pg_trigger AS t WHERE t.tgrelid = c.oid
			AND t.tgfoid = 'usermgmt.audit_change'::regproc AND t.tgtype & 3 = 0 AND t.tgqual IS NULL) <> 4$$,
	ARRAY['access_privilege', 'actor_signal', 'audit_erasure', 'audit_event', 'audit_head', 'audit_seal', 'inventory', 'invitation_count', 'login_throttle', 'member_count', 'membership_history',
		'outbox', 'outbox_attempt', 'seat_count'],
	'R16 every table but the trail, mails, counters and what the script wrote is audited by INSERT, UPDATE, DELETE and TRUNCATE');
SELECT set_eq(
	$$SELECT c.relname::text FROM pg_class AS c JOIN usermgmt.access_privilege AS p ON p.object_kind = 'relation' AND p.object_name = c.relname
		WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind = 'v' AND p.access = 'application' AND NOT coalesce('security_barrier=true' = ANY (c.reloptions), false)$$,
	ARRAY['role_matrix'],
	'R10 every view that an application reads is a security barrier');

-- Four kinds of access.
SELECT pg_temp.tenant('acme') IS NULL AS x \gset
SELECT pg_temp.join('admin@acme.test', 'admin') IS NULL AS x, pg_temp.join('bob@acme.test') IS NULL AS x \gset
CREATE ROLE tap_core_app;
CREATE ROLE tap_core_operator;
CREATE ROLE tap_core_relay;
CREATE ROLE tap_core_auditor;
CREATE ROLE tap_core_nobody;
DO $$
BEGIN
	PERFORM usermgmt.grant_access('tap_core_app', 'application');
	PERFORM usermgmt.grant_access('tap_core_operator', 'operator');
	PERFORM usermgmt.grant_access('tap_core_relay', 'relay');
	PERFORM usermgmt.grant_access('tap_core_auditor', 'auditor');
END $$;

SELECT is_empty(
	$$SELECT r.role, c.oid::regclass, p.privilege FROM pg_class AS c, (VALUES ('tap_core_app'), ('tap_core_relay'), ('tap_core_auditor'), ('tap_core_nobody')) AS r (role),
		(VALUES ('select'), ('insert'), ('update'), ('delete'), ('truncate'), ('references'), ('trigger')) AS p (privilege)
		WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind = 'r' AND has_table_privilege(r.role, c.oid, p.privilege)$$,
	'S4.8 only operators have any privilege on a base table');
SELECT is_empty(
	$$SELECT c.oid::regclass, p.privilege FROM pg_class AS c,
		(VALUES ('insert'), ('update'), ('delete'), ('truncate'), ('references'), ('trigger')) AS p (privilege)
		WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind IN ('r', 'v') AND has_table_privilege('tap_core_operator', c.oid, p.privilege)$$,
	'operators only read the base tables');
SELECT is_empty(
	$$SELECT r.role, s.name FROM (VALUES ('usermgmt.account', 'password_hash'), ('usermgmt.session', 'token_hash'), ('usermgmt.signing_key', 'key')) AS s (t, name),
		(VALUES ('tap_core_app'), ('tap_core_operator'), ('tap_core_relay'), ('tap_core_auditor')) AS r (role)
		WHERE has_column_privilege(r.role, s.t, s.name, 'select')$$,
	'no access reads a password hash, a token hash or a key');
SELECT set_eq(
	$$SELECT proname::text FROM pg_temp.extension_function WHERE has_function_privilege('tap_core_relay', oid, 'execute')$$,
	ARRAY['outbox_claim', 'outbox_sending', 'outbox_sent', 'outbox_failed', 'outbox_bounced', 'outbox_next_due', 'outbox_figures', 'server_figures', 'run_maintenance'],
	'the relay executes the functions of the relay and nothing else');
SELECT is_empty(
	$$SELECT c.oid::regclass FROM pg_class AS c WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind IN ('r', 'v')
		AND has_table_privilege('tap_core_relay', c.oid, 'select')$$,
	'the relay reads no table and no view');
SELECT is_empty(
	$$SELECT f FROM unnest(ARRAY['use_tenant', 'create_tenant', 'activate', 'grant_access', 'revoke_access', 'outbox_claim', 'outbox_pause',
		'outbox_resume', 'outbox_retry', 'outbox_cancel', 'run_maintenance', 'events_since', 'audit_attach', 'disarm']) AS f
		JOIN pg_temp.extension_function AS p ON p.proname = f, (VALUES ('tap_core_app'), ('tap_core_nobody')) AS r (role)
		WHERE has_function_privilege(r.role, p.oid, 'execute')$$,
	'the application executes no function of operators, relay or auditors');
SELECT is_empty(
	$$SELECT proname FROM pg_temp.extension_function AS p WHERE has_function_privilege('tap_core_app', oid, 'execute')
		AND NOT has_function_privilege('tap_core_operator', oid, 'execute')$$,
	'an operator executes everything that the application does');
SELECT is_empty(
	$$SELECT proname FROM pg_temp.extension_function WHERE proname IN ('audit_attach', 'disarm')
		AND (has_function_privilege('tap_core_operator', oid, 'execute') OR has_function_privilege('tap_core_auditor', oid, 'execute'))$$,
	'what the install script uses is given to nobody');
SELECT is_empty(
	$$SELECT proname FROM pg_temp.extension_function AS p WHERE has_function_privilege('tap_core_nobody', oid, 'execute')$$,
	'a role without access executes nothing');
SELECT is(pg_temp.run_as('tap_core_nobody', 'SELECT usermgmt.current_user_id()'), 'error 42501',
	'a role without access is refused');
SELECT is(pg_temp.run_as('tap_core_app', $$SELECT usermgmt.use_tenant('acme')$$), 'error 42501',
	'S4.8 the application can not select a tenant');
SELECT is(pg_temp.run_as('tap_core_app', $$SELECT usermgmt.create_tenant('evil', 'Evil', 'e@evil.test')$$), 'error 42501',
	'S4.8 the application can not create a tenant');
SELECT is(pg_temp.run_as('tap_core_operator', $$SELECT usermgmt.grant_access('tap_core_nobody', 'application')$$), 'error 42501',
	'an operator without grant can not give access');
SELECT throws_ok($$SELECT usermgmt.grant_access('tap_core_nobody', 'root')$$, '22023', NULL, 'there are four kinds of access');
DO $$ BEGIN PERFORM usermgmt.revoke_access('tap_core_auditor', 'auditor'); END $$;
SELECT is_empty(
	$$SELECT p.oid::regprocedure::text FROM pg_temp.extension_function AS p WHERE has_function_privilege('tap_core_auditor', oid, 'execute')
	UNION ALL SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace AND relkind IN ('r', 'v')
		AND has_any_column_privilege('tap_core_auditor', oid, 'select')
	UNION ALL SELECT 'usage' WHERE has_schema_privilege('tap_core_auditor', 'usermgmt', 'usage')$$,
	'revoke_access takes everything that the access gave');
SELECT bag_eq($$SELECT action, reason FROM usermgmt.audit_event WHERE object_id = 'tap_core_auditor'$$,
	$$VALUES ('access.granted', 'auditor'), ('access.revoked', 'auditor')$$,
	'giving and taking access is audited');

-- The acting user.
SELECT token AS admin_token FROM person WHERE email = 'admin@acme.test' \gset
SELECT token AS bob_token FROM person WHERE email = 'bob@acme.test' \gset

SELECT is(usermgmt.current_user_id(), NULL, 'nobody acts before a session is bound');
SELECT is(usermgmt.current_member_role(), NULL, 'nobody''s role is NULL');
SELECT is(pg_temp.run_as('tap_core_app', 'SELECT usermgmt.current_tenant_id()'), NULL,
	'S4.8 the tenant that an operator selected on this connection is not the application''s');
SELECT is(pg_temp.run_as('tap_core_app', $$SELECT usermgmt.has_role('member')$$), 'false',
	'without a session has_role() is false for the application');
SELECT results_eq(
	format('SELECT c.user_id, c.role, c.email, usermgmt.current_user_id() FROM usermgmt.use_session(%L) AS c', :'admin_token'),
	$$SELECT user_id, 'admin', email, user_id FROM person WHERE email = 'admin@acme.test'$$,
	'S4.8 use_session tells and binds who is acting');
SELECT is(usermgmt.current_member_role(), 'admin', 'the role of the acting user is known');
SELECT is_empty($$SELECT r FROM unnest(ARRAY['member', 'admin', 'owner']) AS r WHERE usermgmt.tenant_as(r) IS DISTINCT FROM CASE WHEN usermgmt.has_role(r) THEN usermgmt.current_tenant_id() END$$,
	'S3.1 tenant_as() is the present tenant for who has the role');
SELECT results_eq($$SELECT r, usermgmt.has_role(r) FROM unnest(ARRAY['member', 'admin', 'owner']) AS r$$,
	$$VALUES ('member', true), ('admin', true), ('owner', false)$$,
	'S3.2 owner, admin and member are three tiers, each of which includes those below');
SELECT is(usermgmt.current_tenant_id(), (SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'acme'), 'the tenant of the session is the present one');
SELECT usermgmt.end_use() AS x \gset
SELECT is(usermgmt.current_user_id(), NULL, 'end_use forgets the acting user');

SELECT user_id AS x FROM usermgmt.use_session(:'admin_token') \gset
SAVEPOINT s;
SELECT user_id AS x FROM usermgmt.use_session(:'bob_token') \gset
SELECT usermgmt.current_user_id() AS inside \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'inside'::uuid, pg_temp.id_of('bob@acme.test'), 'B2 another session can be bound within a savepoint');
SELECT is(usermgmt.current_user_id(), pg_temp.id_of('admin@acme.test'), 'B2 ROLLBACK TO SAVEPOINT restores who was acting');
SAVEPOINT s;
SELECT usermgmt.end_use() AS x \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(usermgmt.current_user_id(), pg_temp.id_of('admin@acme.test'), 'B2 a rolled-back end_use forgets nobody');
SAVEPOINT s;
SAVEPOINT inner_savepoint;
SELECT user_id AS x FROM usermgmt.use_session(:'bob_token') \gset
RELEASE SAVEPOINT inner_savepoint;
ROLLBACK TO SAVEPOINT s;
SELECT is(usermgmt.current_user_id(), pg_temp.id_of('admin@acme.test'), 'B2 so does the rollback of an outer savepoint after the inner one was released');
SELECT usermgmt.end_use() AS x \gset
SAVEPOINT s;
SELECT user_id AS x FROM usermgmt.use_session(:'bob_token', 'connection') \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(usermgmt.current_user_id(), NULL, 'B2 a session bound for the connection in a rolled-back savepoint is not bound');
SELECT is(pg_temp.state_of(format('SELECT usermgmt.use_session(%L, %L)', :'bob_token', 'forever')), '22023', 'there are two scopes');

SELECT is_empty(
	$$SELECT s.name FROM unnest(ARRAY['usermgmt.current_user_id', 'usermgmt.user_id', 'usermgmt.actor', 'usermgmt.role', 'usermgmt.tenant_id',
		'usermgmt.session_id', 'request.jwt.claims', 'app.user_id']) AS s (name),
		LATERAL pg_temp.state_of(format('SELECT set_config(%L, %L, false)', s.name, pg_temp.id_of('admin@acme.test'))) AS outcome
		WHERE usermgmt.current_user_id() IS NOT NULL$$,
	'B2 set_config does not make anybody act');
SELECT is(pg_temp.run_as('tap_core_app', 'SELECT usermgmt.current_user_id()'), NULL, 'B2 SET ROLE does not make anybody act');
SELECT user_id AS x FROM usermgmt.use_session(:'bob_token') \gset
SELECT is(pg_temp.run_as('tap_core_operator', 'SELECT usermgmt.current_member_role()'), 'member',
	'B2 with a session bound the session''s role decides, also for operators');
SELECT is(pg_temp.run_as('tap_core_operator', $$SELECT i.email FROM usermgmt.invite_user('x@acme.test') AS i$$), 'error 42501',
	'S3.1 a member''s session stays a member''s under an operator''s database role');
SELECT usermgmt.end_use() AS x \gset
SELECT is(pg_temp.run_as('tap_core_app', $$SELECT i.email FROM usermgmt.invite_user('x@acme.test') AS i$$), 'error UM001',
	'S4.8 without a session the application can do nothing in a tenant');
SELECT is_empty(
	$$SELECT v.name FROM unnest(ARRAY['tenants', 'members', 'invitations', 'pending_invitations', 'member_statistics', 'audit_trail']) AS v (name)
		WHERE pg_temp.run_as('tap_core_app', format('SELECT count(*) FROM usermgmt.%I', v.name)) <> '0'$$,
	'S4.8 without a session every view is empty for the application');
CREATE FUNCTION pg_temp.as_admin(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.act('admin@acme.test', format('SELECT pg_temp.run_as(%L, %L)', 'tap_core_app', statement))
$$;
SELECT pg_temp.as_admin($$SELECT invitation_id FROM usermgmt.invite_user('erin@acme.test')$$) AS erin \gset
SELECT is(pg_temp.as_admin(format(s, id)), answer, 'S0.18 with nothing but a session an admin can ' || what)
	FROM (VALUES ('copy a link', 'SELECT usermgmt.invitation_link(%L) LIKE ''http%%''', :'erin', 'true'), ('list', 'SELECT count(*) FROM usermgmt.pending_invitations WHERE invitation_id = %L', :'erin', '1'),
		('revoke', 'SELECT status FROM usermgmt.revoke_invitation(%L)', :'erin', 'revoked'), ('send a reset', 'SELECT usermgmt.send_password_reset(%L)', pg_temp.id_of('bob@acme.test')::text, ''),
		('deactivate', 'SELECT status FROM usermgmt.deactivate_user(%L)', pg_temp.id_of('bob@acme.test')::text, 'deactivated'), ('reactivate', 'SELECT status FROM usermgmt.reactivate_user(%L)', pg_temp.id_of('bob@acme.test')::text, 'active'),
		('change a role', 'SELECT role FROM usermgmt.change_role(%L, ''admin'')', pg_temp.id_of('bob@acme.test')::text, 'admin'), ('read the trail', 'SELECT count(*) > 3 FROM usermgmt.audit_trail WHERE object_id IS NOT NULL OR object_id = %L', :'erin', 'true')
	) AS a (what, s, id, answer);
SELECT is(pg_temp.run_as('tap_core_operator', $$SELECT status FROM usermgmt.use_tenant('acme') AS t, LATERAL usermgmt.invite_user('frank@acme.test', name => left(t::text, 0))$$), 'pending',
	'S0.18 a DBA with operator access needs no session');
SELECT is(pg_temp.run_as('tap_core_relay', $$SELECT count(*) > 0 FROM usermgmt.outbox_claim('tap')$$), 'true', 'a relay claims mail');
SELECT pg_temp.sign_in('bob@acme.test') AS x \gset
SELECT token AS bob_token FROM person WHERE email = 'bob@acme.test' \gset

SELECT is_empty(
	$$SELECT s.name FROM pg_settings AS s WHERE s.name LIKE 'usermgmt.%' AND s.context NOT IN ('superuser', 'sighup', 'postmaster')$$,
	'the application can not change a setting of the extension');

-- Bad arguments of every function that somebody may call: each argument in
-- turn, the others being good ones.
CREATE TEMPORARY TABLE good (argument text PRIMARY KEY, value text);
INSERT INTO good VALUES
	('database_role', $$'tap_core_nobody'$$), ('access', $$'application'$$), ('role', $$'member'$$), ('slug', $$'good'$$),
	('name', $$'Good'$$), ('owner_email', $$'good@good.test'$$), ('owner_name', $$'Good'$$), ('tenant', $$'acme'$$),
	('email', $$'good@good.test'$$), ('password', $$'a good password'$$), ('new_password', $$'a good password'$$), ('current_password', $$'secret of bob@acme.test'$$), ('new_email', $$'good@new.test'$$), ('schema', $$'good_facade'$$), ('for_role', 'current_user'),
	('ip', $$'192.0.2.1'$$), ('user_agent', $$'good'$$), ('reason', $$'good'$$), ('message', $$'good'$$),
	('workspaces', $$'{}'$$), ('metadata', $$'{}'$$), ('provider', $$'good'$$), ('subject', $$'good'$$), ('session_id', $$(SELECT session_id FROM usermgmt.session WHERE user_id = pg_temp.id_of('bob@acme.test') AND state = 'open' LIMIT 1)$$), ('set_metadata.kind', $$'account'$$), ('permission', $$'manage_users'$$), ('transfer_to', 'NULL'), ('confirm', 'true'),
	('old_user_id', $$(SELECT user_id FROM usermgmt.account WHERE closed_at IS NOT NULL AND successor_id IS NULL)$$), ('new_user_id', quote_literal(pg_temp.id_of('bob@acme.test'))), ('tenant_slug', $$'signed-up'$$), ('tenant_name', $$'Signed up'$$),
	('expires_in', $$'1 day'$$), ('send_at', 'NULL'), ('extend', 'false'), ('scope', $$'transaction'$$),
	('worker', $$'test'$$), ('max_messages', '1'), ('max_events', '1'), ('fence', '1'), ('reply', $$'250 ok'$$), ('permanent', 'false'),
	('message_id_header', $$'<00000000-0000-7000-8000-000000000000@localhost>'$$), ('recipient', $$'good@good.test'$$),
	('status', $$'5.1.1'$$), ('detail', $$'good'$$), ('branding', $$'{}'$$), ('domain', $$'good.test'$$), ('value', $$'1 day'$$),
	('set_tenant_setting.name', $$'session_ttl'$$), ('reset_tenant_setting.name', $$'session_ttl'$$), ('tenant_setting.name', $$'session_ttl'$$),
	('new_owner_id', quote_literal(pg_temp.id_of('bob@acme.test'))),
	('message_id', $$'00000000-0000-7000-8000-000000000000'$$), ('event_id', 'NULL'), ('at', $$'2026-01-01'$$), ('access_at.tenant', 'NULL'),
	('checkpoint', $$'usermgmt-checkpoint-1'$$), ('before', $$'2000-01-01'$$), ('set_audit_sink.target', 'NULL'), ('erase_person.user_id', $$'00000000-0000-7000-8000-00000000000e'$$), 
	('address', $$'suppressed@good.test'$$), ('locale', $$'en'$$), ('text_body', $$'{{link}}'$$), ('html_body', $$'<p>{{link}}</p>'$$), ('set_email_template.kind', $$'invitation'$$), ('reset_email_template.kind', $$'invitation'$$), ('preview_email.kind', $$'invitation'$$),
	('emails', $$'{good@good.test}'::text[]$$), ('public_id', quote_literal(usermgmt.public_id('user', pg_temp.id_of('bob@acme.test')))), ('kind', $$'user'$$), ('settings', $$'{}'$$),
	('target', $$'public.tap_core_lead'::regclass$$), ('tenant_column', $$'tenant_id'$$), ('workspace_column', 'NULL'), ('owner_column', 'NULL'), ('audit', 'true'), ('track_activity', 'true'),
	('isolate', 'false'), ('on_removal', $$'transfer'$$), ('redact', 'NULL'), ('owner_provider', 'NULL'), ('record_activity.kind', $$'export'$$),
	('id', quote_literal(pg_temp.id_of('bob@acme.test'))), ('workspace_id', (SELECT quote_literal(workspace_id) FROM usermgmt.create_workspace('sweep', 'Sweep'))),
	('user_id', quote_literal(pg_temp.id_of('bob@acme.test'))), ('invitation_id', quote_literal(pg_temp.invite('carol@acme.test'))),
	('token', quote_literal(pg_temp.token_of(pg_temp.invite('dave@acme.test'))));

CREATE TABLE public.tap_core_lead (lead_id integer PRIMARY KEY, tenant_id uuid);
SELECT usermgmt.request_password_reset('bob@acme.test') AS x \gset
INSERT INTO usermgmt.address_suppression VALUES ('suppressed@good.test', 'bounced', now());
SELECT kind AS x FROM usermgmt.set_email_template('invitation', subject => 'Good') \gset
SELECT pg_temp.join('gone@acme.test') AS gone \gset
SELECT account_closed AS x FROM usermgmt.remove_user(:'gone', confirm => true) \gset
INSERT INTO usermgmt.account (user_id, email, canonical_email, closed_at, successor_id) VALUES ('00000000-0000-7000-8000-00000000000e', 'closed@acme.test', '', now(), gen_random_uuid());
SET LOCAL usermgmt.allow_sign_up = on;
SELECT workspace_id AS x FROM usermgmt.set_workspace_member((SELECT workspace_id FROM usermgmt.workspaces), pg_temp.id_of('bob@acme.test')) \gset
INSERT INTO good VALUES ('use_session.token', quote_literal(:'bob_token')),
	('preview_password_reset.token', quote_literal(pg_temp.mail_token('password_reset', 'bob@acme.test'))), ('reset_password.token', quote_literal(pg_temp.mail_token('password_reset', 'bob@acme.test')));
SET LOCAL usermgmt.resend_cooldown = 0;

-- What helps the views is no part of the contract.
CREATE VIEW pg_temp.public_argument AS
	SELECT p.proname AS function, p.pronargs, n, p.proargnames[n] AS argument, (p.proargtypes[n - 1])::regtype AS type,
		n > p.pronargs - p.pronargdefaults AS optional, p.proargnames
	FROM pg_temp.extension_function AS p, generate_series(1, p.pronargs) AS n
	WHERE p.proname NOT IN ('delivery_of', 'effective_seconds', 'effective_switch', 'effective_limit', 'relative_time', 'facade_statements', 'id_at')
		AND p.proname IN (SELECT object_name FROM usermgmt.access_privilege WHERE object_kind = 'function'
			UNION SELECT unnest(ARRAY['grant_access', 'revoke_access']));
SELECT is_empty($$SELECT DISTINCT argument FROM pg_temp.public_argument WHERE argument NOT IN (SELECT argument FROM good)$$,
	'every argument of every public function is tried below');

CREATE TEMPORARY TABLE bad (type regtype, kind text, value text);
INSERT INTO bad
	SELECT t, k.* FROM unnest(ARRAY['text', 'name']::regtype[]) AS t, (VALUES
		('empty', $$''$$), ('huge', $$repeat('x', 1000000)$$), ('control', $$E'a\x01\r\nb@x.test'$$), ('escape', $$E'\x1b[2J'$$)) AS k
	UNION ALL SELECT 'jsonb', k.* FROM (VALUES ('null json', $$'null'$$), ('scalar', '5::text::jsonb'), ('string', $$'"x"'$$), ('odd', $$'{"": [1]}'$$),
		('huge', $$jsonb_build_array(repeat('x', 1000000))$$)) AS k
	UNION ALL SELECT 'interval', k.* FROM (VALUES ('zero', $$'0'$$), ('negative', $$'-1 day'$$), ('huge', $$'170000000 years'$$), ('century', $$'100 years'$$)) AS k
	UNION ALL SELECT 'timestamptz', k.* FROM (VALUES ('infinite', $$'infinity'$$), ('minus infinite', $$'-infinity'$$), ('far', $$'294276-12-31'$$)) AS k
	UNION ALL SELECT 'integer', k.* FROM (VALUES ('negative', '-1'), ('largest', '2147483647')) AS k
	UNION ALL SELECT 'bigint', k.* FROM (VALUES ('negative', '-1'), ('largest', '9223372036854775807')) AS k
	UNION ALL SELECT 'uuid', k.* FROM (VALUES ('unknown', $$'00000000-0000-7000-8000-000000000001'$$), ('zero', $$'00000000-0000-0000-0000-000000000000'$$)) AS k
	UNION ALL SELECT t, 'null', 'NULL' FROM unnest(ARRAY['text', 'name', 'jsonb', 'interval', 'timestamptz', 'integer', 'bigint', 'uuid', 'boolean']::regtype[]) AS t;
CREATE TEMPORARY TABLE attempt AS
	SELECT a.function::text COLLATE "default" AS function, a.argument::text COLLATE "default" AS argument, b.kind, a.optional, pg_temp.try(format('SELECT * FROM usermgmt.%I(%s)', a.function,
		(SELECT string_agg(CASE WHEN m = a.n THEN b.value ELSE coalesce(own.value, g.value) END, ', ' ORDER BY m)
			FROM generate_series(1, a.pronargs) AS m JOIN good AS g ON g.argument = a.proargnames[m]
			LEFT JOIN good AS own ON own.argument = a.function || '.' || a.proargnames[m]))) AS outcome
	FROM pg_temp.public_argument AS a JOIN bad AS b USING (type);
SELECT cmp_ok((SELECT count(*) FROM attempt), '>', 200::bigint, 'the sweep of bad arguments is a wide one');
SELECT is_empty(
	$$SELECT * FROM attempt WHERE outcome <> 'ok' AND outcome !~ '^(22023|42501|UM...)$'
		AND NOT (argument IN ('database_role', 'for_role') AND outcome = '42704')
		AND NOT (function = 'attach_table' AND argument LIKE '%\_column' AND outcome = '42703')$$,
	'a bad argument is answered by 22023, 42501 or an error of class UM');
SELECT is_empty($$SELECT * FROM attempt WHERE outcome = 'ok' AND kind = 'null' AND NOT optional
		AND function NOT IN ('log_in', 'outbox_sending', 'outbox_sent', 'outbox_failed', 'outbox_bounced', 'id', 'public_id', 'workspace_facts')
		AND (function, argument) <> ('has_workspace_role', 'workspace_id')$$,
	'a required argument that is NULL is refused, except where an outcome says so or NULL gives NULL');
SELECT set_eq($$SELECT function, argument, outcome FROM attempt WHERE outcome <> 'ok' AND kind = 'null' AND optional$$,
	$$VALUES ('accept_invitation', 'password', 'UM021'), ('remove_user', 'confirm', 'UM050'), ('record_activity', 'kind', 'UM001'), ('update_profile', 'locale', 'UM001')$$,
	'an optional argument that is NULL means the default; a new person chooses a password, a removal is confirmed, an operator has neither activity nor profile');
SELECT set_eq(
	$$SELECT function, argument, kind FROM attempt WHERE outcome = 'ok' AND kind <> 'null' AND function <> 'log_in' AND function NOT LIKE 'outbox_%'$$,
	$$SELECT f, a, 'empty' FROM (VALUES ('create_tenant', 'owner_name'), ('invite_user', 'name'), ('invite_user', 'message'), ('accept_invitation', 'name'),
			('change_role', 'reason'), ('deactivate_user', 'reason'), ('revoke_invitation', 'reason'), ('transfer_ownership', 'reason'), ('change_invitation_role', 'reason'), ('remove_user', 'reason'), ('sign_up', 'name'), ('revoke_session', 'reason'), ('revoke_user_sessions', 'reason'), ('audit_retire', 'reason'), ('erase_person', 'reason')) AS optional (f, a)
		UNION ALL VALUES ('update_tenant', 'branding', 'odd'), ('create_workspace', 'settings', 'odd'), ('update_workspace', 'settings', 'odd'), ('invite_users', 'message', 'empty'), ('set_metadata', 'metadata', 'odd'), ('sign_up', 'password', 'control')
		UNION ALL SELECT f, a, unnest(ARRAY['unknown', 'zero']) FROM (VALUES ('public_id', 'id'), ('has_workspace_role', 'workspace_id'), ('workspace_facts', 'workspace_id')) AS answers (f, a)
		UNION ALL SELECT f, 'user_agent', unnest(ARRAY['empty', 'huge', 'control', 'escape']) FROM unnest(ARRAY['accept_invitation', 'start_session', 'sign_up']) AS f
		UNION ALL SELECT 'expose', 'schema', unnest(ARRAY['control', 'escape', 'huge'])
		UNION ALL SELECT 'access_at', 'at', unnest(ARRAY['infinite', 'minus infinite', 'far'])
		UNION ALL SELECT f, 'subject', unnest(ARRAY['control', 'escape']) FROM unnest(ARRAY['link_identity', 'user_by_identity']) AS f
		UNION ALL SELECT * FROM (VALUES ('accept_invitation', 'password', 'control'), ('reset_password', 'new_password', 'control'), 
			('events_since', 'event_id', 'unknown'), ('events_since', 'event_id', 'zero'),
			('events_since', 'max_events', 'negative'), ('events_since', 'max_events', 'largest')) AS harmless$$,
	'of odd values only an empty optional text, a strange user agent or outside id, a strong password and a feed''s bounds are accepted');

SELECT is_empty(
	$$SELECT p.proname, outcome FROM pg_temp.extension_function AS p,
			LATERAL pg_temp.try(format('SELECT usermgmt.%I(%s)', p.proname, (SELECT string_agg(format('NULL::%s', t::regtype), ', ') FROM unnest(p.proargtypes) AS t))) AS outcome
		WHERE p.prorettype <> 'trigger'::regtype AND p.proname <> 'disarm' AND outcome !~ '^(ok|22023|42501|55000|UM...)$'$$,
	'R21 every function takes NULL everywhere, those that help and that are internal too');
SELECT is_empty($$SELECT t.relation, a.attname, outcome FROM pg_temp.extension_table AS t JOIN pg_attribute AS a ON a.attrelid = t.relation AND a.attnum > 0,
			LATERAL pg_temp.try(format('UPDATE %s SET %I = NULL', t.relation, a.attname)) AS outcome WHERE outcome LIKE 'XX%'$$,
	'R21 nor has plain SQL that makes a column NULL an internal error for an answer');
SELECT is_empty($$SELECT t, pg_temp.try(format('SELECT usermgmt.relative_time(%L)', t)) FROM unnest(ARRAY['infinity', '-infinity']) AS t
		WHERE pg_temp.try(format('SELECT usermgmt.relative_time(%L)', t)) <> '22023'$$,
	'R21 an infinite time is a bad argument');

DO $$ BEGIN UPDATE usermgmt.membership SET role = 'member' WHERE user_id = pg_temp.id_of('bob@acme.test'); END $$;
SELECT results_eq($$SELECT reason, actor_user_id FROM usermgmt.audit_event WHERE action = 'user.role_changed'
		AND object_id = pg_temp.id_of('bob@acme.test')::text ORDER BY event_id DESC LIMIT 1$$,
	$$VALUES (NULL::text, NULL::uuid)$$,
	'refused calls leave neither reason nor actor behind for the next change');

SELECT * FROM finish();
ROLLBACK;
