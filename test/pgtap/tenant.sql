-- Tenants: founded with an owner, isolated from each other, closed when suspended.
BEGIN;
\ir helpers.psql
SELECT no_plan();

-- Founding (S2.24).
SELECT results_eq($$SELECT slug, name, status, branding FROM usermgmt.create_tenant('acme', 'Acme Ltd', 'Olga@Acme.test', 'Olga')$$,
	$$VALUES ('acme', 'Acme Ltd', 'active', '{}'::jsonb)$$, 'S2.24 creating a tenant returns it');
SELECT usermgmt.use_tenant('acme') AS acme_id \gset
SELECT results_eq('SELECT email, name, role, is_primary_owner, status FROM usermgmt.members', $$VALUES ('Olga@Acme.test', 'Olga', 'owner', true, 'active')$$,
	'S2.24 with its first owner, who is the primary one');
SELECT results_eq($$SELECT kind, recipient, state FROM usermgmt.mail_queue$$, $$VALUES ('welcome', 'Olga@Acme.test', 'queued')$$, 'S2.24 and queues a welcome mail');
SELECT is(:'acme_id'::uuid, (SELECT tenant_id FROM usermgmt.tenants), 'S2.24 the tenants view shows the selected one');
SELECT is(usermgmt.use_tenant(:'acme_id'), :'acme_id'::uuid, 'S2.24 a tenant is selected by slug or by id');
SELECT throws_ok($$SELECT usermgmt.use_tenant('nowhere')$$, 'UM002', NULL, 'S2.24 an unknown tenant is not found');
SELECT is((SELECT tenant_id FROM usermgmt.tenants), :'acme_id'::uuid, 'S2.24 and the selected one stays selected');
SAVEPOINT s;
SELECT tenant_id AS beta_id FROM usermgmt.create_tenant('beta', 'Beta', 'b@beta.test') \gset
SELECT usermgmt.use_tenant('beta') AS x \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(usermgmt.current_tenant_id(), :'acme_id'::uuid, 'S2.24 ROLLBACK TO SAVEPOINT restores the selected tenant');
SELECT pg_temp.contents() AS before \gset
SELECT throws_ok($$SELECT usermgmt.create_tenant('acme', 'Second', 'new@acme.test')$$, '23505', NULL, 'S2.24 a slug is taken once');
SELECT is_empty($$SELECT slug FROM unnest(ARRAY['Acme', 'a b', 'a_b', '-a', 'a-', 'a--b', 'a.b', 'ä', repeat('a', 64), '', E'a\n', '%', NULL]) AS slug
		WHERE pg_temp.state_of(format('SELECT usermgmt.create_tenant(%L, %L, %L)', slug, 'X', 'x@x.test')) <> '22023'$$, 'S2.24 a slug is of a-z, 0-9 and inner hyphens, at most 63');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S2.24 what was refused left nothing');
SELECT pg_temp.mail_token('welcome', 'Olga@Acme.test') AS welcome_token \gset
SELECT is((SELECT text_body LIKE '%/set-password?token=%' FROM mail WHERE kind = 'welcome'), true,
	'S2.24 the welcome mail has a link to set a password');
SELECT usermgmt.reset_password(:'welcome_token', 'olgas long password') AS x \gset
SELECT is((SELECT outcome || ' ' || role FROM usermgmt.log_in('olga@acme.test', 'olgas long password')), 'ok owner', 'S2.24 by which the owner gets in');
SELECT throws_ok(format('UPDATE usermgmt.tenant SET state = %L WHERE tenant_id = %L', 'creating', :'acme_id'), 'UM036', NULL, 'B10 a founded tenant is not founded again by bare SQL');

-- Isolation (S4.8).
SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test', 'admin') AS eve, pg_temp.join('ed@other.test') AS ed, pg_temp.invite('ike@other.test') AS ike \gset
SELECT usermgmt.deactivate_user(:'ed') AS x \gset
SELECT pg_temp.tenant('mine') AS mine_id, pg_temp.join('ann@mine.test', 'admin') AS ann, pg_temp.join('bob@mine.test') AS bob, pg_temp.invite('ian@mine.test') AS ian \gset
CREATE TEMPORARY TABLE by_id AS SELECT p.proname AS function, p.proargnames[1] AS argument,
		'SELECT usermgmt.' || p.proname || '(%L' || CASE p.proname WHEN 'change_role' THEN ', ''admin'')' ELSE ')' END AS call
	FROM pg_proc AS p WHERE p.pronamespace = 'usermgmt'::regnamespace AND p.proargnames[1] IN ('user_id', 'invitation_id') AND p.pronargs > 0;
