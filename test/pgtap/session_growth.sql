-- What sessions cost when many are kept: no request reads what other people have kept, and an end
-- needs no entry in any index. Statistics are those of the transaction.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT is_empty($$SELECT DISTINCT a.attname FROM pg_index AS i
		JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refobjid = i.indrelid
		JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
		WHERE i.indrelid = 'usermgmt.session'::regclass AND a.attname NOT IN ('session_id', 'tenant_id', 'user_id', 'expires_at', 'last_used_at')$$,
	'P6 no index mentions what the end, a new token, another role or another address changes');

SELECT pg_temp.tenant('acme') AS acme_id \gset
SELECT pg_temp.join('bot@acme.test') AS bot, pg_temp.join('ann@acme.test', 'admin') AS ann, pg_temp.join('bob@acme.test') AS bob \gset

-- The rows of sessions that a statement reads from end to end and by index, and those that it
-- changes at all and with new index entries.
CREATE TYPE pg_temp.work AS (scanned bigint, fetched bigint, changed bigint, moved bigint);
CREATE FUNCTION pg_temp.counted() RETURNS pg_temp.work LANGUAGE sql AS $$
	SELECT pg_stat_get_xact_tuples_returned(t), pg_stat_get_xact_tuples_fetched(t) + (SELECT sum(pg_stat_get_xact_tuples_fetched(indexrelid)) FROM pg_index WHERE indrelid = t)::bigint, pg_stat_get_xact_tuples_updated(t), pg_stat_get_xact_tuples_updated(t) - pg_stat_get_xact_tuples_hot_updated(t)
	FROM (SELECT 'usermgmt.session'::regclass) AS x (t)
$$;
CREATE FUNCTION pg_temp.work_of(statement text) RETURNS pg_temp.work LANGUAGE plpgsql AS $$
DECLARE
	before pg_temp.work := pg_temp.counted();
	after pg_temp.work;
BEGIN
	EXECUTE statement;
	after := pg_temp.counted();
	RETURN (after.scanned - before.scanned, after.fetched - before.fetched, after.changed - before.changed, after.moved - before.moved)::pg_temp.work;
END $$;

CREATE FUNCTION pg_temp.statement(what text, person uuid) RETURNS text LANGUAGE sql AS $$
	SELECT format(CASE what
		WHEN 'start_session' THEN 'SELECT usermgmt.start_session(%1$L)'
		WHEN 'log_in' THEN 'SELECT usermgmt.log_in((SELECT email FROM usermgmt.account WHERE user_id = %1$L), ''wrong password'')'
		WHEN 'revoke_user_sessions' THEN 'SELECT usermgmt.revoke_user_sessions(%1$L)'
		WHEN 'a new password' THEN 'UPDATE usermgmt.account SET password_version = password_version + 1 WHERE user_id = %1$L'
		WHEN 'a new address' THEN 'UPDATE usermgmt.account SET email = ''new.'' || email, canonical_email = ''new.'' || email WHERE user_id = %1$L'
		WHEN 'change_role' THEN 'SELECT usermgmt.change_role(%1$L, ''admin''), usermgmt.change_role(%1$L, ''member'')'
		WHEN 'deactivate_user' THEN 'SELECT usermgmt.deactivate_user(%1$L), usermgmt.reactivate_user(%1$L)'
		WHEN 'preview_removal' THEN 'SELECT usermgmt.preview_removal(%1$L)'
		WHEN 'remove_user' THEN 'SELECT usermgmt.remove_user(%1$L, confirm => true)' END, person)
$$;

-- As in a new database: every index looks alike, and a plan that was made so is kept.
TRUNCATE usermgmt.session;
DELETE FROM pg_statistic WHERE starelid = 'usermgmt.session'::regclass;
SET LOCAL session_replication_role = replica;
INSERT INTO usermgmt.session (session_id, tenant_id, user_id, token_hash, role, email, state, created_at, last_used_at, expires_at)
SELECT CASE n WHEN 1 THEN :'ann'::uuid ELSE gen_random_uuid() END, :'acme_id', CASE n WHEN 1 THEN :'ann'::uuid ELSE md5(n::text)::uuid END,
	sha256(n::text::bytea), 'admin', 'y@acme.test', 'open', now(), now() - interval '1 hour', now() + interval '1 day' FROM generate_series(1, 200) AS n;
