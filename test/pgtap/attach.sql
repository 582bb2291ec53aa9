-- The application's own tables: what attach_table() gives them, and takes back.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test') AS eve \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('ann@acme.test', 'admin') AS ann, pg_temp.join('bob@acme.test') AS bob, pg_temp.join('cid@acme.test') AS cid \gset
SELECT user_id AS owner FROM usermgmt.membership WHERE tenant_id = :'acme_id' AND is_primary_owner \gset
CREATE ROLE tap_attach_app;
CREATE ROLE tap_attach_dba;
CREATE ROLE tap_attach_operator;
SELECT usermgmt.grant_access('tap_attach_app', 'application') AS x, usermgmt.grant_access('tap_attach_dba', 'operator') AS x, usermgmt.grant_access('tap_attach_operator', 'operator') AS x \gset
CREATE SCHEMA "Tap App";
GRANT USAGE ON SCHEMA "Tap App" TO PUBLIC;
SET LOCAL search_path = "Tap App", public;
CREATE FUNCTION pg_temp.as_person(address text, statement text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.act(address, format('SELECT pg_temp.run_as(%L, %L)', 'tap_attach_app', statement))
$$;
-- Everything in the catalog that is about a table and its partitions.
CREATE FUNCTION pg_temp.definition(target regclass) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(line, E'\n' ORDER BY line COLLATE "C") FROM (
		WITH tree AS (SELECT $1 AS oid UNION SELECT relid FROM pg_partition_tree($1))
		SELECT format('%s %s %s %s', c.oid::regclass, c.relrowsecurity, c.relforcerowsecurity, c.relacl) FROM pg_class AS c JOIN tree USING (oid)
		UNION ALL SELECT format('%s %s %s', tgrelid::regclass, tgenabled, pg_get_triggerdef(t.oid)) FROM pg_trigger AS t JOIN tree ON tree.oid = tgrelid WHERE NOT tgisinternal
		UNION ALL SELECT to_jsonb(p)::text FROM pg_policies AS p JOIN tree ON tree.oid = format('%I.%I', p.schemaname, p.tablename)::regclass
		UNION ALL SELECT format('%s %s %s', d.objoid::regclass, objsubid, description) FROM pg_description AS d JOIN tree ON tree.oid = d.objoid AND d.classoid = 'pg_class'::regclass
		UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(c.oid)) FROM pg_constraint AS c JOIN tree ON tree.oid = conrelid
	) AS l (line)
$$;
CREATE FUNCTION pg_temp.events(kind text) RETURNS TABLE (action text, object_id text, tenant_id uuid, old jsonb, new jsonb) LANGUAGE sql AS $$
	SELECT action, object_id, tenant_id, old, new FROM usermgmt.audit_event WHERE object_type = kind ORDER BY event_id
$$;

-- Audit.
CREATE TABLE "Lead" (id integer PRIMARY KEY, gone text, "Tenant" uuid, owner_id uuid, created_by uuid, name text, api_key text, twice text GENERATED ALWAYS AS (name || name) STORED);
ALTER TABLE "Lead" DROP COLUMN gone;
SELECT pg_temp.definition('"Lead"') AS before \gset
SELECT usermgmt.attach_table('"Lead"', 'Tenant', owner_column => 'owner_id', redact => '{api_key}') AS x \gset
SELECT results_eq($$SELECT target, tenant_column, workspace_column, owner_column, audit, track_activity, isolate, on_removal, redact, owner_provider, problem FROM usermgmt.attached_tables$$,
	$$VALUES ('"Lead"'::regclass, 'Tenant'::name, NULL::name, 'owner_id'::name, true, true, false, 'transfer', '{api_key}'::name[], NULL::text, NULL::text)$$,
	'B7 the view shows what is attached, and that nothing is wrong');
