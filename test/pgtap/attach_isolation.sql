-- Attached tables with isolate => true: who sees and writes which rows.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test') AS eve \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('ann@acme.test', 'admin') AS ann, pg_temp.join('bob@acme.test') AS bob, pg_temp.join('vic@acme.test') AS vic, pg_temp.join('cid@acme.test') AS cid \gset
SELECT workspace_id AS north FROM usermgmt.create_workspace('north', 'North') \gset
SELECT workspace_id AS south FROM usermgmt.create_workspace('south', 'South') \gset
SELECT usermgmt.set_workspace_member(:'north', :'bob', 'member') AS x, usermgmt.set_workspace_member(:'north', :'vic', 'viewer') AS x \gset
CREATE ROLE tap_isolation_app;
CREATE ROLE tap_isolation_owner;
CREATE ROLE tap_isolation_stranger;
CREATE ROLE tap_isolation_dba;
SELECT usermgmt.grant_access('tap_isolation_app', 'application') AS x, usermgmt.grant_access('tap_isolation_owner', 'application') AS x, usermgmt.grant_access('tap_isolation_dba', 'operator') AS x \gset

CREATE TABLE lead (id integer PRIMARY KEY, tenant uuid, ws uuid, name text);
CREATE INDEX lead_tenant ON lead (tenant);
ALTER TABLE lead OWNER TO tap_isolation_owner;
GRANT ALL ON lead TO tap_isolation_app, tap_isolation_stranger, tap_isolation_dba;
INSERT INTO lead VALUES (1, :'acme_id', NULL, 'all'), (2, :'acme_id', :'north', 'north'), (3, :'acme_id', :'south', 'south'), (4, :'acme_id', gen_random_uuid(), 'nowhere'),
	(11, :'other_id', NULL, 'all'), (12, :'other_id', :'north', 'strange'), (21, NULL, NULL, 'nobody''s');
SELECT usermgmt.attach_table('lead', 'tenant', 'ws', isolate => true) AS x \gset

CREATE FUNCTION pg_temp.as_person(address text, statement text, database_role text DEFAULT 'tap_isolation_app') RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.act(address, format('SELECT pg_temp.run_as(%L, %L)', database_role, statement))
$$;
-- The ids that the person reads, changes and deletes.
CREATE FUNCTION pg_temp.reach(address text, database_role text DEFAULT 'tap_isolation_app') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	reached text;
BEGIN
	SELECT concat_ws(' | ', coalesce(pg_temp.as_person(address, 'SELECT string_agg(id::text, '','' ORDER BY id) FROM public.lead', database_role), '-'),
		coalesce(pg_temp.as_person(address, 'WITH u AS (UPDATE public.lead SET name = name RETURNING id) SELECT string_agg(id::text, '','' ORDER BY id) FROM u', database_role), '-'),
		coalesce(pg_temp.as_person(address, 'WITH d AS (DELETE FROM public.lead RETURNING id) SELECT string_agg(id::text, '','' ORDER BY id) FROM d', database_role), '-'))
		INTO reached;
	RAISE SQLSTATE 'XX998' USING MESSAGE = reached;
EXCEPTION WHEN SQLSTATE 'XX998' THEN
	RETURN SQLERRM;
END $$;

SELECT is(pg_temp.reach(who || '.test'), rows, 'S4.8, S4.14 ' || what) FROM (VALUES
	('owner@acme', '1,2,3 | 1,2,3 | 1,2,3', 'the owner reaches the tenant''s rows: of no workspace, and of every open one'), ('ann@acme', '1,2,3 | 1,2,3 | 1,2,3', 'so does an admin'),
	('bob@acme', '1,2 | 1,2 | 1,2', 'a member of a workspace reads and writes its rows'), ('vic@acme', '1,2 | 1 | 1', 'a viewer only reads them'),
	('cid@acme', '1 | 1 | 1', 'whoever works in none has the rows of none'), ('eve@other', '11 | 11 | 11', 'another tenant has its own, whatever workspace they name')) AS r (who, rows, what);