SET LOCAL session_replication_role = origin;
SELECT ok(w.scanned = 0 AND w.fetched <= 4, format('P9 without statistics %s reads no other session: %s', what, w))
	FROM (VALUES ('last use', format('SELECT usermgmt.session_move_last_use(%L, %L, clock_timestamp())', :'ann', :'acme_id')),
		('revoke_session', format('SELECT usermgmt.revoke_session(%L)', :'ann')),
		('revoke_user_sessions', format('SELECT usermgmt.revoke_user_sessions(%L)', :'ann')),
		('deactivate_user', format('SELECT usermgmt.deactivate_user(%L)', :'bob'))) AS v (what, statement), LATERAL pg_temp.work_of(statement) AS w;
SELECT is((SELECT state || ' ' || (now() - last_used_at < interval '1 minute') FROM usermgmt.session WHERE session_id = :'ann'), 'revoked true', 'P9 (each did what it is to do)');
SELECT usermgmt.reactivate_user(:'bob') IS NULL AS x \gset
DELETE FROM usermgmt.session;

-- 10,000 of a program that logs out each time, 100 open ones of Ann, and 40,000 of others between them.
SET LOCAL session_replication_role = replica;
INSERT INTO usermgmt.session (session_id, tenant_id, user_id, token_hash, role, email, state, created_at, last_used_at, expires_at, ended_at)
SELECT gen_random_uuid(), :'acme_id', CASE WHEN n % 5 = 0 THEN :'bot'::uuid WHEN n % 500 = 1 THEN :'ann'::uuid ELSE md5((n % 9973)::text)::uuid END,
	sha256(n::text::bytea), CASE WHEN n % 500 = 1 THEN 'admin' ELSE 'member' END, 'x@acme.test', s.state, s.at, s.at, s.at + interval '1 day', CASE WHEN s.state = 'ended' THEN s.at END
FROM generate_series(1, 50000) AS n, LATERAL (SELECT now() - interval '1 second' * (60000 - n) AS at, CASE WHEN n % 5 = 0 THEN 'ended' ELSE 'open' END AS state) AS s
ORDER BY n;
SET LOCAL session_replication_role = origin;
ANALYZE usermgmt.session;

SELECT results_eq(format('SELECT w.changed, w.moved FROM pg_temp.work_of(pg_temp.statement(''deactivate_user'', %L)) AS w', :'ann'), 'VALUES (100::bigint, 0::bigint)', 'P6 the end of 100 sessions among others needs no index entry');
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE action = 'session.revoked' AND subject_email = 'x@acme.test'), 100::bigint, 'B2 each has its event');

SELECT results_eq(format('SELECT w.scanned, w.fetched <= 40 FROM pg_temp.work_of(pg_temp.statement(%L, %L)) AS w', what, :'bob'), 'VALUES (0::bigint, true)', format('P9 %s of somebody with few sessions reads those alone, by index', what))
	FROM unnest(ARRAY['start_session', 'log_in', 'revoke_user_sessions', 'a new password', 'a new address', 'change_role', 'deactivate_user', 'preview_removal', 'remove_user']) AS what;
SELECT results_eq(format('SELECT w.scanned, w.fetched <= 3 FROM pg_temp.work_of(pg_temp.statement(%L, %L)) AS w', what, :'bot'), 'VALUES (0::bigint, true)', format('P9 %s reads nothing that is kept of the person', what))
	FROM unnest(ARRAY['start_session', 'log_in']) AS what;
SELECT results_eq(format('SELECT w.scanned, w.fetched <= 45000 FROM pg_temp.work_of(pg_temp.statement(%L, %L)) AS w', what, :'bot'), 'VALUES (0::bigint, true)', format('P9 %s of somebody with 10,000 ended ones reads no others', what))
	FROM unnest(ARRAY['revoke_user_sessions', 'a new password', 'a new address', 'change_role', 'deactivate_user']) AS what;

SELECT * FROM finish();
ROLLBACK;
