-- Sign-up: a tenant of one's own, where the server lets anybody; nothing of somebody else's.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('bob@acme.test') AS bob, pg_temp.join('carol@acme.test') AS carol \gset
SELECT tenant_id AS early_id FROM usermgmt.create_tenant('early', 'Early', 'early@acme.test') \gset
CREATE ROLE tap_sign_up_app;
SELECT usermgmt.grant_access('tap_sign_up_app', 'application') AS x \gset
CREATE FUNCTION pg_temp.sign_up(slug text, address text, password text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (SELECT outcome FROM usermgmt.sign_up(slug, initcap(slug), address, password));
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
CREATE FUNCTION pg_temp.count_of(kind text, slug text) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM usermgmt.audit_event WHERE action = kind AND tenant_id = (SELECT t.tenant_id FROM usermgmt.tenant AS t WHERE t.slug = count_of.slug)
$$;

-- Off, unless the server's keeper says so.
SELECT is(current_setting('usermgmt.allow_sign_up'), 'off', 'S3.7 sign-up is off by default');
SELECT pg_temp.contents() AS before \gset
SELECT is(pg_temp.sign_up('mine', address, password), '42501', 'S3.7 and then refused: ' || what) FROM (VALUES ('a new person', 'zoe@new.test', 'a good password'), ('a known one', 'bob@acme.test', 'secret of bob@acme.test'), ('with a wrong password', 'bob@acme.test', 'wrong'), ('with a weak one', 'zoe@new.test', 'x')) AS c (what, address, password);
SELECT is(pg_temp.run_as('tap_sign_up_app', $$SELECT usermgmt.sign_up('mine', 'Mine', 'zoe@new.test', 'a good password')$$), 'error 42501', 'S3.7 for the application too');
SELECT is(pg_temp.run_as('tap_sign_up_app', 'SELECT set_config(''usermgmt.allow_sign_up'', ''on'', true)'), 'error 42501', 'S3.7 which does not switch it on');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S3.7 what was refused left nothing, and counts as no wrong password');
SET LOCAL usermgmt.allow_sign_up = on;

-- A new person.
SELECT pg_temp.run_as('tap_sign_up_app', $$SELECT to_jsonb(s) FROM usermgmt.sign_up('zoo', 'Zoo Ltd', ' Zoe@New.test', 'zoes long password', 'Zoe') AS s$$) AS started \gset
SELECT :'started'::jsonb ->> 'user_id' AS zoe, :'started'::jsonb ->> 'tenant_id' AS zoo_id, :'started'::jsonb ->> 'session_token' AS zoe_token \gset
SELECT is(:'started'::jsonb ->> 'outcome' || ' ' || (:'started'::jsonb ->> 'role') || ' ' || (:'started'::jsonb -> 'detail'), 'ok owner null', 'S2.24 S3.7 a new person founds a tenant and is signed in as its owner');
SELECT results_eq(format('SELECT slug, name, state, owner_count, suspended_at, settings FROM usermgmt.tenant WHERE tenant_id = %L', :'zoo_id'), $$VALUES ('zoo', 'Zoo Ltd', 'active', 1, NULL::timestamptz, '{}'::jsonb)$$, 'S2.24 the tenant is there');
SELECT results_eq(format('SELECT user_id, email, name, role, is_primary_owner, status, activity FROM usermgmt.member_detail WHERE tenant_id = %L', :'zoo_id'), format($$VALUES (%L::uuid, 'Zoe@New.test', 'Zoe', 'owner', true, 'active', 'active')$$, :'zoe'), 'S2.24 C8 with its owner, who is the primary one, and nobody else');
SELECT results_eq(format('SELECT user_id, tenant_id, role, email, expires_at - now() > interval ''7 hours 59 minutes'' FROM usermgmt.use_session(%L)', :'zoe_token'), format($$VALUES (%L::uuid, %L::uuid, 'owner', 'Zoe@New.test', true)$$, :'zoe', :'zoo_id'), 'S4.18 the session works');
SELECT is((SELECT role FROM usermgmt.invite_user('first@new.test', 'admin')) || (SELECT count(*) FROM usermgmt.members), 'admin1', 'S3.3 S4.8 the owner may what owners may, in the own tenant');
SELECT usermgmt.end_use() AS x \gset
SELECT is(usermgmt.current_tenant_id() <> :'zoo_id'::uuid, true, 'S4.8 the operator''s selected tenant stays selected');
SELECT is((SELECT outcome || ' ' || tenant_id FROM usermgmt.log_in('zoe@new.test', 'zoes long password')), 'ok ' || :'zoo_id', 'S4.2 the person logs in with the chosen password');
SELECT is((SELECT verified_at FROM usermgmt.account WHERE user_id = :'zoe'), NULL, 'B1 the address is not proven by typing it');
SELECT results_eq(format('SELECT kind, recipient, subject_id FROM usermgmt.outbox WHERE tenant_id = %L AND kind <> %L', :'zoo_id', 'invitation'), format($$VALUES ('welcome', 'Zoe@New.test', %L::uuid)$$, :'zoe'), 'S2.24 a welcome mail is queued');
SELECT is(pg_temp.mail_token('welcome', 'Zoe@New.test'), NULL, 'S2.24 it has no token');
SELECT is((SELECT subject ~ 'Zoo Ltd' AND text_body ~ 'Zoe' AND text_body || html_body !~ 'token|set-password' FROM mail WHERE recipient = 'Zoe@New.test'), true, 'S2.24 and no link, the person having a password');
SELECT is_empty(format('SELECT FROM usermgmt.password_reset WHERE user_id = %L', :'zoe'), 'S2.24 for none was opened');

-- Names that do not do.
SELECT pg_temp.contents() AS before \gset
SELECT is_empty($$SELECT slug FROM unnest(ARRAY['Mine', 'a b', 'a_b', '-a', 'a-', 'a--b', 'a.b', 'ä', repeat('a', 64), '', E'a\n', '%', NULL]) AS slug WHERE pg_temp.sign_up(slug, 'x@new.test', 'a good password') <> '22023'$$, 'S2.24 a slug is of a-z, 0-9 and inner hyphens, at most 63');
SELECT is(pg_temp.sign_up(slug, address, password), '23505', 'S2.24 a slug is taken once: ' || what)
	FROM (VALUES ('by an operator''s tenant', 'acme', 'x@new.test', 'a good password'), ('by one that was signed up', 'zoo', 'x@new.test', 'a good password'), ('also for its owner', 'zoo', 'zoe@new.test', 'zoes long password'), ('whatever the password', 'zoo', 'zoe@new.test', 'wrong'), ('as another one''s id', :'acme_id', 'x@new.test', 'a good password')) AS c (what, slug, address, password);
SELECT is_empty($$SELECT name FROM unnest(ARRAY['', ' ', NULL, E'a\nb', E'a\x01', repeat('x', 201)]) AS name WHERE pg_temp.try(format('SELECT usermgmt.sign_up(%L, %L, %L, %L)', 'mine', name, 'x@new.test', 'a good password')) <> '22023'$$, 'S2.24 the tenant has a name');
SELECT is_empty($$SELECT name FROM unnest(ARRAY[E'a\nb', repeat('x', 201)]) AS name WHERE pg_temp.try(format('SELECT usermgmt.sign_up(%L, %L, %L, %L, %L)', 'mine', 'Mine', 'x@new.test', 'a good password', name)) <> '22023'$$, 'S2.24 and the person one that is a name, if any');
SELECT is_empty($$SELECT a FROM unnest(ARRAY['', 'x', 'x@', '@x.test', 'x y@z.test', E'x@y.test\r\nBcc: z@y.test', 'x@y.test,z@y.test', repeat('x', 65) || '@y.test', NULL]) AS a WHERE pg_temp.sign_up('mine', a, 'a good password') <> '22023'$$, 'S2.1 what is no plain address is refused');
SELECT is(pg_temp.try(format('SELECT usermgmt.sign_up(%L, %L, %L, %L, %L)', 'greenhouse', 'Green House', 'gardener@new.test', password, 'Rose Gardener')), 'UM021', 'S2.3 a password is not ' || what)
	FROM (VALUES ('missing', NULL), ('empty', ''), ('short', 'seven77'), ('huge', repeat('x', 1025)), ('the address', 'Gardener@NEW.test'), ('the part of it before the @', 'GARDENER'), ('the person''s name', 'rose gardener'), ('the product''s', 'UserMgmt')) AS c (what, password);
SELECT is(pg_temp.try(format('SELECT usermgmt.sign_up(%L, %L, %L, %L, %L)', 'greenhouse', 'Green House', 'gardener@new.test', password, 'Rose Gardener')), 'UM021', 'S2.3 R12 nor ' || what || ', as with an invitation') FROM (VALUES ('the tenant''s name', 'green house'), ('its slug', 'greenhouse')) AS c (what, password);
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S2.24 what was refused left nothing: no tenant, no account, no entry, no mail');
SELECT is(pg_temp.sign_up('eight', 'eight@new.test', 'v7 kq#Zp'), 'ok', 'S2.3 eight octets are enough');

-- Someone with an account.
SELECT pg_temp.contents('login_throttle') AS before \gset
SELECT is(pg_temp.sign_up('robs', address, password), 'invalid_credentials', 'S4.2 a known person needs the account''s password, not ' || what)
	FROM (VALUES ('another', 'bob@acme.test', 'a good password'), ('none', 'BOB@acme.test', NULL), ('a huge one', 'bob@acme.test', repeat('x', 1025)), ('somebody else''s', 'bob@acme.test', 'secret of carol@acme.test'), ('any where none was chosen yet', 'early@acme.test', 'a good password'), ('nor none there', 'early@acme.test', NULL)) AS c (what, address, password);
SELECT is(pg_temp.act('carol@acme.test', 'SELECT pg_temp.sign_up(''robs'', ''bob@acme.test'', NULL)'), 'invalid_credentials', 'S4.2 nor somebody else''s session');
SELECT is(pg_temp.contents('login_throttle'), :'before'::jsonb, 'S4.2 which changes nothing but the throttle');
SELECT is((SELECT string_agg(address, ',' ORDER BY address) FROM usermgmt.login_throttle), 'bob@acme.test,early@acme.test', 'S4.2 and is counted there');
SELECT * FROM usermgmt.sign_up('robs', 'Robs', 'Bob@ACME.test', 'secret of bob@acme.test', 'Robert') \gset
SELECT is(:'outcome' || :'role' || :'user_id', 'okowner' || :'bob', 'S4.2 with it the same person owns a further tenant');
SELECT is((SELECT name IS NULL AND email = 'bob@acme.test' FROM usermgmt.account WHERE user_id = :'bob'), true, 'S4.2 and the account stays as it was');
SELECT results_eq(format('SELECT t.slug, m.role, m.status FROM usermgmt.membership AS m JOIN usermgmt.tenant AS t USING (tenant_id) WHERE m.user_id = %L ORDER BY slug', :'bob'), $$VALUES ('acme', 'member', 'active'), ('robs', 'owner', 'active')$$, 'S4.8 with a role of its own in each');
SELECT is(pg_temp.try(format('SELECT usermgmt.use_session(%L)', token)), 'ok', 'S4.2 and the session of the first lives on') FROM person WHERE email = 'bob@acme.test';
SELECT is((SELECT failures FROM usermgmt.login_throttle WHERE address = 'bob@acme.test'), 5, 'R15 the right password gives nobody new guesses');
SELECT is(pg_temp.act('carol@acme.test', 'SELECT outcome || role || user_id || (tenant_id <> usermgmt.current_tenant_id()) FROM usermgmt.sign_up(''choir'', ''Choir'', ''carol@acme.test'', NULL)'), 'okowner' || :'carol' || 'true', 'S4.2 who has a session bound needs no password, and the session stays where it is');
SELECT is(pg_temp.act('carol@acme.test', 'SELECT pg_temp.sign_up(''carols'', ''carol@acme.test'', ''wrong'')'), 'ok', 'S4.2 nor is one looked at');
UPDATE usermgmt.session SET state = 'revoked', ended_at = now() WHERE user_id = :'carol';
SELECT is(pg_temp.state_of(format('SELECT pg_temp.act(%L, %L)', 'carol@acme.test', 'SELECT 1')), 'UM001', 'B3 a session that was revoked');
SELECT token AS carol_token FROM person WHERE email = 'carol@acme.test' \gset
SELECT session_token AS again FROM usermgmt.log_in('carol@acme.test', 'secret of carol@acme.test', 'acme') \gset
SELECT user_id AS x FROM usermgmt.use_session(:'again', 'connection') \gset
UPDATE usermgmt.session SET state = 'revoked', ended_at = now() WHERE user_id = :'carol' AND state = 'open';
SELECT is(pg_temp.sign_up('late', 'carol@acme.test', NULL), 'invalid_credentials', 'B3 proves nothing, also while it is bound');
SELECT usermgmt.end_use() AS x \gset

-- The throttle is the one of log_in().
DELETE FROM usermgmt.login_throttle;
SELECT count(*) AS x FROM generate_series(1, 6) AS n, pg_temp.sign_up('guess' || n, 'carol@acme.test', 'guess ' || n) \gset
SELECT is((SELECT outcome FROM usermgmt.log_in('carol@acme.test', 'secret of carol@acme.test', 'acme')), 'try_later', 'R15 guessing by sign-up is throttled like guessing by log-in');
SELECT results_eq($$SELECT outcome, session_token, (detail ->> 'retry_after')::int BETWEEN 1 AND 60 FROM usermgmt.sign_up('guess', 'Guess', 'Carol@acme.test', 'secret of carol@acme.test')$$, $$VALUES ('try_later', NULL::text, true)$$, 'R15 together with it, also with the right password');
DELETE FROM usermgmt.login_throttle;
SELECT count(*) AS x FROM generate_series(1, 6) AS n, usermgmt.log_in('carol@acme.test', 'guess ' || n) \gset
SELECT is(pg_temp.sign_up('guess', 'carol@acme.test', 'secret of carol@acme.test'), 'try_later', 'R15 in either order');
SELECT is_empty($$SELECT FROM usermgmt.tenant WHERE slug LIKE 'guess%'$$, 'R15 and founds nothing');
DELETE FROM usermgmt.login_throttle;

-- One address, in other case (D15).
SELECT is(pg_temp.sign_up('case-one', 'Mixed@Case.test', 'a mixed password') || ' ' || pg_temp.sign_up('case-two', 'mixed@case.TEST', 'a mixed password') || ' ' || pg_temp.sign_up('case-three', ' MIXED@CASE.test ', 'another password'), 'ok ok invalid_credentials', 'D15 the second sign-up of an address in other case is the same person, or refused');
SELECT results_eq($$SELECT a.email, count(*) FROM usermgmt.account AS a JOIN usermgmt.membership AS m USING (user_id) WHERE a.canonical_email = 'mixed@case.test' GROUP BY a.user_id$$, $$VALUES ('Mixed@Case.test', 2::bigint)$$, 'D15 with one account');

-- An address that nobody has proven.
SELECT tenant_id AS held_id FROM usermgmt.create_tenant('held', 'Held', 'zoe@NEW.test') \gset
SELECT is((SELECT user_id FROM usermgmt.membership WHERE tenant_id = :'held_id'), :'zoe'::uuid, 'S2.24 a tenant founded by an operator for the address of an account');
SELECT is((SELECT outcome FROM usermgmt.log_in('zoe@new.test', 'zoes long password', 'held')), 'deactivated', 'B1 does not admit who typed that address at sign-up');
SELECT is((SELECT outcome || tenant_id FROM usermgmt.log_in('zoe@new.test', 'zoes long password')), 'ok' || :'zoo_id', 'B1 nor offers itself');
SELECT is(pg_temp.sign_up('zoo-two', 'zoe@new.test', 'zoes long password') || (SELECT outcome FROM usermgmt.log_in('zoe@new.test', 'zoes long password', 'held')), 'okdeactivated', 'B1 nor after a further sign-up');
SELECT is((SELECT count(*) FROM usermgmt.session WHERE tenant_id = :'held_id'), 0::bigint, 'B1 there is no session in it');
SELECT session_token AS zoo_token FROM usermgmt.log_in('zoe@new.test', 'zoes long password', 'zoo') \gset
SELECT pg_temp.mail_token('welcome', 'Zoe@New.test') AS x \gset
SELECT is((SELECT string_agg(tenant_id || recipient, ',') FROM mail WHERE recipient ILIKE 'zoe@new.test' AND text_body ~ '/set-password.token='), :'held_id' || 'Zoe@New.test', 'B1 its welcome mail, and no other, has a link, to whoever has the mailbox');
SELECT substring(text_body FROM 'token=([A-Za-z0-9_-]+)') AS held_link FROM mail WHERE tenant_id = :'held_id' \gset
SELECT usermgmt.reset_password(:'held_link', 'the true zoes password') AS x \gset
SELECT is((SELECT outcome FROM usermgmt.log_in('zoe@new.test', 'zoes long password', 'held')) || (SELECT outcome FROM usermgmt.log_in('zoe@new.test', 'the true zoes password', 'held')) || pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'zoo_token')), 'invalid_credentialsokUM001', 'B1 who follows it is admitted, and whoever only typed the address is out');
SELECT is(usermgmt.use_tenant('acme') IS NOT NULL AND pg_temp.sign_up('squat', 'dora@acme.test', 'doras squatted password') = 'ok', true, 'B1 an address that was signed up');
SELECT pg_temp.token_of(pg_temp.invite('dora@acme.test')) AS dora_token \gset
SELECT is((SELECT outcome FROM usermgmt.accept_invitation(:'dora_token', 'doras own password')), 'invalid_credentials', 'B1 and is invited needs the link, and the account''s password');
SELECT is((SELECT outcome FROM usermgmt.log_in('dora@acme.test', 'doras squatted password', 'acme')), 'invalid_credentials', 'B1 the password alone gives nothing of the inviting tenant''s');
SELECT usermgmt.request_password_reset('dora@acme.test') AS x \gset
SELECT usermgmt.reset_password(pg_temp.mail_token('password_reset', 'dora@acme.test'), 'doras own password') AS x \gset
SELECT is((SELECT outcome FROM usermgmt.accept_invitation(:'dora_token', 'doras own password')), 'ok', 'B1 the mailbox''s owner takes the account over by a reset, and joins');

