-- A statement that changes many rows: an event for each, and none is another's.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.tenant('other') AS other_id \gset
CREATE SCHEMA shop;
SET LOCAL search_path = shop, public;
CREATE TABLE item (id integer PRIMARY KEY, gone text, tenant uuid, name text, secret text, wide text, n integer, twice integer GENERATED ALWAYS AS (n * 2) STORED);
ALTER TABLE item DROP COLUMN gone;
ALTER TABLE item ALTER COLUMN wide SET STORAGE EXTERNAL;
SELECT usermgmt.attach_table('item', 'tenant', redact => '{secret}') AS x \gset
CREATE FUNCTION pg_temp.events(verb text) RETURNS TABLE (object_id integer, tenant_id uuid, old jsonb, new jsonb, event_id uuid, salt uuid, reason text) LANGUAGE sql AS $$
	SELECT object_id::integer, nullif(tenant_id, '00000000-0000-0000-0000-000000000000'), old, new, event_id, salt, reason FROM usermgmt.audit_event WHERE action = 'shop.item.' || verb ORDER BY event_id
$$;

-- More rows than are kept before they are stored, of two tenants and of none.
INSERT INTO item SELECT n, (ARRAY[:'acme_id', :'other_id', NULL]::uuid[])[n % 3 + 1], 'name ' || n, 'secret ' || n, NULL, n FROM generate_series(1, 3000) AS n;
SELECT results_eq($$SELECT object_id, tenant_id, old, new FROM pg_temp.events('created')$$,
	$$SELECT id, tenant, NULL::jsonb, to_jsonb(i) - 'secret' FROM item AS i ORDER BY id$$, 'B6 each of 3,000 new rows has its event, of its own tenant, in the order of the change');
SELECT is((SELECT count(DISTINCT event_id) + count(DISTINCT salt) FROM pg_temp.events('created')), 6000::bigint, 'R17 each with an id and a salt of its own');
UPDATE item SET n = n + (id % 3 = 0)::integer, secret = CASE WHEN id % 500 = 1 THEN 'new' ELSE secret END;
SELECT set_eq($$SELECT object_id, tenant_id, old, new FROM pg_temp.events('updated')$$,
	$$SELECT id, tenant, jsonb_build_object('n', n - 1, 'twice', 2 * n - 2) AS old, jsonb_build_object('n', n, 'twice', 2 * n) AS new FROM item WHERE id % 3 = 0 UNION ALL SELECT id, tenant, '{}', '{}' FROM item WHERE id % 500 = 1 AND id % 3 <> 0$$,
	'B6 of 3,000 touched rows those that changed, with what changed');

-- Values that are stored outside the row, or too many for the memory kept.
UPDATE item SET wide = repeat('wide ' || id, 3000) WHERE id <= 200;
SELECT max(event_id::text) AS here FROM usermgmt.audit_event \gset
SELECT is((SELECT count(*) FROM pg_temp.events('updated') WHERE old = '{"wide": null}' AND new = jsonb_build_object('wide', repeat('wide ' || object_id, 3000))), 200::bigint, 'B6 wide values are shown whole');
UPDATE item SET n = -id WHERE id <= 200;
SELECT is((SELECT count(*) FROM pg_temp.events('updated') WHERE event_id::text > :'here' AND old ?& '{n,twice}' AND NOT old ? 'wide'), 200::bigint, 'B6 and left out where they stay');
SELECT max(event_id::text) AS here FROM usermgmt.audit_event \gset
UPDATE item SET wide = CASE WHEN id % 2 = 0 THEN wide || '!' ELSE wide || '' END WHERE id <= 200;
SELECT results_eq(format($$SELECT object_id FROM pg_temp.events('updated') WHERE event_id::text > %L AND new ->> 'wide' = (old ->> 'wide') || '!'$$, :'here'), 'SELECT generate_series(2, 200, 2)', 'B6 also where one is written anew without a change');
SELECT max(event_id::text) AS here FROM usermgmt.audit_event \gset
SET LOCAL work_mem = '64kB';
UPDATE item SET wide = wide || '?', n = n - 1 WHERE id <= 200;
RESET work_mem;
SELECT results_eq(format($$SELECT object_id, new FROM pg_temp.events('updated') WHERE event_id::text > %L ORDER BY object_id$$, :'here'),
	$$SELECT id, jsonb_build_object('wide', wide, 'n', n, 'twice', twice) FROM item WHERE id <= 200 ORDER BY id$$, 'B6 and when the change does not fit into work_mem');

-- An event that can not be written, in the middle.
SELECT count(*) AS events, (SELECT sum(n) FROM item) AS sum FROM usermgmt.audit_event \gset
ALTER TABLE usermgmt.audit_event ADD CONSTRAINT tap_middle CHECK (object_id <> '1500') NOT VALID;
SELECT throws_ok('UPDATE item SET n = n + 1', '23514', NULL, 'B6 an event that breaks a constraint of the trail fails the whole change');
ALTER TABLE usermgmt.audit_event DROP CONSTRAINT tap_middle;
CREATE FUNCTION pg_temp.watch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.object_id = current_setting('tap.refused', true) THEN
		RAISE EXCEPTION 'no' USING ERRCODE = 'XX999';
	END IF;
	NEW.reason := 'seen ' || NEW.object_id;
	RETURN NEW;
