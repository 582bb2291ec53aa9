-- The application's own audit table gets every event too (S0.17).
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin, pg_temp.join('bob@acme.test') AS bob \gset
CREATE ROLE tap_sink_owner;
CREATE ROLE tap_sink_operator;
DO $$ BEGIN PERFORM usermgmt.grant_access('tap_sink_operator', 'operator'); END $$;
CREATE SCHEMA tap_app AUTHORIZATION tap_sink_owner;
SET LOCAL ROLE tap_sink_owner;
CREATE TABLE tap_app."Our Audit" (id bigint GENERATED ALWAYS AS IDENTITY, "when" timestamptz DEFAULT now(), event_id text PRIMARY KEY, occurred_at timestamptz NOT NULL, action varchar NOT NULL,
	tenant_id uuid, actor_email text, old json, new jsonb, reason text, transaction_id text, twice text GENERATED ALWAYS AS (action || action) STORED);
GRANT USAGE ON SCHEMA tap_app TO PUBLIC;
RESET ROLE;

SELECT is(pg_temp.run_as('tap_sink_operator', $$SELECT usermgmt.set_audit_sink('tap_app."Our Audit"')$$), 'error 42501', 'S0.17 who sets a sink must be allowed to insert into it');
GRANT INSERT ON tap_app."Our Audit" TO tap_sink_operator;
SELECT is(pg_temp.run_as('tap_sink_operator', $$SELECT usermgmt.set_audit_sink('tap_app."Our Audit"')$$), '', 'S0.17 an operator names the table');
SELECT max(event_id::text) AS last_event FROM usermgmt.audit_event \gset
SELECT pg_temp.act('admin@acme.test', format('SELECT usermgmt.change_role(%L, %L, %L)', :'bob', 'admin', 'team lead')) AS x \gset
UPDATE usermgmt.tenant SET name = name || '!';
SELECT results_eq($$SELECT event_id, occurred_at, action::text, tenant_id, actor_email, old::jsonb, new, reason, transaction_id FROM tap_app."Our Audit" ORDER BY event_id$$,
	format($$SELECT event_id::text, occurred_at, action, nullif(tenant_id, '00000000-0000-0000-0000-000000000000'), actor_email, old, new, reason, transaction_id::text FROM usermgmt.audit_event WHERE event_id > %L ORDER BY event_id$$, :'last_event'),
	'S0.17 every event is in the sink too, in the columns of the same name');
SELECT cmp_ok((SELECT count(*) FROM tap_app."Our Audit"), '>=', 2::bigint, 'S0.17 of functions and of bare SQL');
ALTER TABLE tap_app."Our Audit" RENAME TO renamed;
ALTER TABLE tap_app.renamed ADD COLUMN object_type text, DROP COLUMN new;
UPDATE usermgmt.tenant SET name = name || '!';
SELECT is((SELECT object_type FROM tap_app.renamed ORDER BY event_id DESC LIMIT 1), 'tenant', 'S0.17 the sink may be renamed, and get and lose columns');

-- A failing sink fails the change.
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'XX999'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON tap_app.renamed FOR EACH ROW EXECUTE FUNCTION pg_temp.refuse();
SELECT count(*) AS events FROM usermgmt.audit_event \gset
SELECT throws_ok($$UPDATE usermgmt.tenant SET name = 'x'$$, 'XX999', NULL, 'S0.17 a failing sink fails the change');
SELECT is((SELECT count(*) FROM usermgmt.audit_event), :events::bigint, 'S0.17 and leaves no event');
DROP TRIGGER refuse ON tap_app.renamed;

-- Whose rights its triggers have.
CREATE TABLE seen (who text, operator boolean, person uuid, outcome text);
GRANT ALL ON seen TO PUBLIC;
CREATE FUNCTION tap_app.spy() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	outcome text := 'got in';
BEGIN
	BEGIN
		UPDATE usermgmt.account SET name = 'owned';
	EXCEPTION WHEN insufficient_privilege THEN outcome := 'refused';
	END;
	BEGIN
		EXECUTE 'SET LOCAL ROLE postgres';
		outcome := 'became another';
	EXCEPTION WHEN insufficient_privilege THEN NULL;
	END;
	INSERT INTO public.seen VALUES (current_user, usermgmt.acts_without_session(), usermgmt.current_user_id(), outcome);
	RETURN NEW;
END $$;
ALTER FUNCTION tap_app.spy() OWNER TO tap_sink_owner;
DO $$ BEGIN PERFORM usermgmt.grant_access('tap_sink_owner', 'application'); END $$;
ALTER TABLE seen SET SCHEMA public;
SET LOCAL ROLE tap_sink_owner;
CREATE TRIGGER spy BEFORE INSERT ON tap_app.renamed FOR EACH ROW EXECUTE FUNCTION tap_app.spy();
RESET ROLE;
SELECT pg_temp.act('admin@acme.test', format('SELECT usermgmt.change_role(%L, %L)', :'bob', 'member')) AS x \gset
SELECT is((SELECT string_agg(DISTINCT concat_ws(' ', who, person, outcome), ',') FROM seen), 'tap_sink_owner refused', 'S0.17 a trigger of the sink has its owner''s rights, and acts for nobody');
SELECT is(current_user, session_user, 'S0.17 and ours come back');
DROP TRIGGER spy ON tap_app.renamed;

