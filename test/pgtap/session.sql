-- Sign-in, sessions, throttle.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('bob@acme.test') AS bob, pg_temp.join('carol@acme.test') AS carol \gset

-- Signing in.
SELECT * FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test', ip => '2001:db8::1', user_agent => E'Browser\r\n1.0') \gset
SELECT is(concat_ws(' ', :'outcome', :'user_id', :'tenant_id', :'role'), concat_ws(' ', 'ok', :'bob', :'acme_id', 'member'), 'S4.2 signing in says who, where and in which role');
SELECT results_eq(format('SELECT state, user_id, ip, user_agent ~ %L, expires_at FROM usermgmt.session WHERE session_id = %L', '[[:cntrl:]]', :'session_id'),
	format($$VALUES ('open', %L::uuid, '2001:db8::1', false, %L::timestamptz)$$, :'bob', :'expires_at'), 'S1.17 a session has a row of its own');
SELECT is((SELECT expires_at - created_at FROM usermgmt.session WHERE session_id = :'session_id'), interval '8 hours', 'S3.37 C7 a session lives eight hours');
SELECT results_eq(format('SELECT session_id, user_id, tenant_id, role, email, expires_at FROM usermgmt.use_session(%L)', :'session_token'),
	format($$VALUES (%L::uuid, %L::uuid, %L::uuid, 'member', 'bob@acme.test', %L::timestamptz)$$, :'session_id', :'bob', :'acme_id', :'expires_at'), 'S4.18 its token identifies the caller');
SELECT usermgmt.end_use() AS x \gset
SET LOCAL usermgmt.session_ttl = '30min';
SELECT session_id AS short FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test') \gset
SELECT is((SELECT expires_at - created_at FROM usermgmt.session WHERE session_id = :'short'), interval '30 minutes', 'S3.37 which is a setting');
UPDATE usermgmt.tenant SET settings = '{"session_ttl": "1h"}' WHERE tenant_id = :'acme_id';
SELECT session_id AS longer FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test') \gset
SELECT is((SELECT expires_at - created_at FROM usermgmt.session WHERE session_id = :'longer'), interval '1 hour', 'S3.37 also of a tenant');
SELECT is((SELECT count(*) FROM usermgmt.session WHERE user_id = :'bob' AND state = 'open'), 4::bigint, 'S1.10 a person can have several sessions');

-- Bad credentials are an outcome, never an error.
SELECT is((SELECT concat_ws(' ', outcome, session_token, user_id) FROM usermgmt.log_in(address, password)), 'invalid_credentials', 'S4.2 no sign-in with ' || what)
	FROM (VALUES ('a wrong password', 'bob@acme.test', 'wrong'), ('an unknown address', 'nobody@acme.test', 'secret of bob@acme.test'), ('no address', NULL, 'x'), ('no password', 'carol@acme.test', NULL),
		('an empty address', '', ''), ('an empty password', 'carol@acme.test', ''), ('a huge address', repeat('x', 1000000) || '@acme.test', 'x'), ('a huge password', 'dora@acme.test', repeat('x', 1000000)),
		('control characters', E'bob@acme.test\r\n', E'\x01'), ('somebody else''s password', 'bob@acme.test', 'secret of carol@acme.test')) AS b (what, address, password);
SELECT is((SELECT outcome FROM usermgmt.log_in('carol@acme.test', 'secret of carol@acme.test', t)), 'invalid_credentials', 'S4.8 nor into a tenant that is none of the person''s: ' || to_json(left(t, 10)))
	FROM unnest(ARRAY['nowhere', '', repeat('x', 1000000), E'\x01', '%', '00000000-0000-0000-0000-000000000000']) AS t;
SELECT pg_temp.contents('login_throttle') AS before \gset
SELECT outcome AS x FROM usermgmt.log_in('bob@acme.test', 'wrong again') \gset
SELECT outcome AS x FROM usermgmt.log_in('nobody@acme.test', 'wrong again') \gset
SELECT is(pg_temp.contents('login_throttle'), :'before'::jsonb, 'S4.2 a failed sign-in changes nothing but the throttle');
SELECT throws_ok(format('SELECT usermgmt.log_in(%L, %L, ip => %L)', 'bob@acme.test', 'x', ip), '22023', NULL, 'an ip that is none is refused: ' || to_json(ip)) FROM unnest(ARRAY['not an ip', '999.1.1.1', E'1.2.3.4\n']) AS ip;

-- Throttle.
DELETE FROM usermgmt.login_throttle;
CREATE FUNCTION pg_temp.outcomes(address text, tries int) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	all_of_them text[] := '{}';
	one text;
BEGIN
	FOR i IN 1 .. tries LOOP
		SELECT outcome INTO one FROM usermgmt.log_in(address, 'wrong ' || i);
		all_of_them := all_of_them || one;
		EXIT WHEN one = 'try_later';
	END LOOP;
	RETURN all_of_them;