END $$;
CREATE TRIGGER tap_watch BEFORE INSERT ON usermgmt.audit_event FOR EACH ROW EXECUTE FUNCTION pg_temp.watch();
SELECT set_config('tap.refused', '1500', true) AS x \gset
SELECT throws_ok('UPDATE item SET n = n + 1', 'XX999', NULL, 'B6 so does a trigger on the trail that refuses it');
SELECT set_config('tap.refused', '', true) AS x \gset
SELECT is((SELECT ROW(count(*), (SELECT sum(n) FROM item))::text FROM usermgmt.audit_event), format('(%s,%s)', :'events', :'sum'), 'B6 and neither event nor change remains');
UPDATE item SET n = 7 WHERE id > 2000;
SELECT bag_eq($$SELECT object_id, tenant_id, new FROM pg_temp.events('updated') WHERE reason = 'seen ' || object_id$$, $$SELECT id AS object_id, tenant AS tenant_id, '{"n": 7, "twice": 14}'::jsonb AS new FROM item WHERE id > 2000$$, 'B6 where a trigger is on the trail, events go through it, all of them');
DROP TRIGGER tap_watch ON usermgmt.audit_event;

-- Names of actions change from row to row.
INSERT INTO usermgmt.workspace (tenant_id, workspace_id, slug, name, archived_at) SELECT :'acme_id', gen_random_uuid(), 'w' || n, 'W', CASE WHEN n % 2 = 0 THEN now() END FROM generate_series(1, 1000) AS n;
UPDATE usermgmt.workspace SET archived_at = CASE WHEN archived_at IS NULL THEN now() END WHERE slug ~ '^w\d';
SELECT results_eq($$SELECT action, count(*), count(*) FILTER (WHERE (w.archived_at IS NULL) = (action = 'workspace.restored')) FROM usermgmt.audit_event AS e JOIN usermgmt.workspace AS w ON w.workspace_id::text = e.object_id
		WHERE action IN ('workspace.archived', 'workspace.restored') GROUP BY action ORDER BY action$$,
	$$VALUES ('workspace.archived', 500::bigint, 500::bigint), ('workspace.restored', 500, 500)$$, 'B6 each row of a statement has its own action');

-- Rows that a foreign key deletes, and rows of partitions.
CREATE TABLE part (id integer PRIMARY KEY, item integer REFERENCES item ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED, tenant uuid);
CREATE TABLE visit (id integer, day date, tenant uuid, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visit_one PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visit_two (tenant uuid, day date NOT NULL, id integer NOT NULL);
ALTER TABLE visit ATTACH PARTITION visit_two FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SELECT usermgmt.attach_table('part', 'tenant') AS x, usermgmt.attach_table('visit', 'tenant') AS x \gset
INSERT INTO part SELECT n, n, :'other_id' FROM generate_series(1, 1000) AS n;
DELETE FROM item WHERE id <= 1000;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is((SELECT ROW(count(*), count(DISTINCT object_id), count(DISTINCT old ->> 'item'), min(tenant_id::text))::text FROM usermgmt.audit_event WHERE action = 'shop.part.deleted'), format('(1000,1000,1000,%s)', :'other_id'), 'B6 every row that a foreign key deletes leaves an event');
INSERT INTO visit SELECT n, date '2026-01-01' + n % 50, :'acme_id' FROM generate_series(1, 1000) AS n;
UPDATE visit SET tenant = :'other_id' WHERE id % 2 = 0;
SELECT bag_eq($$SELECT action, object_id, tenant_id, new FROM usermgmt.audit_event WHERE object_type = 'shop.visit'$$,
	format($$SELECT 'shop.visit.created' AS action, format('["%%s", "%%s"]', id, day) AS object_id, %1$L::uuid AS tenant_id, jsonb_build_object('id', id, 'day', day, 'tenant', %1$L) AS new FROM visit
		UNION ALL SELECT 'shop.visit.updated', format('["%%s", "%%s"]', id, day), %2$L, jsonb_build_object('tenant', %2$L) FROM visit WHERE id %% 2 = 0$$, :'acme_id', :'other_id'),
	'B7 and every row of partitions, whatever the order of their columns');

-- The same events in the table of the application.
CREATE TABLE sink (event_id uuid PRIMARY KEY, tenant_id uuid, object_id text, old jsonb, new jsonb, action text);
SELECT usermgmt.set_audit_sink('sink') AS x \gset
UPDATE item SET name = 'new name ' || n;
SELECT is((SELECT count(*) FROM sink), 2000::bigint, 'S0.17 a bulk change is in the sink');
SELECT results_eq('SELECT event_id, tenant_id, object_id, old, new, action FROM sink ORDER BY event_id',
	$$SELECT event_id, nullif(tenant_id, '00000000-0000-0000-0000-000000000000'), object_id, old, new, action FROM usermgmt.audit_event WHERE event_id IN (SELECT event_id FROM sink) ORDER BY event_id$$, 'S0.17 with the same contents as in the trail');

SELECT * FROM finish();
ROLLBACK;