SELECT cmp_ok((SELECT count(*) FROM by_id), '>=', 7::bigint, 'S4.8 the functions that take an id are tried');
SELECT pg_temp.contents() AS before \gset
SELECT is_empty(format($$SELECT who, function, id FROM by_id, unnest(ARRAY['ann@mine.test', 'owner@mine.test']) AS who,
		unnest(ARRAY[%L, %L, %L, %L, %L, %L]::uuid[]) AS id
		WHERE pg_temp.state_of(format('SELECT pg_temp.act(%%L, %%L)', who, format(call, id))) <> 'UM002'$$,
		:'eve', :'ed', :'ike', :'other_id', '00000000-0000-0000-0000-000000000000', gen_random_uuid()),
	'S4.8 ids of another tenant, of another kind and of nothing are the same: not found');
SELECT is_empty(format($$SELECT function, id FROM by_id, unnest(ARRAY[%L, %L, %L]::uuid[]) AS id WHERE pg_temp.state_of(format(call, id)) <> 'UM002'$$, :'eve', :'ed', :'ike'),
	'S4.8 for an operator too, in the tenant that is selected');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S4.8 and nothing was written');
CREATE ROLE tap_tenant_app;
SELECT usermgmt.grant_access('tap_tenant_app', 'application') AS x \gset
SELECT is_empty(format($$SELECT v FROM unnest(ARRAY['tenants', 'members', 'invitations', 'pending_invitations', 'audit_trail']) AS v
		WHERE pg_temp.act('ann@mine.test', format('SELECT pg_temp.run_as(%%L, %%L)', 'tap_tenant_app', format('SELECT string_agg(DISTINCT tenant_id::text, %%L) FROM usermgmt.%%I', ',', v))) IS DISTINCT FROM %L$$, :'mine_id'),
	'S4.8 every view shows an admin the own tenant and no other');
SELECT is_empty($$SELECT v FROM unnest(ARRAY['members', 'invitations', 'pending_invitations', 'audit_trail']) AS v
		WHERE pg_temp.act('bob@mine.test', format('SELECT pg_temp.run_as(%L, %L)', 'tap_tenant_app', format('SELECT count(*) FROM usermgmt.%I', v))) <> '0'$$,
	'S3.1 no view of user management shows a member anything');
SELECT is(pg_temp.act('bob@mine.test', $$SELECT pg_temp.run_as('tap_tenant_app', 'SELECT slug FROM usermgmt.tenants')$$), 'mine', 'S4.8 a member sees the own tenant');
SELECT is(pg_temp.act('ann@mine.test', $$SELECT pg_temp.run_as('tap_tenant_app', 'SELECT total FROM usermgmt.member_statistics')$$), '3', 'S4.8 statistics count the own tenant only');

-- Suspension.
SELECT pg_temp.token_of(:'ian') AS ian_token \gset
UPDATE usermgmt.tenant SET suspended_at = now() WHERE slug = 'mine';
SELECT throws_ok(format('SELECT usermgmt.accept_invitation(%L, %L)', :'ian_token', 'ians long password'), 'UM041', NULL, 'a suspended tenant accepts no invitation');
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@mine.test', 'secret of bob@mine.test')), 'deactivated', 'a suspended tenant admits nobody');
SELECT is((SELECT outcome FROM usermgmt.log_in('owner@mine.test', 'owner of owner@mine.test', 'mine')), 'deactivated', 'not even its owner');
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@mine.test', 'a wrong password')), 'invalid_credentials', 'a wrong password does not tell that the tenant is suspended');
SELECT is_empty($$SELECT email FROM person WHERE email LIKE '%@mine.test' AND pg_temp.state_of(format('SELECT usermgmt.use_session(%L)', token)) <> 'UM001'$$,
	'S0.10 every session of a suspended tenant is over');
SELECT is_empty($$SELECT email FROM person WHERE email LIKE '%@other.test' AND email <> 'ed@other.test' AND pg_temp.state_of(format('SELECT usermgmt.use_session(%L)', token)) <> 'ok'$$,
	'S4.8 and none of another tenant');
SELECT usermgmt.end_use() AS x \gset
SELECT throws_ok($$SELECT usermgmt.invite_user('new@mine.test')$$, 'UM041', NULL, 'nobody is invited into a suspended tenant');
SELECT throws_ok(format('SELECT usermgmt.resend_invitation(%L)', :'ian'), 'UM041', NULL, 'nor again');
SELECT results_eq($$SELECT status, suspended_at IS NOT NULL FROM usermgmt.tenants$$, $$VALUES ('suspended', true)$$, 'the view tells that a tenant is suspended');
UPDATE usermgmt.tenant SET suspended_at = NULL WHERE slug = 'mine';
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@mine.test', 'secret of bob@mine.test')), 'ok', 'a resumed tenant admits its members again');
SELECT is(pg_temp.try(format('SELECT usermgmt.use_session(%L)', token)), 'UM001', 'S0.11 but a session from before stays dead') FROM person WHERE email = 'bob@mine.test';
SELECT is((SELECT outcome FROM usermgmt.accept_invitation(:'ian_token', 'ians long password')), 'ok', 'and its invitations are accepted again');

SELECT * FROM finish();
ROLLBACK;
