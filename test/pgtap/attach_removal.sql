-- Who owns rows of attached tables, what becomes of a leaver's, and that no
-- table makes our rights its own.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test') AS eve \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('ann@acme.test', 'admin') AS ann, pg_temp.join('bob@acme.test') AS bob, pg_temp.join('cid@acme.test') AS cid, pg_temp.join('dan@acme.test') AS dan \gset
SELECT user_id AS owner FROM usermgmt.membership WHERE tenant_id = :'acme_id' AND is_primary_owner \gset
CREATE ROLE tap_removal_evil;
CREATE SCHEMA shop;
GRANT ALL ON SCHEMA shop TO tap_removal_evil;

CREATE TABLE shop.lead (id integer PRIMARY KEY, tenant uuid, owner uuid, creator uuid);
CREATE TABLE shop.note (id integer PRIMARY KEY, tenant uuid, owner varchar);
CREATE TABLE shop.kept (id integer PRIMARY KEY, owner uuid);
CREATE TABLE shop.outside (id integer PRIMARY KEY, tenant uuid, owner text);
CREATE TABLE shop.visit (id integer, tenant uuid, owner uuid, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE shop.visit_all PARTITION OF shop.visit DEFAULT;
SELECT count(usermgmt.link_identity(id, 'better-auth', subject)::text) AS x FROM (VALUES (:'bob'::uuid, 'ba/1'), (:'bob', 'ba/1b'), (:'cid', 'ba/2')) AS i (id, subject) \gset
SELECT usermgmt.attach_table('shop.lead', 'tenant', owner_column => 'owner', isolate => true) AS x, usermgmt.attach_table('shop.note', 'tenant', owner_column => 'owner') AS x,
	usermgmt.attach_table('shop.kept', owner_column => 'owner', on_removal => 'retain') AS x, usermgmt.attach_table('shop.outside', 'tenant', owner_column => 'owner', owner_provider => 'better-auth') AS x,
	usermgmt.attach_table('shop.visit', 'tenant', owner_column => 'owner') AS x \gset
INSERT INTO shop.lead SELECT n, :'acme_id', :'bob', :'bob' FROM generate_series(1, 5) AS n;
INSERT INTO shop.lead VALUES (6, :'acme_id', :'cid', :'bob'), (7, :'acme_id', NULL, NULL), (8, NULL, :'bob', NULL), (9, :'other_id', :'eve', :'eve');
INSERT INTO shop.note VALUES (1, :'acme_id', :'bob'), (2, :'acme_id', :'cid');
INSERT INTO shop.kept VALUES (1, :'bob');
INSERT INTO shop.outside VALUES (1, :'acme_id', 'ba/1'), (2, :'acme_id', 'ba/1b'), (3, :'acme_id', 'ba/2');
INSERT INTO shop.visit SELECT n, :'acme_id', :'bob', '2026-01-01' FROM generate_series(1, 3) AS n;

-- Owners are active members.
SELECT is(pg_temp.try(format('INSERT INTO shop.%s', s)), 'UM037', 'B8 no row is owned by ' || what) FROM (VALUES
	(format('lead VALUES (10, %L, %L)', :'acme_id', :'eve'), 'a person of another tenant'), (format('lead VALUES (10, %L, %L)', :'other_id', :'bob'), 'somebody in a tenant of others'),
	(format('lead VALUES (10, %L, gen_random_uuid())', :'acme_id'), 'nobody known'), (format('note VALUES (10, %L, %L)', :'acme_id', 'Bob'), 'a text that is no id'),
	(format('note VALUES (10, %L, %L)', :'acme_id', upper(:'bob')), 'an id in another spelling'), (format('note VALUES (10, %L, %L)', :'acme_id', :'eve'), 'as text, a person of another tenant'),
	(format('outside VALUES (10, %L, %L)', :'acme_id', 'ba/3'), 'an outside id that nobody has'), (format('outside VALUES (10, %L, %L)', :'acme_id', :'bob'), 'our id where an outside one is expected')) AS r (s, what);
SELECT is(pg_temp.try(format('UPDATE shop.lead SET %s WHERE id = 9', c)), 'UM037', 'B8 nor becomes so: ' || c) FROM unnest(ARRAY['owner = gen_random_uuid()', format('tenant = %L', :'acme_id')]) AS c;
SELECT usermgmt.deactivate_user(:'dan') AS x \gset
SELECT is(pg_temp.try(format('INSERT INTO shop.lead VALUES (10, %L, %L)', :'acme_id', :'dan')), 'UM037', 'B8 no row is owned by a deactivated person');
SELECT usermgmt.reactivate_user(:'dan') AS x \gset
INSERT INTO shop.lead VALUES (20, :'acme_id', :'dan', :'dan');
SELECT usermgmt.deactivate_user(:'dan') AS x \gset
SELECT is(pg_temp.try('UPDATE shop.lead SET creator = NULL, owner = owner, tenant = tenant WHERE id = 20'), 'ok', 'B8 but such a row, once owned, can be changed');

-- Preview and removal.
SELECT results_eq(format('SELECT resources, new_owner_id FROM usermgmt.preview_removal(%L)', :'bob'),
	format($$VALUES ('{"shop.lead": 5, "shop.note": 1, "shop.outside": 2, "shop.visit": 3}'::jsonb, %L::uuid)$$, :'owner'), 'S4.7, B8, B11 the preview counts what would be handed over, by table')
	FROM (SELECT usermgmt.link_identity(:'owner', 'better-auth', 'ba/0')) AS l;
SELECT is((SELECT count(*) FROM shop.lead WHERE owner = :'bob'), 6::bigint, 'B11 and moves nothing');
SELECT is(pg_temp.try(format('SELECT usermgmt.remove_user(%L, %L, confirm => true)', :'bob', :'ann')), 'UM036', 'S3.41 a new owner without the outside id that a table wants is refused');
CREATE FUNCTION pg_temp.detail_of(statement text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	EXECUTE statement;
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN detail;
END $$;
SELECT is(pg_temp.detail_of(format('SELECT usermgmt.remove_user(%L, %L)', :'bob', :'cid')) -> 'resources', '{"shop.lead": 5, "shop.note": 1, "shop.outside": 2, "shop.visit": 3}', 'B8, B11 UM050 tells the same');
SELECT pg_temp.act('ann@acme.test', format('SELECT r.resources FROM usermgmt.remove_user(%L, %L, %L, true) AS r', :'bob', :'cid', 'gone')) AS resources \gset
SELECT is(:'resources'::jsonb, '{"shop.lead": 5, "shop.note": 1, "shop.outside": 2, "shop.visit": 3}', 'S3.34, S4.7, B8 so does the removal');
SELECT results_eq('SELECT id, owner, creator FROM shop.lead WHERE id < 10 ORDER BY id', format($$SELECT n, %1$L::uuid, %2$L::uuid FROM generate_series(1, 6) AS n UNION ALL VALUES (7, NULL::uuid, NULL::uuid), (8, %2$L, NULL), (9, %3$L, %3$L)$$, :'cid', :'bob', :'eve'),
	'S4.7, C5, B8 the leaver''s rows of the tenant have the new owner, the creator stays, others are left alone');
SELECT results_eq('SELECT id, owner FROM shop.note ORDER BY id', format($$VALUES (1, %1$L::varchar), (2, %1$L)$$, :'cid'), 'B8 ids as text');
SELECT results_eq('SELECT id, owner FROM shop.outside ORDER BY id', $$VALUES (1, 'ba/2'), (2, 'ba/2'), (3, 'ba/2')$$, 'S3.41, B8 outside ids');
SELECT is((SELECT count(*) FROM shop.visit_all WHERE owner = :'cid'), 3::bigint, 'B8 partitions');
SELECT is((SELECT owner FROM shop.kept), :'bob', 'S3.19, C5 a table that retains keeps the leaver''s rows');
SELECT results_eq(format('SELECT count(*), count(DISTINCT reason), bool_and(actor_user_id = %L) FROM usermgmt.audit_event WHERE object_type LIKE %L AND action LIKE %L AND new ? %L AND reason = %L', :'ann', 'shop.%', '%.updated', 'owner', 'gone'), 'VALUES (11::bigint, 1::bigint, true)',
	'S3.34 the trail says who handed each row over, and why');
DELETE FROM usermgmt.membership WHERE tenant_id = :'acme_id' AND user_id = :'dan';
SELECT is((SELECT owner FROM shop.lead WHERE id = 20), :'owner', 'B8 a bare DELETE of the membership hands over too, to the primary owner');
SELECT is(pg_temp.try(format('DELETE FROM usermgmt.membership WHERE tenant_id = %L AND user_id = %L', :'acme_id', :'owner')), 'UM030', 'B10 the last owner stays');

-- Foreign keys to the membership, generated tenants, and names that mean to be something else.
SELECT pg_temp.join('ivy@acme.test') AS ivy \gset
CREATE TABLE shop.tied (id integer PRIMARY KEY, tenant uuid, owner uuid, FOREIGN KEY (tenant, owner) REFERENCES usermgmt.membership ON DELETE CASCADE);
CREATE TABLE shop.made (id integer PRIMARY KEY, source uuid, tenant uuid GENERATED ALWAYS AS (source) STORED, owner uuid);
CREATE TABLE shop."a'b""c\d%s" ("%s'x\" integer PRIMARY KEY, "t""%d" uuid, "o'" text);
SELECT usermgmt.attach_table('shop.tied', 'tenant', owner_column => 'owner') AS x, usermgmt.attach_table('shop.made', 'tenant', owner_column => 'owner', isolate => true) AS x,
	usermgmt.attach_table('shop."a''b""c\d%s"', 't"%d', owner_column => 'o''', owner_provider => E'p''\\%s', isolate => true) AS x \gset
SELECT usermgmt.link_identity(:'ivy', E'p''\\%s', 'ivy') AS x, usermgmt.link_identity(:'owner', E'p''\\%s', E'o''\\') AS x \gset
INSERT INTO shop.tied VALUES (1, :'acme_id', :'ivy');
INSERT INTO shop.made (id, source, owner) VALUES (1, :'acme_id', :'ivy');
INSERT INTO shop."a'b""c\d%s" VALUES (1, :'acme_id', 'ivy');
SELECT is(pg_temp.try(format('INSERT INTO shop.made (id, source, owner) VALUES (2, %L, %L)', :'acme_id', :'eve')), 'UM037', 'B8 a generated tenant counts');
SELECT results_eq(format('SELECT resources FROM usermgmt.remove_user(%L, confirm => true)', :'ivy'), $$VALUES ('{"shop.made": 1, "shop.tied": 1, "shop.a''b\"c\\d%s": 1}'::jsonb)$$, 'B8 before a foreign key to the membership could delete rows, they are handed over; any name will do');
SELECT results_eq('SELECT t.owner, m.owner, a."o''" FROM shop.tied AS t, shop.made AS m, shop."a''b""c\d%s" AS a', format('VALUES (%1$L::uuid, %1$L::uuid, %2$L)', :'owner', E'o''\\'), 'B8 to the primary owner');

-- A table that keeps its rows where they are.
SELECT pg_temp.join('jon@acme.test') AS jon \gset
CREATE TABLE shop.stubborn (id integer PRIMARY KEY, tenant uuid, owner uuid);
CREATE FUNCTION shop.suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER suppress BEFORE UPDATE ON shop.stubborn FOR EACH ROW EXECUTE FUNCTION shop.suppress();
SELECT usermgmt.attach_table('shop.stubborn', 'tenant', owner_column => 'owner') AS x \gset
INSERT INTO shop.stubborn VALUES (1, :'acme_id', :'jon');
SELECT is(pg_temp.try(s), '55000', 'B8 a trigger that suppresses the hand-over fails it: ' || s)
	FROM unnest(ARRAY[format('SELECT usermgmt.remove_user(%L, confirm => true)', :'jon'), format('DELETE FROM usermgmt.membership WHERE user_id = %L', :'jon')]) AS s;
DROP TRIGGER suppress ON shop.stubborn;
CREATE RULE suppress AS ON UPDATE TO shop.stubborn DO INSTEAD NOTHING;
SELECT is(pg_temp.try(format('SELECT usermgmt.remove_user(%L, confirm => true)', :'jon')), '55000', 'B8 so does a rule');
DROP TABLE shop.stubborn;

-- A person who comes back.
SELECT pg_temp.join('bob2@acme.test') AS new_bob \gset
INSERT INTO shop.kept VALUES (2, :'bob'), (3, :'cid');
UPDATE usermgmt.account SET email = 'bob.again@acme.test' WHERE user_id = :'new_bob';
SELECT is(usermgmt.link_previous_account(:'bob', :'new_bob'), 3, 'S3.20, S3.21 the earlier records that nobody else owns pass to the new account: the account''s own, and rows');
SELECT results_eq('SELECT id, owner FROM shop.kept ORDER BY id', format('VALUES (1, %1$L::uuid), (2, %1$L), (3, %2$L)', :'new_bob', :'cid'), 'S3.21 each in its table');
SELECT is((SELECT owner FROM shop.lead WHERE id = 8), :'bob', 'S3.21 a row of no tenant where the person is stays where it is');
INSERT INTO shop.kept VALUES (4, :'bob');
SELECT is(usermgmt.link_previous_account(:'bob', :'new_bob'), 1, 'S3.21 again, what turned up since');
SELECT is(usermgmt.link_previous_account(:'bob', :'new_bob'), 0, 'S3.21 and then nothing');

-- A table of somebody with bad intentions.
SELECT pg_temp.join('fay@acme.test') AS fay, pg_temp.join('gus@acme.test') AS gus, pg_temp.join('hal@acme.test') AS hal \gset
CREATE TABLE shop.seen (what text, who text, session text);
GRANT ALL ON shop.seen TO tap_removal_evil;
SET LOCAL ROLE tap_removal_evil;
CREATE TYPE shop.bait AS ENUM ('fly', 'worm');
CREATE FUNCTION shop.bite(shop.bait) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO shop.seen VALUES ('cast', current_user, current_setting('search_path'));
	RETURN '"bait"';
END $$;
CREATE CAST (shop.bait AS json) WITH FUNCTION shop.bite(shop.bait);
CREATE FUNCTION shop.watch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	outcome text;
BEGIN
	INSERT INTO shop.seen VALUES (TG_NAME, current_user, current_setting('search_path'));
	IF current_user <> session_user THEN
		FOREACH outcome IN ARRAY ARRAY['SET ROLE postgres', 'RESET ROLE', 'SET SESSION AUTHORIZATION DEFAULT', 'CREATE TEMPORARY TABLE trap (a integer)', 'ALTER ROLE tap_removal_evil SUPERUSER', 'SELECT usermgmt.use_tenant(''other'')'] LOOP
			BEGIN
				EXECUTE outcome;
				INSERT INTO shop.seen VALUES ('did ' || outcome, current_user);
			EXCEPTION WHEN OTHERS THEN
				NULL;
			END;
		END LOOP;
		SET search_path = shop;
		SET work_mem = '1GB';
	END IF;
	RETURN NEW;
END $$;
CREATE FUNCTION shop.check_it(uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO shop.seen VALUES ('domain', current_user);
	RETURN true;
END $$;
CREATE DOMAIN shop.person AS uuid CHECK (shop.check_it(VALUE));
CREATE FUNCTION shop.saw(text) RETURNS void LANGUAGE sql AS $$ INSERT INTO shop.seen VALUES ($1, current_user) $$;
CREATE FUNCTION shop.index_it(uuid) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	PERFORM shop.saw('index');
	RETURN '';
END $$;
CREATE TABLE shop.trap (id integer PRIMARY KEY, tenant uuid, owner shop.person, bait shop.bait);
CREATE INDEX ON shop.trap (shop.index_it(owner));
CREATE TRIGGER watch_before BEFORE UPDATE ON shop.trap FOR EACH ROW EXECUTE FUNCTION shop.watch();
CREATE CONSTRAINT TRIGGER watch_late AFTER UPDATE ON shop.trap DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.watch();
CREATE FUNCTION shop.equal(uuid, uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR shop.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = shop.equal);
RESET ROLE;
SELECT usermgmt.attach_table('shop.trap', 'tenant', owner_column => 'owner', isolate => true) AS x \gset
INSERT INTO shop.trap VALUES (1, :'acme_id', :'fay', NULL), (2, :'acme_id', :'cid', NULL), (3, :'acme_id', :'cid', 'fly');
SELECT is((SELECT string_agg(DISTINCT who, ',') FROM shop.seen WHERE what = 'cast'), 'tap_removal_evil', 'R9 a cast of a column''s type is run by the trail as the table''s owner, not as ours');
UPDATE shop.trap SET bait = 'worm' WHERE id = 1;
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
DELETE FROM shop.seen;
SET LOCAL search_path = shop, pg_catalog;
SELECT current_setting('work_mem') AS work_mem \gset
SELECT resources ->> 'shop.trap' AS moved FROM usermgmt.remove_user(:'fay', :'gus', confirm => true) \gset
SELECT current_setting('search_path') || ' ' || current_setting('work_mem') AS settings \gset
SET LOCAL search_path = public;
SELECT is(:'settings', 'shop, pg_catalog ' || :'work_mem', 'R9 a hand-over leaves no setting behind');
SELECT is(:'moved'::text, '1', 'B8 rows of that table are handed over, whatever operators stand in the way');
SELECT is((SELECT owner::uuid FROM shop.trap WHERE id = 1), :'gus', 'B8 to the new owner');
SELECT is_empty($$SELECT DISTINCT what, who FROM shop.seen WHERE who <> 'tap_removal_evil'$$, 'R9 triggers, domains, casts and index functions of the table run as its owner');
SELECT set_eq($$SELECT what FROM shop.seen WHERE what NOT LIKE 'did %'$$, ARRAY['watch_before', 'watch_late', 'domain', 'index'], 'B8 and all of them run, deferred ones at once');
SELECT is_empty($$SELECT what FROM shop.seen WHERE what LIKE 'did %'$$, 'R9 none of them takes on another role, makes a temporary table or acts as an operator');
SELECT is((SELECT string_agg(DISTINCT session, ',') FROM shop.seen WHERE what = 'watch_before'), 'pg_catalog, shop, pg_temp', 'B8 they find what is in the table''s own schema');
SET CONSTRAINTS ALL DEFERRED;
ALTER TABLE shop.trap OWNER TO CURRENT_USER;
DELETE FROM shop.seen;
SELECT resources ->> 'shop.trap' AS moved FROM usermgmt.remove_user(:'gus', :'hal', confirm => true) \gset
SELECT is((SELECT count(*) FROM shop.seen WHERE what = 'watch_late'), 0::bigint, 'B8 of a superuser''s table the deferred trigger waits for the end of the transaction');

-- A constraint's name is any table's of the schema: whoever makes tables there
-- has none of the owner's rights.
SELECT pg_temp.join('ida@acme.test') AS ida \gset
CREATE ROLE tap_removal_owner;
CREATE ROLE tap_removal_mallory;
GRANT USAGE ON SCHEMA shop TO tap_removal_owner;
GRANT USAGE, CREATE ON SCHEMA shop TO tap_removal_mallory;
CREATE TABLE shop.ledger (id integer PRIMARY KEY, tenant uuid, owner uuid, CONSTRAINT later UNIQUE (id, owner) DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE shop.ledger OWNER TO tap_removal_owner;
SELECT usermgmt.attach_table('shop.ledger', 'tenant', owner_column => 'owner') AS x \gset
INSERT INTO shop.ledger VALUES (1, :'acme_id', :'ida');
SET LOCAL ROLE tap_removal_mallory;
CREATE TABLE shop.decoy (who name);
CREATE FUNCTION shop.seize() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE shop.decoy SET who = current_user;
	RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON shop.decoy DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.seize();
GRANT ALL ON shop.decoy TO PUBLIC;
INSERT INTO shop.decoy VALUES ('nobody');
RESET ROLE;
SELECT resources ->> 'shop.ledger' AS moved FROM usermgmt.remove_user(:'ida', :'hal', confirm => true) \gset
SELECT is(:'moved'::text, '1', 'B8 rows of a table with a deferrable constraint are handed over');
-- Which is, since 18, as who made it wait.
SELECT is((SELECT who FROM shop.decoy), CASE WHEN current_setting('server_version_num')::integer < 180000 THEN current_user ELSE 'tap_removal_mallory' END, 'R9 a trigger that waits under the name of that constraint runs as it would at commit, not as the owner of the table');

-- A cascade of a foreign key runs triggers in the midst of ours.
SELECT pg_temp.join('joe@acme.test') AS joe \gset
CREATE TABLE shop.badge (tenant uuid, person uuid, FOREIGN KEY (tenant, person) REFERENCES usermgmt.membership ON DELETE CASCADE);
INSERT INTO shop.badge VALUES (:'acme_id', :'joe');
CREATE SCHEMA tap_removal_bad AUTHORIZATION tap_removal_evil;
GRANT USAGE ON SCHEMA tap_removal_bad TO PUBLIC;
SET LOCAL ROLE tap_removal_evil;
CREATE TABLE tap_removal_bad.got (who name);
CREATE FUNCTION tap_removal_bad.equal(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tap_removal_bad.got VALUES (current_user);
	RETURN pg_catalog.uuid_eq($1, $2);
END $$;
CREATE OPERATOR tap_removal_bad.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = tap_removal_bad.equal);
CREATE FUNCTION tap_removal_bad.divert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'tap_removal_bad, pg_catalog', false);
	RETURN OLD;
END $$;
RESET ROLE;
CREATE TRIGGER divert BEFORE DELETE ON shop.badge FOR EACH ROW EXECUTE FUNCTION tap_removal_bad.divert();
ALTER TABLE shop.badge OWNER TO tap_removal_evil;
SELECT usermgmt.remove_user(:'joe', confirm => true) AS x \gset
SET LOCAL search_path = public;
SELECT is((SELECT count(*) FROM shop.badge), 0::bigint, 'a foreign key to the membership cascades');
SELECT is_empty('SELECT DISTINCT who FROM tap_removal_bad.got', 'R9 a trigger behind it that changes the search_path chooses no operator of our statements');

-- A trigger that handles an error takes nothing from the operation that set it off.
CREATE TABLE shop.careful (id integer PRIMARY KEY, tenant uuid, owner uuid);
CREATE FUNCTION shop.handle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM 1 / 0;
EXCEPTION WHEN division_by_zero THEN
	RETURN NEW;
END $$;
CREATE TRIGGER handle BEFORE UPDATE ON shop.careful FOR EACH ROW EXECUTE FUNCTION shop.handle();
SELECT usermgmt.attach_table('shop.careful', 'tenant', owner_column => 'owner') AS x, pg_temp.join('kay@acme.test') AS kay \gset
INSERT INTO shop.careful VALUES (1, :'acme_id', :'kay');
SELECT usermgmt.remove_user(:'kay', reason => 'moved away', confirm => true) AS x \gset
SELECT results_eq(format('SELECT reason FROM usermgmt.audit_event WHERE action = %L AND object_id = %L OR action = %L', 'user.removed', :'kay', 'shop.careful.updated'),
	$$VALUES ('moved away'), ('moved away')$$, 'S3.34 the trail has the reason of a removal also where a trigger handled an error on the way');

SELECT * FROM finish();
ROLLBACK;
