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
SAVEPOINT s;
SELECT tenant_id AS shadow_id FROM usermgmt.create_tenant(:'acme_id', 'Shadow', 's@acme.test') \gset
SELECT is(usermgmt.use_tenant(:'acme_id'), :'acme_id'::uuid, 'S4.8 a slug in the form of an id takes nobody''s place');
ROLLBACK TO SAVEPOINT s;
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
SELECT workspace_id AS other_ws FROM usermgmt.create_workspace('site', 'Site') \gset
SELECT usermgmt.deactivate_user(:'ed') AS x \gset
SELECT pg_temp.tenant('mine') AS mine_id, pg_temp.join('ann@mine.test', 'admin') AS ann, pg_temp.join('bob@mine.test') AS bob, pg_temp.invite('ian@mine.test') AS ian \gset
CREATE TEMPORARY TABLE by_id AS SELECT p.proname AS function, p.proargnames[1] AS argument,
		'SELECT usermgmt.' || p.proname || '(%L' || CASE p.proname WHEN 'change_role' THEN ', ''admin'')' WHEN 'explain_access' THEN ', ''manage_users'')' WHEN 'change_invitation_role' THEN ', ''admin'')'
			WHEN 'change_invitation_workspaces' THEN ', ''[]'')' WHEN 'set_workspace_member' THEN ', pg_temp.id_of(''bob@mine.test''))' WHEN 'remove_workspace_member' THEN ', pg_temp.id_of(''bob@mine.test''))' ELSE ')' END AS call
	FROM pg_proc AS p WHERE p.pronamespace = 'usermgmt'::regnamespace AND p.proargnames[1] IN ('user_id', 'new_owner_id', 'invitation_id', 'workspace_id')
			AND p.pronargs > 0 AND p.proname NOT IN ('has_workspace_role', 'workspace_facts', 'link_identity', 'unlink_identity', 'start_session', 'erase_person');
SELECT cmp_ok((SELECT count(*) FROM by_id), '>=', 7::bigint, 'S4.8 the functions that take an id are tried');
SELECT pg_temp.contents() AS before \gset
SELECT is_empty(format($$SELECT who, function, id FROM by_id, unnest(ARRAY['ann@mine.test', 'owner@mine.test']) AS who,
		unnest(ARRAY[%L, %L, %L, %L, %L, %L, %L]::uuid[]) AS id
		WHERE pg_temp.state_of(format('SELECT pg_temp.act(%%L, %%L)', who, format(call, id))) <> 'UM002'$$,
		:'eve', :'ed', :'ike', :'other_ws', :'other_id', '00000000-0000-0000-0000-000000000000', gen_random_uuid()),
	'S4.8 ids of another tenant, of another kind and of nothing are the same: not found');