INSERT INTO "Lead" VALUES (1, :'acme_id', :'bob', :'bob', 'first', 'k1'), (2, :'other_id', :'eve', :'eve', 'second', 'k2'), (3, NULL, NULL, NULL, 'nobody''s', NULL);
UPDATE "Lead" SET name = 'First', api_key = 'k3' WHERE id = 1;
UPDATE "Lead" SET api_key = 'k4' WHERE id = 2;
UPDATE "Lead" SET name = name;
DELETE FROM "Lead" WHERE id = 3;
SELECT results_eq($$SELECT * FROM pg_temp.events('Tap App.Lead')$$, format($$VALUES
		('Tap App.Lead.created', '1', %1$L::uuid, NULL::jsonb, '{"id": 1, "Tenant": "%1$s", "owner_id": "%3$s", "created_by": "%3$s", "name": "first", "twice": "firstfirst"}'::jsonb),
		('Tap App.Lead.created', '2', %2$L, NULL, '{"id": 2, "Tenant": "%2$s", "owner_id": "%4$s", "created_by": "%4$s", "name": "second", "twice": "secondsecond"}'),
		('Tap App.Lead.created', '3', '00000000-0000-0000-0000-000000000000', NULL, '{"id": 3, "Tenant": null, "owner_id": null, "created_by": null, "name": "nobody''s", "twice": "nobody''snobody''s"}'),
		('Tap App.Lead.updated', '1', %1$L, '{"name": "first", "twice": "firstfirst"}', '{"name": "First", "twice": "FirstFirst"}'),
		('Tap App.Lead.updated', '2', %2$L, '{}', '{}'),
		('Tap App.Lead.deleted', '3', '00000000-0000-0000-0000-000000000000', '{"id": 3, "Tenant": null, "owner_id": null, "created_by": null, "name": "nobody''s", "twice": "nobody''snobody''s"}', NULL)$$,
		:'acme_id', :'other_id', :'bob', :'eve'),
	'S0.15, B6, B7 every change of a row is an event of the row''s tenant, with the changed columns and without the redacted one');
SELECT is(pg_temp.act('ann@acme.test', $$WITH u AS (UPDATE "Lead" SET name = 'by Ann' WHERE id = 1 RETURNING id) SELECT id FROM u$$), '1', 'an admin changes a row');
SELECT results_eq($$SELECT actor_user_id, session_id IS NOT NULL FROM usermgmt.audit_event WHERE object_type = 'Tap App.Lead' ORDER BY event_id DESC LIMIT 1$$,
	format('VALUES (%L::uuid, true)', :'ann'), 'S0.15 and the event says who');
ALTER TABLE "Lead" RENAME COLUMN api_key TO "the ""key""";
ALTER TABLE "Lead" RENAME COLUMN "Tenant" TO tenant;
ALTER TABLE "Lead" RENAME COLUMN owner_id TO "Owner";
ALTER TABLE "Lead" RENAME TO customer;
UPDATE customer SET "the ""key""" = 'k5', name = 'renamed' WHERE id = 1;
SELECT results_eq($$SELECT action, tenant_id, old FROM usermgmt.audit_event WHERE object_type = 'Tap App.customer'$$,
	format($$VALUES ('Tap App.customer.updated', %L::uuid, '{"name": "by Ann", "twice": "by Annby Ann"}'::jsonb)$$, :'acme_id'),
	'B7 renamed columns and tables are followed, and what is redacted stays so');
SELECT is((SELECT ARRAY[tenant_column, owner_column] || redact FROM usermgmt.attached_tables WHERE problem IS NULL), '{tenant,Owner,"the \"key\""}'::name[], 'B7 also by the view');
SELECT is_empty($$SELECT c FROM unnest(ARRAY['tenant', '"Owner"', '"the ""key"""']) AS c WHERE pg_temp.try(format('ALTER TABLE customer DROP COLUMN %s', c)) <> '2BP01'$$, 'B7 a column that means something is not dropped unnoticed');
SELECT is(pg_temp.try('ALTER TABLE customer ALTER COLUMN tenant TYPE text'), '0A000', 'B7 nor given another type');
SAVEPOINT s;
ALTER TABLE customer DROP COLUMN "the ""key""" CASCADE;
SELECT is_empty($$SELECT s FROM unnest(ARRAY['INSERT INTO customer (id) VALUES (9)', 'UPDATE customer SET name = ''x''', 'DELETE FROM customer', 'TRUNCATE customer']) AS s WHERE pg_temp.try(s) <> '55000'$$,
	'B7 dropped with CASCADE, nothing is written that could show it or go unrecorded');