END $$;
SELECT pg_temp.outcomes('bob@acme.test', 20) AS known, pg_temp.outcomes('ghost@acme.test', 20) AS unknown \gset
SELECT is((:'known'::text[])[1], 'invalid_credentials', 'the first wrong password is simply wrong');
SELECT is((:'known'::text[])[cardinality(:'known'::text[])], 'try_later', 'after several the person has to wait');
SELECT is(:'known'::text, :'unknown', 'S0.8 an unknown address behaves like a known one');
UPDATE usermgmt.login_throttle SET next_try_at = clock_timestamp() + interval '50 seconds';
SELECT results_eq($$SELECT outcome, session_token, (detail ->> 'retry_after')::int BETWEEN 1 AND 60 FROM usermgmt.log_in('Bob@ACME.test ', 'secret of bob@acme.test')$$, $$VALUES ('try_later', NULL::text, true)$$,
	'also with the right password, and it is told how long');
SELECT is((SELECT outcome FROM usermgmt.log_in('carol@acme.test', 'secret of carol@acme.test')), 'ok', 'nobody else has to');
SAVEPOINT clock;
UPDATE usermgmt.login_throttle SET next_try_at = clock_timestamp() + interval '1 day', last_failure_at = clock_timestamp() + interval '1 day' WHERE address = 'bob@acme.test';
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test')), 'ok', 'R15 nor anybody for longer than a minute, where the clock was set back by a day');
SELECT is(array_to_string(pg_temp.outcomes('bob@acme.test', 3), ' '), 'invalid_credentials try_later', 'R15 and the next wrong password waits as ever');
ROLLBACK TO SAVEPOINT clock;
SELECT pg_temp.tenant('beta') AS beta_id \gset
SELECT pg_temp.token_of(pg_temp.invite('bob@acme.test')) AS beta_token \gset
SELECT is((SELECT outcome FROM usermgmt.accept_invitation(:'beta_token', 'secret of bob@acme.test')), 'try_later', 'S4.2 accepting with a password is throttled like signing in');
SELECT usermgmt.request_password_reset('bob@acme.test') AS x \gset
SELECT lives_ok(format('SELECT usermgmt.reset_password(%L, %L)', pg_temp.mail_token('password_reset', 'bob@acme.test'), 'bobs newer password'), 'a reset is always possible');
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@acme.test', 'bobs newer password')), 'ok', 'and ends the waiting');
SELECT is_empty($$SELECT * FROM usermgmt.login_throttle WHERE address = 'bob@acme.test'$$, 'a new password clears the count');

-- Each minute forgets one failure (R15).
CREATE FUNCTION pg_temp.after(age interval) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM usermgmt.login_throttle WHERE address = 'minute@acme.test';
	INSERT INTO usermgmt.login_throttle VALUES ('minute@acme.test', 9, clock_timestamp(), clock_timestamp() - age);
	PERFORM usermgmt.log_in('minute@acme.test', 'a guess');
	RETURN (SELECT failures FROM usermgmt.login_throttle WHERE address = 'minute@acme.test');
END $$;
SELECT is(pg_temp.after(age), failures, 'R15 nine failures and one more, ' || age || ' later') FROM (VALUES (INTERVAL '0', 10), ('50 seconds', 10), ('70 seconds', 9), ('185 seconds', 7), ('1 hour', 1), ('-1 hour', 10)) AS v (age, failures);
DELETE FROM usermgmt.login_throttle;
INSERT INTO usermgmt.login_throttle VALUES ('young@acme.test', 60, now(), clock_timestamp() - interval '23 hours'), ('old@acme.test', 60, now(), clock_timestamp() - interval '24 hours 1 second');
SELECT is(usermgmt.run_maintenance() ->> 'throttles_purged', '1', 'R15 maintenance forgets failures after a day');
SELECT results_eq('SELECT address FROM usermgmt.login_throttle', $$VALUES ('young@acme.test')$$, 'R15 and no sooner');
SELECT outcome AS x, session_id AS ended FROM usermgmt.log_in('carol@acme.test', 'secret of carol@acme.test') \gset
SELECT outcome AS x, session_id AS revoked FROM usermgmt.log_in('carol@acme.test', 'secret of carol@acme.test') \gset
UPDATE usermgmt.session SET created_at = now() - interval '3 days', last_used_at = now() - interval '3 days',
	expires_at = clock_timestamp() - CASE session_id WHEN :'ended' THEN interval '24 hours 1 second' ELSE interval '23 hours' END WHERE session_id IN (:'ended', :'revoked');
UPDATE usermgmt.session SET state = 'revoked', ended_at = now(), end_reason = 'tested' WHERE session_id = :'revoked';
SELECT is(usermgmt.run_maintenance() ->> 'sessions_purged', '1', 'complaint 6: maintenance forgets a session a day after its end');
SELECT results_eq(format('SELECT state, end_reason FROM usermgmt.session WHERE session_id IN (%L, %L)', :'ended', :'revoked'), $$VALUES ('revoked', 'tested')$$, 'complaint 6: and keeps its reason until then');
DELETE FROM usermgmt.login_throttle;

