-- People: one account per address however it is typed, and one in many tenants.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id \gset
SELECT invitation_id AS invitation FROM usermgmt.invite_user(' Bob@X.com ') \gset
SELECT is((SELECT email FROM usermgmt.invitations WHERE invitation_id = :'invitation'), 'Bob@X.com', 'S3.7 an address is kept as typed, without blanks around it');
SELECT is_empty($$SELECT a FROM unnest(ARRAY['bob@x.com', 'BOB@X.COM', ' bob@x.com ', 'Bob@X.com', 'bOb@x.cOm']) AS a
		WHERE pg_temp.try(format('SELECT usermgmt.invite_user(%L)', a)) <> 'UM033'$$, 'S2.1 one open invitation per address, however it is typed');
SELECT user_id AS bob FROM usermgmt.accept_invitation(pg_temp.token_of(:'invitation'), 'bobs long password') \gset
SELECT is_empty($$SELECT a FROM unnest(ARRAY['bob@x.com', 'BOB@X.COM', ' bob@x.com ']) AS a WHERE pg_temp.try(format('SELECT usermgmt.invite_user(%L)', a)) <> 'UM032'$$,
	'S2.3 a member is a member, however the address is typed');
SELECT is_empty(format($$SELECT a FROM unnest(ARRAY['bob@x.com', 'BOB@X.COM', ' bob@x.com ', 'Bob@X.com']) AS a
		WHERE (SELECT user_id FROM usermgmt.log_in(a, 'bobs long password')) IS DISTINCT FROM %L$$, :'bob'), 'S4.2 the person logs in, however the address is typed');
SELECT usermgmt.request_password_reset(' BOB@x.COM') AS x, pg_temp.mail_token('password_reset', 'Bob@X.com') AS y \gset
SELECT results_eq($$SELECT user_id FROM usermgmt.password_reset WHERE origin = 'self'$$, format('VALUES (%L::uuid)', :'bob'), 'S0.8 asks for a reset, however the address is typed');
SELECT pg_temp.tenant('beta') AS beta_id \gset
SELECT invitation_id AS second FROM usermgmt.invite_user('BOB@X.COM', 'admin') \gset
SELECT pg_temp.token_of(:'second') AS second_token \gset
SELECT is((SELECT account_exists FROM usermgmt.preview_invitation(:'second_token')), true, 'S4.2 an invitation tells that the account exists');
SELECT is((SELECT outcome FROM usermgmt.accept_invitation(:'second_token', 'bobs other password')), 'invalid_credentials', 'S4.2 a known person needs the account''s password');
SELECT is((SELECT status FROM usermgmt.invitations WHERE invitation_id = :'second'), 'pending', 'S4.2 and a wrong one uses nothing up');
SELECT is((SELECT user_id FROM usermgmt.accept_invitation(:'second_token', 'bobs long password')), :'bob'::uuid, 'S4.2 the same person joins a second tenant');
SELECT is((SELECT count(*) FROM usermgmt.account WHERE canonical_email = 'bob@x.com'), 1::bigint, 'S4.2 with one account');
SELECT results_eq(format('SELECT tenant_id, role FROM usermgmt.membership WHERE user_id = %L ORDER BY role', :'bob'), format($$VALUES (%L::uuid, 'admin'), (%L, 'member')$$, :'beta_id', :'acme_id'),
	'S4.8 and a role of its own in each tenant');
SELECT is((SELECT count(*) FROM usermgmt.create_tenant('gamma', 'Gamma', 'bob@X.com')), 1::bigint, 'S2.24 a known person can own a further tenant');
SELECT is((SELECT user_id FROM usermgmt.membership AS m JOIN usermgmt.tenant AS t USING (tenant_id) WHERE slug = 'gamma'), :'bob'::uuid, 'S2.24 with the same account');

-- An existing account joins by a bound session of the same address, and no other.
SELECT pg_temp.tenant('delta') AS delta_id \gset
SELECT invitation_id AS third FROM usermgmt.invite_user('bob@x.com') \gset
SELECT pg_temp.token_of(:'third') AS third_token \gset
SELECT is(pg_temp.act('owner@acme.test', format('SELECT outcome FROM usermgmt.accept_invitation(%L)', :'third_token')), 'invalid_credentials', 'S4.2 somebody else''s session does not accept');
SELECT session_token AS bob_token FROM usermgmt.log_in('bob@x.com', 'bobs long password', 'acme') \gset
SELECT user_id AS x FROM usermgmt.use_session(:'bob_token') \gset
SELECT results_eq(format('SELECT outcome, user_id, tenant_id FROM usermgmt.accept_invitation(%L)', :'third_token'), format($$VALUES ('ok', %L::uuid, %L::uuid)$$, :'bob', :'delta_id'),
	'S4.2 the own session accepts without a password');
SELECT usermgmt.end_use() AS x \gset

-- The grammar.
SELECT is_empty($$SELECT a FROM unnest(ARRAY['', ' ', 'x', '@x.test', 'x@', 'x@y', 'x@@y.test', 'x y@z.test', '.x@y.test', 'x.@y.test', 'x..y@z.test', '"x"@y.test', 'x(y)@z.test',
		'<x@y.test>', 'x@y..test', 'x@-y.test', 'x@y-.test', 'x@.test', 'x@test.', 'x@[127.0.0.1]', 'x@y_z.test', E'x@y.test\r\nBcc: z@y.test', E'x\t@y.test', E'x@y.test\x7f', 'bäb@y.test',
		'b@ÿ.test', 'x@y.test,z@y.test', repeat('x', 65) || '@y.test', 'x@' || repeat('y', 64) || '.test', 'x@' || repeat('y.', 150) || 'test', repeat('x', 1000000) || '@y.test', NULL]) AS a
		WHERE pg_temp.try(format('SELECT usermgmt.invite_user(%L)', a)) <> '22023' OR pg_temp.try(format('SELECT usermgmt.request_password_reset(%L)', a)) <> '22023'$$,
	'S2.1 what is no plain address is refused');