SELECT isnt((SELECT problem FROM usermgmt.attached_tables), NULL, 'B7 and the view says why');
SELECT usermgmt.detach_table('customer') AS x \gset
SELECT is(pg_temp.try('UPDATE customer SET name = ''x'''), 'ok', 'B7 until it is detached');
ROLLBACK TO SAVEPOINT s;
TRUNCATE customer;
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE action = 'Tap App.customer.truncated'), 1::bigint, 'B6 TRUNCATE is an event');
SELECT usermgmt.detach_table('customer') AS x \gset
ALTER TABLE customer RENAME COLUMN "the ""key""" TO api_key;
ALTER TABLE customer RENAME COLUMN tenant TO "Tenant";
ALTER TABLE customer RENAME COLUMN "Owner" TO owner_id;
ALTER TABLE customer RENAME TO "Lead";
SELECT is(pg_temp.definition('"Lead"'), :'before', 'B7 detach_table leaves the table as it was');
SELECT is(pg_temp.try($$SELECT usermgmt.detach_table('"Lead"')$$), 'UM036', 'B7 once');
SELECT is_empty('SELECT * FROM usermgmt.attached_tables', 'B7 and the view is empty');
SELECT results_eq($$SELECT action, count(*) FROM usermgmt.audit_event WHERE object_type = 'attached_table' GROUP BY action ORDER BY action$$, $$VALUES ('table.attached', 1::bigint), ('table.detached', 1)$$, 'B6 attaching and detaching are events');

-- Keys of several columns, types of the application's own, domains.
CREATE DOMAIN tenant_ref AS uuid CHECK (VALUE <> '00000000-0000-0000-0000-000000000000');
CREATE TYPE pair AS (a integer, b text);
CREATE TABLE line (region text, no integer, tenant tenant_ref, what pair, PRIMARY KEY (no, region));
SELECT usermgmt.attach_table('line', 'tenant') AS x \gset
INSERT INTO line VALUES ('e"u', 7, :'acme_id', (1, 'x'));
SELECT results_eq($$SELECT object_id, object_id::jsonb ->> 1, new -> 'what', tenant_id FROM pg_temp.events('Tap App.line')$$,
	format($$VALUES ('["7", "e\"u"]', 'e"u', '{"a": 1, "b": "x"}'::jsonb, %L::uuid)$$, :'acme_id'), 'B7 a key of several columns is a JSON array, in the order of the key');
ALTER TABLE line DROP CONSTRAINT line_pkey;
UPDATE line SET no = 8;
SELECT results_eq($$SELECT object_id IS NULL, (SELECT problem FROM usermgmt.attached_tables) IS NOT NULL FROM pg_temp.events('Tap App.line') OFFSET 1$$, 'VALUES (true, true)', 'B7 without its key a table is still audited, and the view complains');