SELECT is(pg_temp.reach('bob@acme.test', 'tap_isolation_owner'), '1,2 | 1,2 | 1,2', 'S4.8 row security binds the owner of the table too');
SELECT is(pg_temp.run_as('tap_isolation_app', 'SELECT count(*) FROM public.lead'), '0', 'S4.8 without a session nothing is seen');
SELECT is(pg_temp.run_as('tap_isolation_dba', 'SELECT string_agg(id::text, '','' ORDER BY id) FROM public.lead'), '1,2,3', 'S4.8 an operator sees the selected tenant as its admin does');
SELECT is(pg_temp.run_as('tap_isolation_stranger', 'SELECT count(*) FROM public.lead'), 'error 42501', 'S4.8 a role without access sees nothing');
SELECT is(pg_temp.as_person('bob@acme.test', format('WITH i AS (INSERT INTO public.lead VALUES (%s) RETURNING name) SELECT count(*) FROM i', vals)), answer, 'S4.8, S4.14 ' || what) FROM (VALUES
	(format('31, %L, NULL', :'acme_id'), '1', 'a row of the own tenant is inserted, and returned'), (format('32, %L, %L', :'acme_id', :'north'), '1', 'also in a workspace of the own'),
	(format('33, %L, %L', :'acme_id', :'south'), 'error 42501', 'not in another one'), (format('34, %L, NULL', :'other_id'), 'error 42501', 'not in another tenant'), ('35, NULL, NULL', 'error 42501', 'and not in none')) AS r (vals, answer, what);
DELETE FROM lead WHERE id IN (31, 32);
SELECT is(pg_temp.as_person('vic@acme.test', format('WITH i AS (INSERT INTO public.lead VALUES (31, %L, %L) RETURNING id) SELECT id FROM i', :'acme_id', :'north')), 'error 42501', 'S4.14 a viewer inserts nothing in the workspace');
SELECT is(pg_temp.as_person('bob@acme.test', format('WITH u AS (UPDATE public.lead SET %s WHERE id = 2 RETURNING id) SELECT id FROM u', change)), 'error 42501', 'S4.8, S4.14 a row does not leave for ' || what)
	FROM (VALUES (format('tenant = %L', :'other_id'), 'another tenant'), (format('ws = %L', :'south'), 'a workspace of others'), ('tenant = NULL', 'no tenant')) AS r (change, what);
SELECT is(pg_temp.as_person('bob@acme.test', format('WITH i AS (INSERT INTO public.lead VALUES (11, %L) ON CONFLICT (id) DO UPDATE SET name = ''taken'' RETURNING id) SELECT id FROM i', :'acme_id')), 'error 42501',
	'S4.8 ON CONFLICT does not reach a row of another tenant');
SELECT is(pg_temp.as_person('bob@acme.test', format('WITH i AS (INSERT INTO public.lead VALUES (11, %L) ON CONFLICT DO NOTHING RETURNING id) SELECT count(*) FROM i', :'acme_id')), '0', 'documented: a key shared by tenants tells that it is taken');
SELECT is((SELECT name FROM lead WHERE id = 11), 'all', 'S4.8 and the row is as it was');
SELECT is(pg_temp.as_person('bob@acme.test', 'COPY public.lead TO ''/nowhere'''), 'error 42501', 'COPY to a file is not for the application');
SELECT is(pg_temp.run_as('tap_isolation_app', 'COPY public.lead FROM PROGRAM ''true'''), 'error 42501', 'nor from one');

-- Archived workspaces; what people are is asked anew.
SELECT usermgmt.archive_workspace(:'north') AS x \gset
SELECT is(pg_temp.reach('ann@acme.test') || ' & ' || pg_temp.reach('bob@acme.test'), '1,3 | 1,3 | 1,3 & 1 | 1 | 1', 'S4.14 an archived workspace keeps its rows to itself');
SELECT usermgmt.restore_workspace(:'north') AS x, usermgmt.remove_workspace_member(:'north', :'bob') AS x \gset
SELECT is(pg_temp.reach('ann@acme.test') || ' & ' || pg_temp.reach('bob@acme.test'), '1,2,3 | 1,2,3 | 1,2,3 & 1 | 1 | 1', 'S0.14, S4.14 opened again it has them, and who was taken out has not');
SELECT set_eq(format('SELECT unnest(usermgmt.workspaces_as(%L))', r), format('SELECT workspace_id FROM usermgmt.workspace WHERE tenant_id = %L', :'acme_id'), 'an operator has every workspace as ' || r) FROM unnest(ARRAY['viewer', 'member', 'admin']) AS r;
SELECT results_eq($$SELECT r, cardinality(pg_temp.as_person('vic@acme.test', format('SELECT usermgmt.workspaces_as(%L)', r))::uuid[]) FROM unnest(ARRAY['viewer', 'member', 'admin']) AS r$$, $$VALUES ('viewer', 1), ('member', 0), ('admin', 0)$$, 'workspaces_as goes by the role there');
SELECT is(pg_temp.state_of($$SELECT usermgmt.workspaces_as('boss')$$), '22023', 'and knows three roles');
UPDATE usermgmt.tenant SET suspended_at = now() WHERE tenant_id = :'other_id';
SELECT is(pg_temp.state_of(format('SELECT pg_temp.reach(%L)', 'eve@other.test')), 'UM001', 'S4.8 people of a suspended tenant reach nothing');
UPDATE usermgmt.tenant SET suspended_at = NULL WHERE tenant_id = :'other_id';