SELECT pg_temp.sign_up('squat-two', 'dirk@acme.test', 'dirks squatted password') AS x, pg_temp.invite('dirk@acme.test') AS y \gset
SELECT session_token AS squatter FROM usermgmt.log_in('dirk@acme.test', 'dirks squatted password') \gset
SELECT is((SELECT outcome FROM usermgmt.accept_invitation(pg_temp.mail_token('invitation', 'dirk@acme.test'), 'dirks own password')), 'ok', 'B1 as by the mailed invitation itself');
SELECT is((SELECT outcome FROM usermgmt.log_in('dirk@acme.test', 'dirks squatted password')) || (SELECT outcome FROM usermgmt.log_in('dirk@acme.test', 'dirks own password', 'acme')) || pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'squatter')), 'invalid_credentialsokUM001', 'B1 whereupon the squatter is out everywhere');

-- Where it comes from.
SELECT session_id AS from_id FROM usermgmt.sign_up('far', 'Far', 'far@new.test', 'a good password', ip => '192.0.2.7', user_agent => E'Browser\n1.0') \gset
SELECT results_eq(format('SELECT ip, user_agent FROM usermgmt.session WHERE session_id = %L', :'from_id'), $$VALUES ('192.0.2.7', 'Browser 1.0')$$, 'S1.17 the session says where it was opened from');
SELECT is((SELECT DISTINCT ip FROM usermgmt.audit_event AS e JOIN usermgmt.tenant AS t USING (tenant_id) WHERE t.slug = 'far'), '192.0.2.7', 'S0.15 and so does the trail');
SELECT throws_ok(format('SELECT usermgmt.sign_up(%L, %L, %L, %L, ip => %L)', 'near', 'Near', 'near@new.test', 'a good password', 'nowhere'), '22023', NULL, 'S1.17 which is a network address');