-- What can not be attached.
CREATE TABLE plain (id integer PRIMARY KEY, tenant uuid, owner uuid, t text, n integer, d uuid GENERATED ALWAYS AS (tenant) STORED, c char(36));
CREATE TABLE keyless (tenant uuid);
CREATE TABLE late (id integer PRIMARY KEY DEFERRABLE);
CREATE VIEW plain_view AS SELECT * FROM plain;
CREATE MATERIALIZED VIEW plain_copy AS SELECT * FROM plain;
CREATE TEMPORARY TABLE passing (id integer PRIMARY KEY);
CREATE SEQUENCE counter;
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
CREATE TABLE parted (id integer PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parted DEFAULT;
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE SERVER tap_attach FOREIGN DATA WRAPPER postgres_fdw;
CREATE FOREIGN TABLE far (id integer) SERVER tap_attach;
SELECT is(pg_temp.try(format('SELECT usermgmt.attach_table(%s)', call)), state, 'B7 refused: ' || what) FROM (VALUES
	('a view', $$'plain_view'$$, '42809'), ('a materialized view', $$'plain_copy'$$, '42809'), ('a temporary table', $$'passing'$$, '42809'), ('a sequence', $$'counter'$$, '42809'),
	('an index', $$'plain_pkey'$$, '42809'), ('a foreign table', $$'far'$$, '42809'), ('a table of ours', $$'usermgmt.membership'$$, '42809'), ('a view of ours', $$'usermgmt.members'$$, '42809'),
	('a catalog', $$'pg_class'$$, '42809'), ('a partition', $$'part'$$, '42809'), ('a parent', $$'parent'$$, '0A000'), ('a child', $$'child'$$, '0A000'),
	('a table that is not there', '4294967295::oid::regclass', '42P01'), ('nothing', 'NULL', '22023'),
	('a table without a primary key', $$'keyless'$$, '55000'), ('a deferrable primary key', $$'late'$$, '55000'),
	('an unknown column', $$'plain', 'nix'$$, '42703'), ('a system column', $$'plain', 'ctid'$$, '22023'), ('a redacted column that is not there', $$'plain', redact => '{nix}'$$, '42703'),
	('a tenant of type text', $$'plain', 't'$$, '42804'), ('a workspace of type integer', $$'plain', 'tenant', 'n'$$, '42804'), ('an owner of type integer', $$'plain', 'tenant', owner_column => 'n'$$, '42804'),
	('an owner of fixed length', $$'plain', 'tenant', owner_column => 'c'$$, '42804'), ('a generated owner', $$'plain', 'tenant', owner_column => 'd'$$, '22023'),
	('one column as two', $$'plain', 'tenant', owner_column => 'tenant'$$, '22023'), ('a redacted tenant', $$'plain', 'tenant', redact => '{tenant}'$$, '22023'),
	('a redacted key', $$'plain', redact => '{id}'$$, '22023'), ('a redacted null', $$'plain', redact => '{NULL}'$$, '22023'), ('a column redacted twice', $$'plain', redact => '{t,t}'$$, '22023'),
	('an owner without a tenant', $$'plain', owner_column => 'owner'$$, '22023'), ('isolation without a tenant', $$'plain', isolate => true$$, '22023'),
	('a workspace without a tenant', $$'plain', workspace_column => 'tenant'$$, '22023'), ('another fate', $$'plain', on_removal => 'delete'$$, '22023'),
	('a provider of uuids', $$'plain', 'tenant', owner_column => 'owner', owner_provider => 'x'$$, '22023'), ('a provider of nothing', $$'plain', owner_provider => 'x'$$, '22023')) AS r (what, call, state);
SELECT is(pg_temp.try(format('SELECT usermgmt.attach_table(%s)', call)), 'ok', 'B7 accepted: ' || what) FROM (VALUES
	('no primary key, not audited', $$'keyless', 'tenant', audit => false$$), ('an owner who keeps rows, without a tenant', $$'plain', owner_column => 'owner', on_removal => 'retain'$$),
	('a generated tenant', $$'plain', 'd'$$), ('nothing but audit', $$'plain', track_activity => false$$), ('nothing at all', $$'plain', audit => false, track_activity => false$$),
	('explicit nulls', $$'plain', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL$$)) AS r (what, call);

-- Who may.
SELECT is(pg_temp.run_as('tap_attach_operator', $$SELECT usermgmt.attach_table('"Tap App".plain')$$), 'error 42501', 'S4.8 an operator attaches no table of others');
SELECT is(pg_temp.run_as('tap_attach_operator', $$SELECT usermgmt.detach_table('"Tap App".line')$$), 'error 42501', 'S4.8 nor detaches one');
ALTER TABLE plain OWNER TO tap_attach_app;
SELECT is(pg_temp.run_as('tap_attach_app', $$SELECT usermgmt.attach_table('"Tap App".plain')$$), 'error 42501', 'S4.8 nor does its owner, who is no operator');
ALTER TABLE plain OWNER TO tap_attach_dba;
SELECT is(pg_temp.run_as('tap_attach_dba', $$SELECT usermgmt.attach_table('"Tap App".plain')$$), '', 'B7 an operator attaches a table of the own');
SELECT is(pg_temp.run_as('tap_attach_dba', $$SELECT count(*) FROM usermgmt.attached_tables WHERE target = '"Tap App".plain'::regclass$$), '1', 'B7 and sees that');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc AS p, unnest(ARRAY['tap_attach_app', 'tap_attach_dba', 'tap_attach_operator']) AS r
		WHERE p.pronamespace = 'usermgmt'::regnamespace AND p.prorettype = 'trigger'::regtype AND has_function_privilege(r, p.oid, 'execute')$$, 'S4.8 nobody makes a trigger of ours by hand');
