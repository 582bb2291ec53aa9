-- What a stored hash costs: never less than the floor, raised at the next log-in,
-- and never more than the ceiling to look at (R12).
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') IS NULL AS x, pg_temp.join('ann@acme.test') AS ann, pg_temp.join('bob@acme.test') AS bob \gset
CREATE FUNCTION pg_temp.hash(who uuid) RETURNS text LANGUAGE sql AS $$ SELECT password_hash FROM usermgmt.account WHERE user_id = who $$;
CREATE FUNCTION pg_temp.cost(stored text) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
	SELECT regexp_match(stored, '^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$')::bigint[]
$$;
CREATE FUNCTION pg_temp.expensive(memory integer, passes integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('usermgmt.hash_memory', memory::text, true), set_config('usermgmt.hash_passes', passes::text, true);
END $$;

-- The settings.
SELECT is(pg_temp.try(format('SET LOCAL usermgmt.%s = %L', setting, value)), answer, format('R12 %s = %s: %s', setting, value, answer))
	FROM (VALUES ('hash_memory', '19455', '22023'), ('hash_memory', '19456', 'ok'), ('hash_memory', '18 MB', '22023'), ('hash_memory', '19 MB', 'ok'), ('hash_memory', '0', '22023'), ('hash_memory', '-1', '22023'), ('hash_memory', '8 kB', '22023'), ('hash_memory', '1 GB', 'ok'), ('hash_memory', '1025 MB', '22023'),
		('hash_passes', '1', '22023'), ('hash_passes', '2', 'ok'), ('hash_passes', '0', '22023'), ('hash_passes', '100', 'ok'), ('hash_passes', '101', '22023')) AS v (setting, value, answer);

-- Whatever the settings are, a new hash costs that, and an old one is raised (or
-- lowered, never below the floor) by one log-in.
CREATE TEMPORARY TABLE setting AS SELECT DISTINCT ON (memory, passes) memory, passes
	FROM (SELECT 19456 + (abs(hashint4(n)) % 12) * 1024, 2 + abs(hashint4(n + 100)) % 4 FROM generate_series(1, 24) AS n UNION ALL VALUES (19456, 2), (65536, 3)) AS s (memory, passes);
CREATE FUNCTION pg_temp.stored(memory integer, passes integer) RETURNS TABLE (fresh bigint[], raised bigint[], versions text) LANGUAGE plpgsql AS $$
DECLARE
	person uuid;
	address text := format('m%st%s@acme.test', memory, passes);
	version_before bigint;
BEGIN
	PERFORM pg_temp.expensive(memory, passes);
	person := pg_temp.join(address);
	fresh := pg_temp.cost(pg_temp.hash(person));
	SELECT password_version INTO version_before FROM usermgmt.account WHERE email = 'ann@acme.test';
	raised := ARRAY[0, 0];
	IF (usermgmt.log_in('ann@acme.test', 'secret of ann@acme.test')).outcome = 'ok' THEN
		SELECT pg_temp.cost(password_hash), CASE WHEN password_version = version_before THEN 'same' ELSE 'other' END INTO raised, versions FROM usermgmt.account WHERE email = 'ann@acme.test';
	END IF;
	RETURN NEXT;
END $$;
CREATE TEMPORARY TABLE stored AS SELECT s.*, r.* FROM setting AS s, LATERAL pg_temp.stored(memory, passes) AS r;
SELECT cmp_ok((SELECT count(*) FROM stored), '>=', 15::bigint, 'R12 there are many settings');
SELECT is_empty('SELECT * FROM stored WHERE fresh <> ARRAY[memory, passes]::bigint[] OR fresh IS NULL', 'R12 a new password is hashed at the cost that is set');
SELECT is_empty('SELECT * FROM stored WHERE raised <> ARRAY[memory, passes]::bigint[] OR raised IS NULL', 'R12 one log-in brings the hash of an old one to that cost');
SELECT is_empty($$SELECT * FROM stored WHERE versions <> 'same'$$, 'R12 which is no new password: nothing else ends by it');
SELECT is_empty('SELECT password_hash FROM usermgmt.account WHERE password_hash IS NOT NULL AND ((pg_temp.cost(password_hash))[1] < 19456 OR (pg_temp.cost(password_hash))[2] < 2 OR pg_temp.cost(password_hash) IS NULL)', 'R12 no stored hash is below the floor');
SELECT is(pg_temp.try(format('SELECT usermgmt.use_session(%L)', token)), 'ok', 'R12 the session from before goes on') FROM person WHERE email = 'ann@acme.test';
SELECT is((SELECT outcome FROM usermgmt.log_in('ann@acme.test', 'a wrong password')), 'invalid_credentials', 'a wrong password');
SELECT pg_temp.hash(:'ann') AS ann_hash \gset
SELECT pg_temp.expensive(20480, 2);
SELECT is((SELECT outcome FROM usermgmt.log_in('ann@acme.test', 'another wrong password')) || (pg_temp.hash(:'ann') = :'ann_hash'), 'invalid_credentialstrue', 'R12 raises nothing');

-- Hashes from elsewhere that are none of ours.
SELECT is(pg_temp.try(format('UPDATE usermgmt.account SET password_hash = %L WHERE user_id = %L', hash, :'bob')), '23514', 'R12 nobody stores ' || what) FROM (VALUES
	('a hash of another kind', '$argon2i$v=19$m=8192,t=3,p=1$0lTPO7nJPtxGlsYDqbASNw$Q3cRZJDOOpfzzpEu06Pj+m5hSqth7KCvQbEq9AkrgjU'), ('a hash that is the password', 'correct horse'), ('an empty hash', '')) AS v (what, hash);

-- Hashes from elsewhere: all are of "correct horse", or look like it.
SELECT pg_temp.expensive(19456, 2);
CREATE TEMPORARY TABLE planted (what text, hash text, outcome text);
INSERT INTO planted VALUES
	('at the floor', '$argon2id$v=19$m=19456,t=2,p=1$qK9HOH2Pi+K/wtMjrs/q9w$UQBV52q8EuDgIaOn1ImmivWp1a+L4ttM3Bze60iYbCs', 'ok'),
	('with less memory', '$argon2id$v=19$m=8192,t=2,p=1$9ZEtb64rOAVQol1W8Z2mYw$fsPOLqXYlchRq3GNQQflrp4YjIVt8AQQXyveD7h57zM', 'ok'),
	('with fewer passes', '$argon2id$v=19$m=19456,t=1,p=1$pgqdCJQXspAfUTKE8eyYUQ$YqXXAKyphr4gthsxvmBD/gbmk218MmYwMctxldupEF4', 'ok'),
	('with less of both', '$argon2id$v=19$m=8192,t=1,p=1$aO2ckV0hblxUv0Jc7wJEBw$o15v4okAywLF6e9Bjn96egawMqftqp55Et20R5WVhGw', 'ok'),
	('with more passes than the ceiling', '$argon2id$v=19$m=64,t=101,p=1$/vNAbkQyb/ugLMn6oX0z4A$kBafOo1LHzxqQmPkgVBDdf9hfdJh4v2KCCdQ0nCDpEk', 'invalid_credentials'),
	('with more memory than the ceiling', '$argon2id$v=19$m=1048577,t=1,p=1$ohYLOulJuczhgf2/lcnI6Q$WOmg4Gp38VroI6CNmSXCJ3PSYxWBR85XqzsteO1tV28', 'invalid_credentials'),
	('with a memory that overflows', '$argon2id$v=19$m=4294986752,t=2,p=1$qK9HOH2Pi+K/wtMjrs/q9w$UQBV52q8EuDgIaOn1ImmivWp1a+L4ttM3Bze60iYbCs', 'invalid_credentials'),
	('with passes that overflow', '$argon2id$v=19$m=19456,t=4294967298,p=1$qK9HOH2Pi+K/wtMjrs/q9w$UQBV52q8EuDgIaOn1ImmivWp1a+L4ttM3Bze60iYbCs', 'invalid_credentials'),
	('with many lanes', '$argon2id$v=19$m=19456,t=2,p=16777215$qK9HOH2Pi+K/wtMjrs/q9w$UQBV52q8EuDgIaOn1ImmivWp1a+L4ttM3Bze60iYbCs', 'invalid_credentials'),
	('with a negative memory', '$argon2id$v=19$m=-1,t=2,p=1$qK9HOH2Pi+K/wtMjrs/q9w$UQBV52q8EuDgIaOn1ImmivWp1a+L4ttM3Bze60iYbCs', 'invalid_credentials'),
	('of another version', '$argon2id$v=16$m=19456,t=2,p=1$qK9HOH2Pi+K/wtMjrs/q9w$UQBV52q8EuDgIaOn1ImmivWp1a+L4ttM3Bze60iYbCs', 'invalid_credentials'),
	('cut off', '$argon2id$v=19$m=19456,t=2,p=1$qK9HOH2Pi+K/wtMjrs/q9w$UQBV52q8EuDgIaOn1ImmivWp1a+L4ttM3Bze60iYbC', 'invalid_credentials'),
	('without a hash', '$argon2id$v=19$m=19456,t=2,p=1$qK9HOH2Pi+K/wtMjrs/q9w$', 'invalid_credentials'),
	('with something after it', '$argon2id$v=19$m=19456,t=2,p=1$qK9HOH2Pi+K/wtMjrs/q9w$UQBV52q8EuDgIaOn1ImmivWp1a+L4ttM3Bze60iYbCs ', 'invalid_credentials'),
	('of a megabyte', '$argon2id$v=19$m=19456,t=2,p=1$qK9HOH2Pi+K/wtMjrs/q9w$' || repeat('A', 1000000), 'invalid_credentials'),
	('that is not there', NULL, 'invalid_credentials');
CREATE FUNCTION pg_temp.log_in_with(stored text, OUT outcome text, OUT cost_after bigint[]) LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM usermgmt.login_throttle;
	UPDATE usermgmt.account SET password_hash = stored WHERE email = 'bob@acme.test';
	outcome := (usermgmt.log_in('bob@acme.test', 'correct horse')).outcome;
	cost_after := pg_temp.cost((SELECT password_hash FROM usermgmt.account WHERE email = 'bob@acme.test'));
END $$;
CREATE TEMPORARY TABLE tried AS SELECT p.*, t.outcome AS got, t.cost_after FROM planted AS p, LATERAL pg_temp.log_in_with(p.hash) AS t;
SELECT is(got, outcome, 'R12 the right password for a hash ' || what) FROM tried;
SELECT is_empty($$SELECT what FROM tried WHERE outcome = 'ok' AND cost_after IS DISTINCT FROM '{19456,2}'$$, 'R12 and a weak one is at the floor after one log-in');

SELECT diag(format('R12: %s of %s hashes under %s settings below the floor; %s of %s planted hashes answered otherwise than they must',
	(SELECT count(*) FROM stored, unnest(ARRAY[fresh[1], raised[1]], ARRAY[fresh[2], raised[2]]) AS c (m, t) WHERE m < 19456 OR t < 2), 2 * (SELECT count(*) FROM stored), (SELECT count(*) FROM setting),
	(SELECT count(*) FROM tried WHERE got <> outcome), (SELECT count(*) FROM tried)));
-- The least of four tries each: an address that nobody has costs a hash too.
SELECT pg_temp.tenant('timing') AS x, pg_temp.join('known@timing.test') AS known, pg_temp.join('away@timing.test') AS away \gset
SELECT usermgmt.deactivate_user(:'away') IS NULL AS x \gset
CREATE TEMPORARY TABLE lap (address text, taken interval, outcome text);
DO $$
DECLARE
	begun timestamptz;
	answer text;
	who text;
BEGIN
	FOR n IN 1..4 LOOP
		FOREACH who IN ARRAY ARRAY['known@timing.test', 'nobody@timing.test', 'away@timing.test'] LOOP
			begun := clock_timestamp();
			answer := (SELECT outcome FROM usermgmt.log_in(who, 'wrong'));
			INSERT INTO lap VALUES (who, clock_timestamp() - begun, answer);
		END LOOP;
	END LOOP;
END $$;
SELECT is((SELECT string_agg(DISTINCT outcome, ' ') FROM lap), 'invalid_credentials', 'R14 a member, nobody and a deactivated member get the same answer');
SELECT cmp_ok((SELECT min(taken) FROM lap WHERE address = a), '>', (SELECT min(taken) / 2 FROM lap WHERE address = 'known@timing.test'), 'R14 and a hash is computed: ' || a)
FROM unnest(ARRAY['nobody@timing.test', 'away@timing.test']) AS a;

SELECT * FROM finish();
ROLLBACK;