-- A closed account's address signs up anew.
SELECT pg_temp.join('gone@acme.test') AS gone \gset
SELECT account_closed AS x FROM usermgmt.remove_user(:'gone', confirm => true) \gset
SELECT is((SELECT outcome || (user_id <> :'gone') FROM usermgmt.sign_up('anew', 'Anew', 'gone@acme.test', 'a new password')), 'oktrue', 'S3.20 a removed person signs up with a new account');

-- The trail.
SELECT results_eq(format('SELECT action, actor_user_id, actor_email, object_id = %L, session_id FROM usermgmt.audit_event WHERE tenant_id = %L AND action IN (%L, %L, %L) ORDER BY action', :'zoe', :'zoo_id', 'tenant.created', 'user.joined', 'account.created'),
	format($$VALUES ('account.created', NULL::uuid, 'Zoe@New.test', true, NULL::uuid), ('tenant.created', %1$L, 'Zoe@New.test', false, NULL), ('user.joined', %1$L, 'Zoe@New.test', true, NULL)$$, :'zoe'), 'S0.15 the trail of the new tenant begins with its founding, and names the person');
SELECT is(pg_temp.count_of('session.started', 'zoo') >= 1 AND pg_temp.count_of('tenant.created', 'robs') = 1 AND pg_temp.count_of('account.created', 'robs') = 0, true, 'S0.15 of a known person without an account.created');
SELECT is_empty(format($$SELECT action FROM usermgmt.audit_event WHERE tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'choir') AND (session_id IS NOT NULL OR actor_user_id <> %L)$$, :'carol'), 'S4.8 and no session of another tenant');
SELECT is_empty(format($$SELECT action FROM usermgmt.audit_event WHERE tenant_id = %L AND (old::text || new::text) ~ 'choir|robs'$$, :'acme_id'), 'S4.8 the first tenant hears nothing of the second');