SELECT is(pg_temp.run_as('tap_attach_dba', $$SELECT usermgmt.detach_table('"Tap App".plain')$$), '', 'B7 and detaches it');
SELECT is(pg_temp.try($$CREATE TRIGGER by_hand AFTER INSERT ON plain FOR EACH ROW EXECUTE FUNCTION usermgmt.attached_columns(); INSERT INTO plain VALUES (1)$$), '39P01', 'a describing trigger that fires says what it is');
SELECT is(pg_temp.try(format($$CREATE TRIGGER by_hand AFTER INSERT ON plain FOR EACH ROW EXECUTE FUNCTION usermgmt.%I(); INSERT INTO plain VALUES (1)$$, f)), '55000', f || '() without a description is refused')
	FROM unnest(ARRAY['audit_change', 'attached_owner']) AS f;

-- Attaching again replaces.
SELECT usermgmt.attach_table('plain', 'tenant', isolate => true) AS x, usermgmt.attach_table('plain', redact => '{t}') AS x \gset
SELECT results_eq($$SELECT tenant_column IS NULL, isolate, redact = '{t}', problem IS NULL FROM usermgmt.attached_tables WHERE target = 'plain'::regclass$$, $$VALUES (true, false, true, true)$$, 'B7 attaching again replaces what was attached');
SELECT is((SELECT relrowsecurity OR relforcerowsecurity FROM pg_class WHERE oid = 'plain'::regclass), false, 'B7 row security included');
ALTER TABLE plain DISABLE TRIGGER ALL;
SELECT isnt((SELECT problem FROM usermgmt.attached_tables WHERE target = 'plain'::regclass), NULL, 'B7 disabled triggers are a problem');
ALTER TABLE plain ENABLE TRIGGER ALL;
INSERT INTO plain VALUES (5);
UPDATE plain SET t = 'x';
SELECT is((SELECT problem FROM usermgmt.attached_tables WHERE target = 'plain'::regclass), NULL, 'B7 enabled again, also those that only describe, none is');