SELECT is_empty(format($$SELECT function, id FROM by_id, unnest(ARRAY[%L, %L, %L, %L]::uuid[]) AS id WHERE pg_temp.state_of(format(call, id)) <> 'UM002'$$, :'eve', :'ed', :'ike', :'other_ws'),
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

-- Settings of a tenant: its own, else the server's.
SELECT pg_temp.tenant('omega') AS omega_id \gset
SELECT is(usermgmt.tenant_setting('invitation_ttl'), '7 days', 'C1 the server''s setting holds for a tenant without its own');
SELECT is(pg_temp.act('owner@omega.test', $$SELECT usermgmt.set_tenant_setting('invitation_ttl', '3 days')::text$$), '', 'C1 an admin overrides it for the tenant');
SELECT is(usermgmt.tenant_setting('invitation_ttl'), '3 days', 'C1 and it holds');
SELECT is((SELECT expires_at - created_at FROM usermgmt.invite_user('ttl@omega.test')), interval '3 days', 'C1 an invitation of the tenant lives by it');
SELECT is((SELECT expires_at - created_at FROM usermgmt.invite_user('ttl2@omega.test', expires_in => '2 hours')), interval '2 hours', 'C1 and a single one by its own');
SELECT usermgmt.reset_tenant_setting('invitation_ttl') AS x \gset
SELECT is(usermgmt.tenant_setting('invitation_ttl'), '7 days', 'C1 the server''s holds again after a reset');
SELECT results_eq($$SELECT usermgmt.set_tenant_setting('session_ttl', v)::text, usermgmt.tenant_setting('session_ttl') FROM (VALUES ('30min'), ('1800'), ('30 minutes'), ('00:30:00')) AS t (v)$$,
	$$SELECT '', '00:30:00' FROM generate_series(1, 4)$$, 'S4.16 a time is understood with a unit, in seconds and as an interval');
SELECT is_empty($$SELECT name, value FROM (VALUES ('session_ttl', 'soon'), ('session_ttl', '-1 day'), ('session_ttl', '0'), ('session_ttl', '20 years'), ('session_ttl', NULL), ('invitations_enabled', 'maybe'),
		('locale', 'x y'), ('base_url', 'javascript:alert(1)'), ('from_email', 'nobody'), ('no_such', 'x'), (NULL, 'x')) AS t (name, value)
	WHERE pg_temp.try(format('SELECT usermgmt.set_tenant_setting(%L, %L)', name, value)) <> '22023'$$, 'S4.16 a value that does not fit, or another name, is refused');
SELECT is(pg_temp.try($$UPDATE usermgmt.tenant SET settings = '{"session_ttl": "soon"}' WHERE slug = 'omega'$$), '22023', 'S4.16 also by bare SQL');
SELECT is(pg_temp.join('adam@omega.test', 'admin') IS NOT NULL, true, 'S1.6 an admin joins');
SELECT is(pg_temp.act('adam@omega.test', $$SELECT usermgmt.set_tenant_setting('resend_cooldown', '1 minute')::text$$), '', 'S4.16 an admin sets an ordinary setting');
SELECT is(pg_temp.try(format('SELECT pg_temp.act(%L, %L)', 'adam@omega.test', $$SELECT usermgmt.set_tenant_setting('allow_owner_invitations', 'on')::text$$)), '42501', 'C3 but not whether owners may be invited');
SELECT is(pg_temp.act('owner@omega.test', $$SELECT usermgmt.set_tenant_setting('allow_owner_invitations', 'on')::text$$), '', 'C3 an owner does');
SELECT is(pg_temp.try(format('SELECT pg_temp.act(%L, %L)', 'owner@omega.test', $$SELECT usermgmt.set_tenant_setting('base_url', 'https://evil.test')::text$$)), '42501', 'R10 where links lead is not a tenant''s to choose');
SELECT is(pg_temp.events('tenant.updated', :'omega_id') > 0, true, 'S0.15 changes of settings are in the trail');

-- Name, slug, branding.
SELECT results_eq($$SELECT name, slug, branding FROM usermgmt.update_tenant(name => 'Omega Ltd', branding => '{"colour": "#336699"}')$$, $$VALUES ('Omega Ltd', 'omega', '{"colour": "#336699"}'::jsonb)$$, 'S4.16 an admin changes name and branding, and what is not named stays');
SELECT is(pg_temp.try($$SELECT usermgmt.update_tenant(slug => 'acme')$$), '23505', 'S4.16 a slug that is taken is refused');
SELECT is(pg_temp.try($$SELECT usermgmt.update_tenant(branding => '[]')$$), '22023', 'S4.16 branding is an object');

-- Domains.
SELECT usermgmt.allow_invite_domain('Example.COM') AS x, usermgmt.allow_invite_domain('.example.org') AS y \gset
SELECT results_eq($$SELECT a, pg_temp.try(format('SELECT usermgmt.invite_user(%L)', a)) FROM unnest(ARRAY['a@example.com', 'a@EXAMPLE.com', 'a@sub.example.com', 'a@evilexample.com', 'a@example.com.evil.org', 'a@example.org', 'a@sub.example.org', 'a@a.b.example.org', 'a@evilexample.org']) AS a$$,
	$$VALUES ('a@example.com', 'ok'), ('a@EXAMPLE.com', 'ok'), ('a@sub.example.com', 'UM034'), ('a@evilexample.com', 'UM034'), ('a@example.com.evil.org', 'UM034'), ('a@example.org', 'UM034'), ('a@sub.example.org', 'ok'), ('a@a.b.example.org', 'ok'), ('a@evilexample.org', 'UM034')$$,
	'S1.5 complaint 11 only listed domains are invited, subdomains only with a leading dot');
SELECT results_eq('SELECT domain FROM usermgmt.invite_domains ORDER BY domain COLLATE "C"', $$VALUES ('.example.org'), ('example.com')$$, 'S1.5 an admin lists them');
SELECT usermgmt.disallow_invite_domain('example.com') AS x, usermgmt.disallow_invite_domain('.example.org') AS y \gset
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('a@anywhere.test')$$), 'ok', 'S1.5 an empty list allows all');
SELECT is(pg_temp.try($$SELECT usermgmt.disallow_invite_domain('example.com')$$), 'UM002', 'S1.5 a domain that is not listed can not be taken off');
SELECT is_empty($$SELECT d FROM unnest(ARRAY['', 'nodot', 'a b.test', '@example.com', '*.example.com', 'exa_mple.com', NULL]) AS d WHERE pg_temp.try(format('SELECT usermgmt.allow_invite_domain(%L)', d)) <> '22023'$$, 'S1.5 what is no domain is refused');

-- Suspension by function.
SELECT is(pg_temp.try(format('SELECT pg_temp.act(%L, %L)', 'owner@omega.test', $$SELECT status FROM usermgmt.suspend_tenant('x')$$)), '42501', 'S0.18 an owner does not suspend the tenant');
SELECT is((SELECT status FROM usermgmt.suspend_tenant('unpaid')), 'suspended', 'D13 an operator suspends it');
SELECT is((SELECT count(*) FROM usermgmt.session WHERE tenant_id = :'omega_id' AND state = 'open'), 0::bigint, 'D13 and no session is left');
SELECT is(pg_temp.try($$SELECT usermgmt.suspend_tenant('again')$$), 'UM036', 'D13 a second time it is suspended already');
SELECT is((SELECT status FROM usermgmt.resume_tenant()), 'active', 'D13 and resumed');

SELECT * FROM finish();
ROLLBACK;