-- An audited sink does not feed itself.
CREATE TRIGGER audit_insert AFTER INSERT ON tap_app.renamed REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION usermgmt.audit_change('sunk', 'event_id');
UPDATE usermgmt.tenant SET name = name || '?';
SELECT cmp_ok((SELECT count(*) FROM usermgmt.audit_event WHERE action = 'sunk.created'), '>', 0::bigint, 'S0.17 an audited sink is audited');
SELECT is((SELECT count(*) FROM tap_app.renamed WHERE action = 'sunk.created'), 0::bigint, 'S0.17 but does not feed itself');
CREATE FUNCTION tap_app.trip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN BEGIN RAISE EXCEPTION 'caught'; EXCEPTION WHEN raise_exception THEN NULL; END; RETURN NEW; END $$;
CREATE TRIGGER trip BEFORE INSERT ON tap_app.renamed FOR EACH ROW EXECUTE FUNCTION tap_app.trip();
UPDATE usermgmt.tenant SET name = name || '?';
UPDATE usermgmt.tenant SET name = name || '?';
SELECT is((SELECT count(*) FROM tap_app.renamed WHERE action = 'sunk.created'), 0::bigint, 'S0.17 not even where its triggers catch errors');
DROP TRIGGER audit_insert ON tap_app.renamed;

-- What can not be a sink.
CREATE TABLE tap_app.typed (action text, ip inet);
CREATE TABLE tap_app.demanding (action text, mandatory integer NOT NULL);
CREATE TABLE tap_app.strict (action text, actor_email text NOT NULL);
CREATE TABLE tap_app.strange (x integer);
CREATE VIEW tap_app.view AS SELECT 'x'::text AS action;
CREATE TEMPORARY TABLE tap_temporary (action text);
SELECT is(pg_temp.state_of(format('SELECT usermgmt.set_audit_sink(%L)', name)), state, 'S0.17 no sink: ' || name)
	FROM (VALUES ('tap_app.typed', '42804'), ('tap_app.demanding', '22023'), ('tap_app.strict', '22023'), ('tap_app.strange', '22023'), ('tap_app.view', '22023'), ('tap_temporary', '22023'),
		('usermgmt.audit_event', '22023'), ('pg_catalog.pg_class', '22023')) AS t (name, state);
SELECT is((SELECT target FROM usermgmt.audit_sink), 'tap_app.renamed'::regclass, 'S0.17 what was refused changed nothing');

-- A dropped sink says so, and there is a way out.
DROP TABLE tap_app.renamed;
SELECT throws_ok($$UPDATE usermgmt.tenant SET name = 'x'$$, '42P01', 'the table of the audit sink does not exist any more', 'S0.17 a dropped sink says so');
SELECT lives_ok('SELECT usermgmt.set_audit_sink(NULL)', 'S0.17 it can be switched off');
SELECT lives_ok($$UPDATE usermgmt.tenant SET name = 'x'$$, 'S0.17 and the trail goes on');
SELECT results_eq($$SELECT action FROM usermgmt.audit_event WHERE object_type = 'audit_sink' ORDER BY event_id$$, $$VALUES ('audit_sink.created'), ('audit_sink.deleted')$$, 'S0.17 setting it is audited');

-- What its triggers set would decide which operators our statements call.
SELECT pg_temp.join('eve@acme.test') AS eve \gset
CREATE ROLE tap_sink_mallory;
CREATE SCHEMA tap_evil AUTHORIZATION tap_sink_mallory;
GRANT USAGE ON SCHEMA tap_evil TO PUBLIC;
SET LOCAL ROLE tap_sink_mallory;
CREATE TABLE tap_evil.sink (event_id uuid, action text);
CREATE TABLE tap_evil.got (who name);
CREATE FUNCTION tap_evil.trap() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'tap_evil, pg_catalog', false), set_config('work_mem', '77MB', false);
	RETURN NEW;
END $$;
CREATE TRIGGER trap BEFORE INSERT ON tap_evil.sink FOR EACH ROW EXECUTE FUNCTION tap_evil.trap();
CREATE FUNCTION tap_evil.equal(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tap_evil.got VALUES (current_user);
	RETURN pg_catalog.uuid_eq($1, $2);
END $$;
CREATE OPERATOR tap_evil.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = tap_evil.equal);
RESET ROLE;
SELECT usermgmt.set_audit_sink('tap_evil.sink') AS x, current_setting('search_path') AS path, current_setting('work_mem') AS work_mem \gset
SELECT usermgmt.change_role(:'eve', 'admin') AS x, usermgmt.remove_user(:'eve', confirm => true) AS y \gset
SELECT current_setting('search_path') || current_setting('work_mem') = :'path' || :'work_mem' AS kept \gset
SET search_path = public;
SELECT cmp_ok((SELECT count(*) FROM tap_evil.sink), '>', 1::bigint, 'R9 the trigger of a sink has run');
SELECT is_empty('SELECT DISTINCT who FROM tap_evil.got', 'R9 and none of its operators was called by our statements, with our rights');
SELECT ok(:'kept', 'R9 nor does it leave a setting behind');

SELECT * FROM finish();
ROLLBACK;
