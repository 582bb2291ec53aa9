-- What calls leave in the memory of a backend: nothing that the next ones add to.
BEGIN;
\ir helpers.psql
SELECT no_plan();

-- 200 calls, each of which ends with this SQLSTATE and is rolled back to
-- a savepoint; 'ok' is undone all the same.
CREATE FUNCTION pg_temp.call_often(statement text, state text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 200 LOOP
		BEGIN
			EXECUTE statement;
			RAISE SQLSTATE 'TU000';
		EXCEPTION WHEN OTHERS THEN
			IF replace(SQLSTATE, 'TU000', 'ok') <> state THEN
				RAISE;
			END IF;
		END;
	END LOOP;
END $$;
CREATE FUNCTION pg_temp.used() RETURNS TABLE (name text, bytes bigint) LANGUAGE sql AS $$
	SELECT name, sum(used_bytes)::bigint FROM pg_backend_memory_contexts
	WHERE name IN ('TopMemoryContext', 'CacheMemoryContext', 'TopTransactionContext') GROUP BY name
$$;
-- The bytes that each call adds to what outlives it: the least of three times
-- 200, for a cache may still fill.
CREATE FUNCTION pg_temp.kept(statement text, state text DEFAULT 'ok') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	before bigint;
	now bigint;
	least_more bigint;
BEGIN
	FOR i IN 0 .. 3 LOOP
		PERFORM pg_temp.call_often(statement, state);
		now := (SELECT sum(bytes) FROM pg_temp.used());
		IF i > 0 THEN
			least_more := least(least_more, now - before);
		END IF;
		before := now;
	END LOOP;
	RETURN least_more / 200;
END $$;

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('ann@acme.test', 'admin') AS ann, pg_temp.join('bob@acme.test') AS bob \gset
SELECT session_token AS busy FROM usermgmt.log_in('ann@acme.test', 'secret of ann@acme.test') \gset
SELECT user_id AS x FROM usermgmt.use_session(:'busy', 'connection') \gset
CREATE TEMPORARY TABLE bound AS SELECT :'busy'::text AS token;

SELECT pg_temp.kept('SELECT 1') AS x \gset
SELECT cmp_ok(pg_temp.kept(statement), '<=', 0::bigint, 'P12 nothing is kept of ' || statement) FROM (VALUES
	('SELECT * FROM usermgmt.use_session((SELECT token FROM bound))'),
	('SELECT usermgmt.current_user_id(), usermgmt.current_member_role()'),
	('SELECT usermgmt.has_permission(''invite_users'')'),
	('SELECT usermgmt.tenant_setting(''invitation_ttl'')'),
	('SELECT usermgmt.invite_user(''eve@acme.test'')'),
	('SELECT count(*) FROM usermgmt.members')) AS t (statement);
SELECT cmp_ok(pg_temp.kept(statement, state), '<=', 0::bigint, 'P12 nothing is kept of what is refused: ' || statement) FROM (VALUES
	('SELECT usermgmt.use_session(''ums_none'')', 'UM001'),
	('SELECT usermgmt.change_role(''00000000-0000-7000-8000-00000000000f'', ''admin'')', 'UM002'),
	('SELECT usermgmt.invite_user(''no address'')', '22023'),
	('SELECT usermgmt.invite_user(''bob@acme.test'')', 'UM032')) AS t (statement, state);

-- Notes for the end of the transaction go with the savepoint.
SET LOCAL usermgmt.notify_events = on;
SET LOCAL usermgmt.log_events = on;
SELECT cmp_ok(pg_temp.kept('SELECT usermgmt.invite_user(''told@acme.test'')'), '<=', 0::bigint, 'P12 S2.12 S2.13 events that are to be told are forgotten with the savepoint');
SET LOCAL usermgmt.notify_events = off;
SET LOCAL usermgmt.log_events = off;
SELECT format('SELECT usermgmt.change_role(%L, %L', :'bob', 'admin') AS change \gset
SELECT cmp_ok(pg_temp.kept(:'change' || format(', %L)', repeat('why ', 124))), '<', pg_temp.kept(:'change' || ')') + 100,
	'P12 and the reason of a change that is rolled back is forgotten, too');

SELECT * FROM finish();
ROLLBACK;