-- Together with policies of the application.
SELECT usermgmt.detach_table('lead') AS x \gset
SELECT is((SELECT relrowsecurity OR relforcerowsecurity OR EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid) FROM pg_class AS c WHERE oid = 'lead'::regclass), false, 'B7 detached, row security is off as before');
CREATE POLICY own ON lead USING (id < 3) WITH CHECK (true);
CREATE POLICY wide ON lead FOR SELECT USING (true);
ALTER TABLE lead ENABLE ROW LEVEL SECURITY;
SELECT usermgmt.attach_table('lead', 'tenant', isolate => true) AS x \gset
SELECT is(pg_temp.reach('bob@acme.test'), '1,2,3,4 | 1,2 | 1,2', 'S4.8 policies of the application narrow what isolation lets through, and widen nothing');
SELECT usermgmt.detach_table('lead') AS x \gset
SELECT results_eq($$SELECT relrowsecurity, relforcerowsecurity, (SELECT string_agg(polname::text COLLATE "default", ',' ORDER BY polname) FROM pg_policy WHERE polrelid = c.oid) FROM pg_class AS c WHERE oid = 'lead'::regclass$$, $$VALUES (true, false, 'own,wide')$$, 'B7 detached, they are what they were');
ALTER TABLE lead DISABLE ROW LEVEL SECURITY;
SELECT usermgmt.attach_table('lead', 'tenant', isolate => true) AS x \gset
SELECT is(pg_temp.reach('bob@acme.test'), '1,2,3,4 | 1,2 | 1,2', 'S4.8 policies that were not in force come into force, and are not widened either');
SELECT usermgmt.detach_table('lead') AS x \gset
DROP POLICY own ON lead;
DROP POLICY wide ON lead;

CREATE FUNCTION pg_temp.rows_after(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	rows text;
BEGIN
	PERFORM usermgmt.use_session((SELECT token FROM person WHERE email = 'bob@acme.test'));
	EXECUTE statement;
	rows := pg_temp.run_as('tap_isolation_app', 'SELECT count(*) FROM public.lead');
	RAISE SQLSTATE 'XX998';
EXCEPTION WHEN SQLSTATE 'XX998' THEN
	RETURN rows;
END $$;

-- Cost: the plan is that of a constant.
SELECT usermgmt.attach_table('lead', 'tenant', isolate => true, audit => false) AS x \gset
INSERT INTO lead SELECT n, gen_random_uuid() FROM generate_series(100, 30000) AS n;
ANALYZE lead;
CREATE FUNCTION pg_temp.plan(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	lines text := '';
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		lines := lines || line || E'\n';
	END LOOP;
	RETURN lines;
END $$;
CREATE FUNCTION pg_temp.plan_as_bob(query text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.as_person('bob@acme.test', format('SELECT pg_temp.plan(%L)', query))
$$;
SELECT matches(pg_temp.plan_as_bob('SELECT name FROM public.lead'), '(Index|Bitmap).*Index Cond: [^\n]*tenant = (\$0|\(InitPlan 1\)).*InitPlan 1', 'B14 the policy is an index condition with one look at the session');
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
SET LOCAL enable_indexscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT matches(pg_temp.plan_as_bob('SELECT count(*) FROM public.lead'), 'Gather.*Parallel Seq Scan on lead', 'B14 and leaves a parallel plan parallel');
SELECT is(pg_temp.as_person('bob@acme.test', 'SELECT count(*) FROM public.lead'), '4', 'S4.8 which sees the same rows');

-- What they go by is dropped: then nothing is seen.
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is_empty($$SELECT s FROM unnest(ARRAY['ALTER TABLE lead DROP COLUMN tenant CASCADE', 'DROP EXTENSION usermgmt CASCADE']) AS s
		WHERE pg_temp.rows_after(s) <> '0'$$, 'S4.8 with the column or the extension dropped by CASCADE no row is seen');

-- Partitions have the same policies.
CREATE TABLE visit (id integer, tenant uuid, at date) PARTITION BY RANGE (at);
CREATE TABLE visit_all PARTITION OF visit DEFAULT;
INSERT INTO visit VALUES (1, :'acme_id', '2026-01-01'), (2, :'other_id', '2026-01-01');
GRANT ALL ON visit, visit_all TO tap_isolation_app;
SELECT usermgmt.attach_table('visit', 'tenant', isolate => true, audit => false) AS x \gset
SELECT is(pg_temp.as_person('bob@acme.test', format('SELECT string_agg(id::text, %L) FROM public.%I', ',', t)), '1', 'S4.8 isolated: ' || t) FROM unnest(ARRAY['visit', 'visit_all']) AS t;

SELECT * FROM finish();
ROLLBACK;
