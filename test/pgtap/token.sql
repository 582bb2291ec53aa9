-- Link tokens and session tokens: only the genuine one opens, and none is stored.
BEGIN;
\ir helpers.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.bytes_of(token text) RETURNS bytea LANGUAGE sql AS $$
	SELECT decode(rpad(translate(token, '-_', '+/'), (length(token) + 3) / 4 * 4, '='), 'base64')
$$;
CREATE FUNCTION pg_temp.token_with(bytes bytea) RETURNS text LANGUAGE sql AS $$
	SELECT rtrim(translate(replace(encode(bytes, 'base64'), E'\n', ''), '+/', '-_'), '=')
$$;
CREATE FUNCTION pg_temp.accept(token text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT usermgmt.accept_invitation(%L, %L)', token, 'a good password'))
$$;
CREATE FUNCTION pg_temp.preview(token text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT usermgmt.preview_invitation(%L)', token))
$$;
CREATE FUNCTION pg_temp.reset(token text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT usermgmt.reset_password(%L, %L)', token, 'a good password'))
$$;
CREATE FUNCTION pg_temp.bind(token text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.try(format('SELECT usermgmt.use_session(%L)', token))
$$;
-- Every answer to the token with one bit of its bytes, or of its letters, flipped.
CREATE FUNCTION pg_temp.answers_to_flips(token text, ask regproc) RETURNS TABLE (answer text, flips bigint) LANGUAGE plpgsql AS $$
DECLARE
	bytes bytea := pg_temp.bytes_of(token);
	seen text[] := '{}';
	one text;
BEGIN
	FOR bit IN 0 .. length(bytes) * 8 - 1 LOOP
		EXECUTE format('SELECT pg_temp.%I($1)', (SELECT proname FROM pg_proc WHERE oid = ask)) INTO one
			USING pg_temp.token_with(set_bit(bytes, bit, 1 - get_bit(bytes, bit)));
		seen := seen || one;
	END LOOP;
	FOR letter IN 1 .. length(token) LOOP
		FOR bit IN 0 .. 6 LOOP
			EXECUTE format('SELECT pg_temp.%I($1)', (SELECT proname FROM pg_proc WHERE oid = ask)) INTO one
				USING overlay(token PLACING chr(ascii(substr(token, letter, 1)) # (1 << bit)) FROM letter FOR 1);
			seen := seen || one;
		END LOOP;
	END LOOP;
	RETURN QUERY SELECT u, count(*) FROM unnest(seen) AS u GROUP BY u;
END $$;

SELECT pg_temp.tenant('other') AS other_id \gset
SELECT pg_temp.invite('carol@other.test') AS other_invitation \gset
SELECT pg_temp.token_of(:'other_invitation') AS other_token \gset
SELECT pg_temp.tenant('acme') AS acme_id \gset
SELECT pg_temp.join('bob@acme.test') AS bob \gset
SELECT pg_temp.invite('carol@acme.test') AS invitation \gset
SELECT pg_temp.token_of(:'invitation') AS token \gset
SELECT usermgmt.request_password_reset('bob@acme.test') AS x \gset
SELECT pg_temp.mail_token('password_reset', 'bob@acme.test') AS reset_token \gset
SELECT token AS session_token FROM person WHERE email = 'bob@acme.test' \gset

SELECT is(pg_temp.accept(:'token'), 'ok', 'S2.9 the genuine invitation token is accepted');
SELECT is(pg_temp.preview(:'token'), 'ok', 'S2.9 the genuine invitation token is shown');
SELECT is(pg_temp.reset(:'reset_token'), 'ok', 'S2.9 the genuine reset token is accepted');
SELECT is(pg_temp.bind(:'session_token'), 'ok', 'S1.10 the genuine session token is accepted');
SELECT is(:'token'::text, pg_temp.token_of(:'invitation'), 'S2.16 the link is the same each time it is asked for');
SELECT results_eq(format('SELECT email, status, expires_at FROM usermgmt.preview_invitation(%L)', :'token'), format('SELECT email, status, expires_at FROM usermgmt.preview_invitation(%L)', pg_temp.mail_token('invitation', 'carol@acme.test')), 'S2.16 the link for copying opens what the one in the mail opens');
SELECT matches(:'token'::text, '^[A-Za-z0-9_-]+$', 'a link token is base64url without padding');
SELECT matches(:'session_token'::text, '^ums_[A-Za-z0-9_-]+$', 'a session token begins with ums_');

SELECT pg_temp.contents() AS before \gset
SELECT results_eq(format('SELECT * FROM pg_temp.answers_to_flips(%L, %L)', :'token', 'pg_temp.accept'),
	format($$VALUES ('UM010', %s::bigint)$$, length(:'token') * 7 + length(pg_temp.bytes_of(:'token')) * 8),
	'S2.9 an invitation token with any one bit flipped is not accepted');
SELECT set_eq(format('SELECT answer FROM pg_temp.answers_to_flips(%L, %L)', :'token', 'pg_temp.preview'), ARRAY['UM010'],
	'S2.9 an invitation token with any one bit flipped is not shown');
SELECT set_eq(format('SELECT answer FROM pg_temp.answers_to_flips(%L, %L)', :'reset_token', 'pg_temp.reset'), ARRAY['UM010'],
	'S2.9 a reset token with any one bit flipped is not accepted');
SELECT is_empty(
	format($$SELECT letter, bit FROM generate_series(1, length(%1$L)) AS letter, generate_series(0, 6) AS bit
		WHERE pg_temp.bind(overlay(%1$L PLACING chr(ascii(substr(%1$L, letter, 1)) # (1 << bit)) FROM letter FOR 1)) <> 'UM001'$$, :'session_token'),
	'S1.10 a session token with any one bit flipped binds nobody');
SELECT is_empty(
	format($$SELECT n FROM generate_series(0, length(%1$L) - 1) AS n WHERE pg_temp.accept(left(%1$L, n)) <> 'UM010' OR pg_temp.reset(left(%2$L, n)) <> 'UM010'
		OR pg_temp.accept(right(%1$L, n)) <> 'UM010'$$, :'token', :'reset_token'),
	'S2.9 no truncated token is accepted');
SELECT is_empty(
	format($$SELECT n FROM generate_series(0, length(%1$L) - 1) AS n WHERE pg_temp.bind(left(%1$L, n)) <> 'UM001'$$, :'session_token'),
	'S1.10 no truncated session token binds anybody');
CREATE TEMPORARY TABLE garbage AS
	SELECT g FROM unnest(ARRAY[NULL, '', ' ', 'token', '%', '../../etc/passwd', $$' OR true --$$, 'ums_', repeat('A', 99), repeat('_', 99),
		repeat('x', 1000000), E'\x01\r\n', E'\u00e9\u4e2d', :'token' || ' ', ' ' || :'token', :'token' || '=', :'token' || 'A', :'token' || E'\n',
		upper(:'token'), reverse(:'token'), 'token=' || :'token', :'invitation', translate(:'token', '-_', '+/') || '==']) AS g;
SELECT is_empty($$SELECT left(g, 100) FROM garbage WHERE 'UM010' <> ALL (ARRAY[pg_temp.accept(g), pg_temp.preview(g), pg_temp.reset(g)])
		OR pg_temp.accept(g) <> pg_temp.reset(g) OR pg_temp.accept(g) <> pg_temp.preview(g)$$,
	'S2.9 garbage for a token is not genuine');
SELECT is_empty($$SELECT left(g, 100) FROM garbage WHERE pg_temp.bind(g) <> 'UM001'$$, 'S1.10 garbage for a session token binds nobody');

SELECT is(pg_temp.reset(:'token'), 'UM010', 'S2.9 an invitation token resets no password');
SELECT is(pg_temp.accept(:'reset_token'), 'UM010', 'S2.9 a reset token accepts no invitation');
SELECT is(pg_temp.preview(:'reset_token'), 'UM010', 'S2.9 a reset token shows no invitation');
SELECT is(pg_temp.accept(:'session_token'), 'UM010', 'S2.9 a session token accepts no invitation');
SELECT is(pg_temp.bind(:'token'), 'UM001', 'S1.10 an invitation token is no session');
SELECT is(pg_temp.accept(pg_temp.token_with(overlay(pg_temp.bytes_of(:'token') PLACING
		uuid_send(:'other_id') FROM position(uuid_send(:'acme_id') IN pg_temp.bytes_of(:'token'))))), 'UM010',
	'S2.10 a token with another tenant''s id put in is not genuine');
SELECT is(pg_temp.accept(pg_temp.token_with(overlay(pg_temp.bytes_of(:'token') PLACING
		uuid_send(:'other_invitation') FROM position(uuid_send(:'invitation') IN pg_temp.bytes_of(:'token'))))), 'UM010',
	'S2.10 a token with another invitation''s id put in is not genuine');
SELECT is(pg_temp.accept(pg_temp.token_with(overlay(pg_temp.bytes_of(:'other_token') PLACING
		substr(pg_temp.bytes_of(:'token'), 1, 42) FROM 1))), 'UM010',
	'S2.9 the signature of one token does not fit another');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'S2.9 refused tokens changed nothing');

UPDATE usermgmt.installation SET installation_id = gen_random_uuid();
SELECT is(pg_temp.accept(:'token'), 'UM010', 'B12 a link of the original does not open in a copy');
UPDATE usermgmt.installation SET installation_id = (SELECT object_id::uuid FROM usermgmt.audit_event
	WHERE action = 'installation.created');
SELECT is(pg_temp.accept(:'token'), 'ok', 'B12 it does where it was made');

-- Even where a reset and an invitation have one id.
INSERT INTO usermgmt.invitation (invitation_id, tenant_id, email, canonical_email, role, state, created_at, queued_at, expires_at)
	SELECT reset_id, tenant_id, 'twin@acme.test', 'twin@acme.test', 'admin', 'pending', now(), now(), now() + interval '1 day'
	FROM usermgmt.password_reset WHERE user_id = :'bob' AND state = 'open' RETURNING invitation_id AS twin \gset
SELECT is(pg_temp.accept(:'reset_token') || ' ' || pg_temp.accept(pg_temp.token_of(:'twin')), 'UM010 ok', 'S2.9 the purpose of a token is signed, not only looked up');

-- No error repeats a secret.
CREATE FUNCTION pg_temp.words_of_error(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
	column_name text;
BEGIN
	EXECUTE statement;
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, column_name = COLUMN_NAME;
	RETURN concat_ws(' ', message, detail, hint, column_name);
END $$;
SELECT is_empty(
	$$SELECT s, words FROM (SELECT s, pg_temp.words_of_error(s) AS words FROM unnest(ARRAY[
		'SELECT usermgmt.accept_invitation(''SECRET-TOKEN'', ''SECRETPW'')', 'SELECT usermgmt.preview_invitation(''SECRET-TOKEN'')',
		'SELECT usermgmt.reset_password(''SECRET-TOKEN'', ''SECRETPW'')', 'SELECT usermgmt.use_session(''SECRET-TOKEN'')',
		'SELECT usermgmt.use_session(''SECRET-TOKEN'', ''SECRET-TOKEN'')', 'SELECT usermgmt.log_in(''SECRET'', ''SECRETPW'', ip => ''SECRET'')']) AS s) AS all_errors
		WHERE words IS NULL OR words LIKE '%SECRET%'$$,
	'B1 errors about tokens and passwords never repeat them');

-- Nothing usable at rest, after everything has been used.
SELECT session_token AS new_session FROM usermgmt.accept_invitation(:'token', 'carols own password') \gset
SELECT usermgmt.reset_password(:'reset_token', 'bobs newer password') AS x \gset
SELECT pg_temp.invite('dave@acme.test') AS x \gset
SELECT pg_temp.mail_token('invitation', 'dave@acme.test') AS open_token \gset
SELECT is_empty(format('SELECT pg_temp.tables_with(%L)', secret), 'B1 ' || what || ' stands in no column of any table')
	FROM (VALUES ('an open link token', :'open_token'), ('a used link token', :'token'), ('a used reset token', :'reset_token'),
		('a live session token', :'new_session'), ('a revoked session token', :'session_token'),
		('the signature of an open link', encode(substr(pg_temp.bytes_of(:'open_token'), 43), 'hex')),
		('the secret of a live session', encode(substr(pg_temp.bytes_of(substr(:'new_session', 5)), 34), 'hex')),
		('a password', 'carols own password'), ('a password chosen by link', 'bobs newer password'), ('an old password', 'secret of bob@acme.test')) AS s (what, secret);
SELECT isnt_empty(format('SELECT pg_temp.tables_with(%L)', 'dave@acme.test'), 'B1 the search for secrets finds what is there');
SELECT is_empty($$SELECT message_id FROM usermgmt.outbox AS o WHERE o::text ~ '(token=|https?://)'$$, 'B1 the outbox holds no link');

-- Keys change while mails wait (F21): in the table, then in a file.
SELECT pg_temp.tenant('keys') AS x, pg_temp.invite('old@keys.test') AS old, pg_temp.invite('new@keys.test') AS new \gset
SELECT pg_temp.token_of(:'old') AS old_token \gset
INSERT INTO usermgmt.signing_key (key_id, key, made_at) VALUES (42, decode(repeat('5b', 32), 'hex'), clock_timestamp());
SELECT pg_temp.mail_token('invitation', 'new@keys.test') AS new_token \gset
SELECT is(pg_temp.preview(:'old_token') || pg_temp.preview(:'new_token'), 'okok', 'F21 a link of the old key opens, and so does a mail queued before and claimed after the change');
DELETE FROM usermgmt.signing_key WHERE key <> decode(repeat('5b', 32), 'hex');
SELECT is(pg_temp.accept(:'old_token') || pg_temp.accept(:'new_token'), 'UM010ok', 'F21 once the old key is gone its links are void, those of the new one are not');
SELECT current_setting('data_directory') || '/usermgmt_test.key' AS key_file \gset
CREATE FUNCTION pg_temp.key_file(path text, keys text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('COPY (SELECT unnest(%L::text[])) TO PROGRAM %L', keys, format('umask 077; rm -f %s; cat > %1$s', quote_literal(path)));
END $$;
SELECT pg_temp.key_file(:'key_file', ARRAY[repeat('c1', 32), repeat('5b', 32)]) AS x \gset
SET LOCAL usermgmt.key_file = :'key_file';
SELECT pg_temp.token_of(:'old') AS file_token \gset
SELECT is(pg_temp.preview(:'file_token') || pg_temp.preview(:'new_token'), 'okok', 'F21 the first key of a file signs, the second still opens');
SELECT pg_temp.key_file(:'key_file', ARRAY[repeat('c1', 32)]) AS x \gset
SELECT is(pg_temp.preview(:'file_token') || pg_temp.preview(:'new_token'), 'okUM010', 'F21 and a line that is taken out counts at once');
COPY (SELECT 1 WHERE false) TO PROGRAM 'rm -f usermgmt_test.key';
RESET usermgmt.key_file;

SELECT * FROM finish();
ROLLBACK;