SELECT is_empty($$SELECT a FROM unnest(ARRAY['x@y.test', 'x+tag@y.test', 'o''hara@y.test', 'x.y@z.co.uk', 'x@1and1.test', 'x@xn--d1acufc.xn--p1ai', '1@y.test', '!#$%&*/=?^`{|}~-@y.test', repeat('x', 64) || '@y.test']) AS a
		WHERE pg_temp.try(format('SELECT usermgmt.invite_user(%L)', a)) <> 'ok'$$, 'S2.1 every plain address is accepted');
SELECT pg_temp.join('a_b@x.test') AS underscore, pg_temp.join('%@x.test') AS percent \gset
SELECT is(pg_temp.try(format('SELECT usermgmt.invite_user(%L)', a)), 'ok', 'S2.1 _ and % in an address are letters, not patterns: ' || a) FROM unnest(ARRAY['acb@x.test', 'x@x.test', '%b@x.test', '_@x.test']) AS a;
SELECT is((SELECT outcome FROM usermgmt.log_in(a, 'secret of a_b@x.test')), 'invalid_credentials', 'S2.1 also at sign-in: ' || a) FROM unnest(ARRAY['acb@x.test', '%@x.test', 'a%@x.test']) AS a;
SELECT is((SELECT user_id FROM usermgmt.log_in('%@x.test', 'secret of %@x.test')), :'percent'::uuid, 'S2.1 such a person signs in');

-- By bare SQL.
INSERT INTO usermgmt.account (user_id, email, canonical_email) VALUES (gen_random_uuid(), ' Zoe@X.test ', 'nonsense');
SELECT results_eq($$SELECT email, canonical_email FROM usermgmt.account WHERE email ~* 'zoe'$$, $$VALUES ('Zoe@X.test', 'zoe@x.test')$$, 'S2.1 bare SQL can not store another canonical form');
SELECT throws_ok($$INSERT INTO usermgmt.account (user_id, email, canonical_email) VALUES (gen_random_uuid(), 'zoe@x.TEST', 'other')$$, '23505', NULL, 'S2.1 nor a second account of one address');
SELECT throws_ok($$INSERT INTO usermgmt.account (user_id, email, canonical_email) VALUES (gen_random_uuid(), 'not an address', 'x')$$, '22023', NULL, 'S2.1 nor what is no address');
SELECT throws_ok(format('UPDATE usermgmt.account SET email = %L WHERE user_id = %L', 'ZOE@X.test', :'bob'), '23505', NULL, 'S2.1 nor take somebody''s address');
UPDATE usermgmt.account SET email = 'Robert@X.com' WHERE user_id = :'bob';
SELECT is((SELECT user_id FROM usermgmt.log_in('robert@x.com', 'bobs long password', 'acme')), :'bob'::uuid, 'S2.1 a new address by bare SQL is the one to log in with');
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@x.com', 'bobs long password', 'acme')), 'invalid_credentials', 'S2.1 and the old one is not');
SELECT is((SELECT email FROM usermgmt.use_session(:'bob_token')), 'Robert@X.com', 'S2.1 it shows in the sessions that go on');
SELECT usermgmt.end_use() AS x \gset
SELECT pg_temp.invite('pia@x.test') AS pia \gset
UPDATE usermgmt.invitation SET email = 'Quinn@X.test' WHERE invitation_id = :'pia';
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('quinn@x.test')$$), 'UM033', 'S2.1 one open invitation per address, also when bare SQL changed it');
SELECT is(pg_temp.try($$SELECT usermgmt.invite_user('pia@x.test')$$), 'ok', 'S2.1 and the former address is free');

-- Closed: the address is released, the id stays.
SELECT throws_ok(format('UPDATE usermgmt.account SET closed_at = now() WHERE user_id = %L', :'percent'), 'UM036', NULL, 'C12 nobody is closed who still belongs to a tenant');
DELETE FROM usermgmt.membership WHERE user_id = :'percent';
SELECT is((SELECT closed_at IS NOT NULL AND password_hash IS NULL FROM usermgmt.account WHERE user_id = :'percent'), true, 'C12 removal from the last tenant closes the account and erases the hash, also by bare SQL');
SELECT throws_ok(format('UPDATE usermgmt.account SET closed_at = NULL WHERE user_id = %L', :'percent'), 'UM036', NULL, 'C12 for good');
SELECT throws_ok(format('INSERT INTO usermgmt.membership (tenant_id, user_id, role) SELECT tenant_id, %L, %L FROM usermgmt.tenant', :'percent', 'member'), 'UM036', NULL, 'C12 it joins no tenant any more');
SELECT is((SELECT outcome FROM usermgmt.log_in('%@x.test', 'secret of %@x.test')), 'invalid_credentials', 'C12 a closed account lets nobody in');
SELECT is(pg_temp.try((SELECT format('SELECT usermgmt.use_session(%L)', token) FROM person WHERE email = '%@x.test')), 'UM001', 'C12 its sessions are over');
SELECT isnt(pg_temp.join(email), :'percent'::uuid, 'S3.20 C12 its address can be invited again, and makes a new account') FROM (VALUES ('%@X.test')) AS v (email);

SELECT * FROM finish();
ROLLBACK;
