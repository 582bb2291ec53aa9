-- A new password with the present one, common ones refused, links looked at,
-- guesses counted even when the caller takes them back.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('bob@acme.test') AS bob, pg_temp.join('ann@acme.test', 'admin') AS ann \gset
SELECT token AS first FROM person WHERE email = 'bob@acme.test' \gset
SELECT session_token AS second FROM usermgmt.log_in('bob@acme.test', 'secret of bob@acme.test') \gset
CREATE FUNCTION pg_temp.change(present text, chosen text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT pg_temp.act(%L, %L)', 'bob@acme.test', format('SELECT usermgmt.change_password(%L, %L)', present, chosen)))
$$;
CREATE FUNCTION pg_temp.live(session_token text) RETURNS boolean LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT usermgmt.use_session(%L)', session_token)) = 'ok'
$$;

-- Who, and with what.
SELECT is(pg_temp.try($$SELECT usermgmt.change_password('secret of bob@acme.test', 'seven quiet lanterns')$$), 'UM001', 'an operator has no password to change');
SELECT is(pg_temp.change('guessed', 'seven quiet lanterns'), 'UM020', 'the present password is needed');
SELECT is(pg_temp.change(NULL, 'seven quiet lanterns') || pg_temp.change('', 'seven quiet lanterns'), 'UM020UM020', 'nothing is none');
SELECT is(pg_temp.change('secret of bob@acme.test', chosen), 'UM021', 'R12 a new one is held to the policy: ' || what)
	FROM (VALUES (NULL, 'null'), ('', 'empty'), ('short', 'short'), ('bob@acme.test', 'the address'), (repeat('x', 1025), 'long')) AS c (chosen, what);
SELECT is_empty($$SELECT w FROM unnest(ARRAY['password', 'iloveyou', 'IloveYou', '12345678', 'qwertyuiop', 'trustno1', 'TRUSTNO1', 'jennifer', '!qaz2wsx', 'zzzzzzz1']) AS w WHERE pg_temp.change('secret of bob@acme.test', w) <> 'UM021'$$,
	'OWASP 6.2.4 the common passwords are refused, in any case of letters, the first and the last of the list too');
SELECT is_empty($$SELECT w FROM unnest(ARRAY['iloveyou you', 'xiloveyou!', 'passwordpasswordx', ' password', 'pässword', 'trustno1trustno1no']) AS w WHERE pg_temp.change('secret of bob@acme.test', w) <> 'ok'$$,
	'OWASP 6.2.4 but only as a whole');
UPDATE usermgmt.login_throttle SET next_try_at = now();

-- What it ends, and what goes on.
SELECT usermgmt.request_password_reset('bob@acme.test') AS x \gset
SELECT pg_temp.mail_token('password_reset', 'bob@acme.test') AS link \gset
SELECT results_eq(format('SELECT email, status, expires_at > clock_timestamp() FROM usermgmt.preview_password_reset(%L)', :'link'), $$VALUES ('bob@acme.test', 'pending', true)$$, 'complaint 4: a link tells whose password it sets');
SELECT pg_temp.contents() AS before \gset
SELECT count(usermgmt.preview_password_reset(:'link')) AS x FROM generate_series(1, 100) \gset
SELECT is(pg_temp.contents(), :'before'::jsonb, 'complaint 4: looking consumes nothing');
SELECT pg_temp.act('bob@acme.test', $$SELECT usermgmt.change_password('secret of bob@acme.test', 'seven quiet lanterns')$$) AS x \gset
SELECT is(pg_temp.live(:'first'), true, 'the session that changed it goes on');
SELECT is(pg_temp.live(:'second'), false, 'R7 every other one is over');
SELECT is(pg_temp.try(format('SELECT usermgmt.reset_password(%L, %L)', :'link', 'another one of mine')), 'UM014', 'D5 an open reset link is void');
SELECT is((SELECT status FROM usermgmt.preview_password_reset(:'link')), 'superseded', 'D5 and says so');
SELECT is(pg_temp.sign_in('bob@acme.test', 'seven quiet lanterns') || pg_temp.sign_in('bob@acme.test'), 'okinvalid_credentials', 'the new one lets in, the old one does not');
SELECT is((SELECT count(*) FROM usermgmt.mail_queue WHERE kind = 'password_changed' AND recipient = 'bob@acme.test'), 1::bigint, 'the person is told by mail');
SELECT is(pg_temp.mail_token('password_changed', 'bob@acme.test'), NULL, 'which has no link');
SELECT matches((SELECT text_body FROM mail WHERE kind = 'password_changed' AND recipient = 'bob@acme.test'), 'bob@acme.test was changed on \d+ [A-Z][a-z]+ \d{4}, \d\d:\d\d UTC', 'but says when');
SELECT is(pg_temp.events('account.password_changed', :'bob'), 1::bigint, 'the trail has it');
SELECT is((SELECT verified_at IS NULL FROM usermgmt.account WHERE user_id = :'bob'), true, 'it proves no mailbox');
SELECT usermgmt.end_use() AS x \gset
UPDATE usermgmt.account SET password_version = password_version + 1 WHERE user_id = :'bob';
SELECT is(pg_temp.live(:'first'), false, 'R7 a later change by bare SQL keeps no session');

-- Links.
SELECT is_empty($$SELECT t FROM unnest(ARRAY[NULL, '', 'x', repeat('A', 100)]) AS t WHERE pg_temp.try(format('SELECT usermgmt.preview_password_reset(%L)', t)) <> 'UM010'$$, 'a link that is none is UM010');
SELECT is(pg_temp.try(format('SELECT usermgmt.preview_password_reset(%L)', pg_temp.token_of(pg_temp.invite('new@acme.test')))), 'UM010', 'complaint 2: an invitation is no reset link');
SELECT usermgmt.send_password_reset(:'ann') AS x \gset
SELECT pg_temp.mail_token('password_reset', 'ann@acme.test') AS link \gset
UPDATE usermgmt.password_reset SET expires_at = clock_timestamp() WHERE user_id = :'ann' AND state = 'open';
SELECT is((SELECT status FROM usermgmt.preview_password_reset(:'link')) || pg_temp.try(format('SELECT usermgmt.reset_password(%L, %L)', :'link', 'another one of mine')), 'expiredUM011', 'R26 an expired link says so before anything is typed');
UPDATE usermgmt.password_reset SET expires_at = clock_timestamp() + INTERVAL '1 hour' WHERE user_id = :'ann' AND state = 'open';
SELECT usermgmt.reset_password(:'link', 'another one of mine') AS x \gset
SELECT is((SELECT status FROM usermgmt.preview_password_reset(:'link')), 'used', 'as does a used one');

-- Guesses that the caller takes back (R15).
CREATE FUNCTION pg_temp.guess(address text, n integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	FOR i IN 1 .. n LOOP
		BEGIN
			answer := (usermgmt.log_in(address, 'guess ' || i)).outcome;
			RAISE SQLSTATE 'XX999';
		EXCEPTION WHEN SQLSTATE 'XX999' THEN
		END;
	END LOOP;
	RETURN answer;
END $$;
SELECT is(pg_temp.guess('gus@acme.test', 5), 'invalid_credentials', 'R15 five guesses are free');
SELECT is((SELECT count(*) FROM usermgmt.login_throttle WHERE address = 'gus@acme.test'), 0::bigint, 'R15 their rows were rolled back');
SELECT is(pg_temp.guess('gus@acme.test', 2), 'try_later', 'R15 the backend remembers them');
SELECT is((SELECT outcome FROM usermgmt.log_in('gus@acme.test', 'x')), 'try_later', 'R15 for every later guess');
SELECT is(pg_temp.guess('other@acme.test', 1), 'invalid_credentials', 'R15 of that address alone');
-- A session with a time limit stops where it happens to be, here as it
-- writes the row.
CREATE FUNCTION pg_temp.cancel() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE SQLSTATE '55P03'; END $$;
CREATE TRIGGER cancel BEFORE INSERT ON usermgmt.login_throttle FOR EACH ROW EXECUTE FUNCTION pg_temp.cancel();
SELECT is_empty($$SELECT i FROM generate_series(1, 6) AS i WHERE pg_temp.try('SELECT usermgmt.log_in(''tom@acme.test'', ''guess'')') <> '55P03'$$, 'R15 guesses that ran into a limit as they were counted');
DROP TRIGGER cancel ON usermgmt.login_throttle;
SELECT is((SELECT outcome FROM usermgmt.log_in('tom@acme.test', 'x')), 'try_later', 'R15 are remembered as well');
SELECT is_empty($$SELECT i FROM generate_series(1, 5) AS i WHERE pg_temp.change('guess ' || i, 'seven quiet lanterns') NOT IN ('UM020', 'UM001')$$, 'R15 wrong present passwords are counted as well');

SELECT * FROM finish();
ROLLBACK;