-- Several tenants.
SELECT outcome AS x FROM usermgmt.accept_invitation(:'beta_token', 'bobs newer password') \gset
SELECT * FROM usermgmt.log_in('bob@acme.test', 'bobs newer password') \gset
SELECT is(concat_ws(' ', :'outcome', (SELECT string_agg(t ->> 'slug', ',' ORDER BY t ->> 'slug') FROM jsonb_array_elements(:'detail'::jsonb -> 'tenants') AS t)), 'choose_tenant acme,beta', 'S4.2 with several tenants the person chooses, and the choice is listed');
SELECT is((SELECT tenant_id FROM usermgmt.log_in('bob@acme.test', 'bobs newer password', t)), id::uuid, 'S4.2 by ' || what) FROM (VALUES ('slug', 'beta', :'beta_id'), ('id', :'acme_id', :'acme_id')) AS c (what, t, id);
SELECT is((SELECT outcome FROM usermgmt.log_in('bob@acme.test', 'wrong')), 'invalid_credentials', 'S4.8 which a wrong password does not see');

-- Ending (S3.40, S1.10).
UPDATE usermgmt.tenant SET settings = '{}';
SELECT session_token, session_id FROM usermgmt.log_in('carol@acme.test', 'secret of carol@acme.test') \gset
SELECT session_token AS other_token FROM usermgmt.log_in('carol@acme.test', 'secret of carol@acme.test') \gset
SELECT user_id AS x FROM usermgmt.use_session(:'session_token') \gset
SELECT usermgmt.log_out() AS x \gset
SELECT is(usermgmt.current_user_id(), NULL, 'S3.40 after log_out nobody acts');
SELECT throws_ok(format('SELECT usermgmt.use_session(%L)', :'session_token'), 'UM001', NULL, 'S3.40 logging out ends the session at once');
SELECT is((SELECT expires_at > now() FROM usermgmt.session WHERE session_id = :'session_id'), true, 'S1.10 although it would have lived on');
SELECT is(pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'other_token')), 'ok', 'S3.40 and no other one');
SELECT throws_ok('SELECT usermgmt.log_out()', 'UM001', NULL, 'S3.40 without a session there is nothing to end');
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE action = 'session.ended' AND object_id = :'session_id'), 1::bigint, 'S3.40 it is audited');
SELECT user_id AS x FROM usermgmt.use_session(:'other_token', 'connection') \gset
SAVEPOINT s;
UPDATE usermgmt.session SET state = 'revoked', ended_at = now() WHERE user_id = :'carol' AND state = 'open';
SELECT concat(usermgmt.current_user_id(), usermgmt.current_tenant_id(), usermgmt.current_session_id(), usermgmt.current_member_role(), usermgmt.has_role('member')) AS revoked \gset
SELECT pg_temp.try('SELECT usermgmt.log_out()') AS refused \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'revoked'::text, 'f', 'B3 a session revoked by bare SQL is dead at the next statement of the same transaction');
SELECT is(:'refused'::text, 'UM001', 'B3 functions refuse it');
SELECT is(usermgmt.current_user_id(), :'carol'::uuid, 'B3 and it lives when the revocation is rolled back');
SAVEPOINT s;
UPDATE usermgmt.session SET expires_at = clock_timestamp() WHERE user_id = :'carol';
SELECT concat(usermgmt.current_user_id()) || pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'other_token')) AS expired \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'expired'::text, 'UM001', 'S3.37 an expired session is dead');
SAVEPOINT s;
DELETE FROM usermgmt.session WHERE user_id = :'carol';
SELECT concat(usermgmt.current_user_id()) || pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'other_token')) AS deleted \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'deleted'::text, 'UM001', 'B3 a deleted session is dead');
SAVEPOINT s;
TRUNCATE usermgmt.session;
SELECT concat(usermgmt.current_user_id()) AS truncated \gset
ROLLBACK TO SAVEPOINT s;
SELECT is(:'truncated'::text, '', 'B3 so is every one after TRUNCATE');
SELECT usermgmt.end_use() AS x \gset

-- States, by bare SQL.
UPDATE usermgmt.session SET state = 'revoked', ended_at = now() WHERE session_id = (SELECT session_id FROM usermgmt.session WHERE user_id = :'carol' AND state = 'open' ORDER BY 1 LIMIT 1);
SELECT is_empty($$SELECT s.state, n FROM (SELECT DISTINCT ON (state) state, session_id FROM usermgmt.session) AS s, unnest(ARRAY['open', 'ended', 'revoked']) AS n WHERE s.state NOT IN ('open', n)
		AND pg_temp.try(format('UPDATE usermgmt.session SET state = %L, ended_at = CASE WHEN %L <> ''open'' THEN now() END WHERE session_id = %L', n, n, s.session_id)) <> 'UM036'$$,
	'S1.10 no bare UPDATE brings a session back');
SELECT set_eq('SELECT DISTINCT state FROM usermgmt.session', ARRAY['open', 'ended', 'revoked'], 'S1.10 of either way to end');

SELECT * FROM finish();
ROLLBACK;