-- Partitions, present and future, also by DML of their own.
CREATE TABLE visit (id integer, tenant uuid, owner uuid, at date, secret text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE visit_old (secret text, gone integer, at date NOT NULL, tenant uuid, id integer NOT NULL, owner uuid);
ALTER TABLE visit_old DROP COLUMN gone;
ALTER TABLE visit ATTACH PARTITION visit_old FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
SELECT pg_temp.definition('visit') AS before \gset
SELECT usermgmt.attach_table('visit', 'tenant', owner_column => 'owner', redact => '{secret}', isolate => true) AS x \gset
INSERT INTO visit VALUES (1, :'acme_id', :'bob', '2025-05-05', 'a');
INSERT INTO visit_old (id, tenant, owner, at, secret) VALUES (2, :'acme_id', :'bob', '2025-05-06', 'b');
SELECT is((SELECT problem FROM usermgmt.attached_tables WHERE target = 'visit'::regclass), NULL, 'B7 present partitions are covered');
SELECT pg_temp.definition('visit') AS attached \gset
CREATE TABLE visit_new PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
SELECT isnt((SELECT problem FROM usermgmt.attached_tables WHERE target = 'visit'::regclass), NULL, 'B7 of a later one the view says that it is open to direct access');
INSERT INTO visit_new VALUES (3, :'acme_id', :'bob', '2026-05-06', 'c');
UPDATE visit_old SET secret = 'd' WHERE id = 2;
UPDATE visit SET at = '2026-06-06' WHERE id = 1;
DELETE FROM visit_new WHERE id = 3;
SELECT results_eq($$SELECT action, object_id, tenant_id = (old ->> 'tenant')::uuid OR tenant_id = (new ->> 'tenant')::uuid, coalesce(old, new) ? 'secret' FROM pg_temp.events('Tap App.visit')$$,
	$$VALUES ('Tap App.visit.created', '["1", "2025-05-05"]', true, false), ('Tap App.visit.created', '["2", "2025-05-06"]', true, false), ('Tap App.visit.created', '["3", "2026-05-06"]', true, false),
		('Tap App.visit.updated', '["2", "2025-05-06"]', NULL, false), ('Tap App.visit.deleted', '["1", "2025-05-05"]', true, false), ('Tap App.visit.created', '["1", "2026-06-06"]', true, false),
		('Tap App.visit.deleted', '["3", "2026-05-06"]', true, false)$$, 'B7 changes by the parent and by partitions are events of the table; a row that moves is deleted and created');
SELECT is(pg_temp.try(format('INSERT INTO visit_new VALUES (4, %L, %L, %L)', :'acme_id', :'eve', '2026-05-06')), 'UM037', 'B8 the owner is looked at there too');
SELECT usermgmt.attach_table('visit', 'tenant', owner_column => 'owner', redact => '{secret}', isolate => true) AS x \gset
SELECT is((SELECT problem FROM usermgmt.attached_tables WHERE target = 'visit'::regclass), NULL, 'B7 attaching again covers the later one');
TRUNCATE visit_new;
SELECT results_eq($$SELECT action, object_id FROM pg_temp.events('Tap App.visit') OFFSET 7$$, $$VALUES ('Tap App.visit.truncated', 'Tap App.visit_new')$$, 'B6 so that TRUNCATE of a partition is an event');
ALTER TABLE visit DETACH PARTITION visit_new;
SELECT is(pg_temp.try(format('INSERT INTO visit_new VALUES (4, %L, %L, %L)', :'acme_id', :'eve', '2026-05-06')), 'ok', 'B7 a detached partition is on its own');
SELECT isnt((SELECT problem FROM usermgmt.attached_tables WHERE target = 'visit_new'::regclass), NULL, 'B7 the view says what stayed behind');
SELECT usermgmt.detach_table('visit_new') AS x, usermgmt.detach_table('visit') AS x \gset
SELECT is(pg_temp.definition('visit'), :'before', 'B7 detach_table leaves partitions as they were');
SELECT is_empty($$SELECT tgname FROM pg_trigger WHERE tgrelid = 'visit_new'::regclass UNION ALL SELECT polname FROM pg_policy WHERE polrelid = 'visit_new'::regclass$$, 'B7 also a detached one');
SELECT is_empty($$SELECT v.target FROM usermgmt.attached_tables AS v, usermgmt.attachment(v.target) AS a WHERE to_jsonb(v) - 'target' <> to_jsonb(a)$$, 'B7 the view shows what attachment() reads');

SELECT * FROM finish();
ROLLBACK;