-- Secrets.
CREATE FUNCTION pg_temp.words_of_refusal(slug text, tenant_name text, address text, secret text, name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
	context text;
	column_name text;
	type_name text;
BEGIN
	PERFORM usermgmt.sign_up(slug, tenant_name, address, secret, name);
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT, column_name = COLUMN_NAME, type_name = PG_DATATYPE_NAME;
	RETURN concat_ws(' ', SQLSTATE, message, detail, hint, context, column_name, type_name);
END $$;
CREATE TEMPORARY TABLE refused AS SELECT *, pg_temp.words_of_refusal(slug, tenant_name, address, secret, name) AS words
	FROM (VALUES ('acme', 'X', 'x@new.test', 'SECRETPW taken', NULL), ('A b', 'X', 'x@new.test', 'SECRETPW slug', NULL), ('x', '', 'x@new.test', 'SECRETPW name', NULL), ('x', 'X', 'x', 'SECRETPW address', NULL), ('x', 'X', 'x@new.test', 'SECRETP', NULL),
		('x', 'X', 'x@new.test', 'SECRETPWNAME', 'secretpwname'), ('x', 'X', 'secretpw@new.test', 'SECRETPW', NULL), ('x', 'X', 'x@new.test', 'SECRETPW person', repeat('x', 300))) AS r (slug, tenant_name, address, secret, name);
SELECT is_empty($$SELECT * FROM refused WHERE words IS NULL OR words LIKE '%SECRETP%'$$, 'R11 no error of a sign-up repeats the password, nor its context');
SELECT set_eq('SELECT left(words, 5) FROM refused', ARRAY['23505', '22023', 'UM021'], 'R11 of every kind');
SELECT is_empty(format('SELECT pg_temp.tables_with(%L)', secret), 'B1 ' || what || ' stands in no column of any table') FROM (VALUES ('the password of a sign-up', 'zoes long password'), ('the session token of one', :'zoe_token'), ('a known person''s password', 'secret of bob@acme.test')) AS s (what, secret);

SELECT * FROM finish();
ROLLBACK;
