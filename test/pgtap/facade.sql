-- A facade for tools that hide what belongs to an extension.
BEGIN;
\ir helpers.psql
SELECT no_plan();

CREATE ROLE facade_operator;
CREATE ROLE facade_app;
CREATE ROLE facade_other;
SELECT usermgmt.grant_access('facade_operator', 'operator') AS x, usermgmt.grant_access('facade_app', 'application') AS y \gset
SELECT format('GRANT CREATE ON DATABASE %I TO facade_operator', current_database()) AS statement \gset
:statement;
SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test') AS eve \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('bob@acme.test') AS bob \gset
SELECT usermgmt.end_use() AS x \gset

-- Who makes it.
SELECT is(pg_temp.run_as('facade_app', $$SELECT usermgmt.expose('api', 'facade_app')$$), 'error 42501', 'R10 an application makes no facade');
SELECT is(pg_temp.run_as('facade_operator', $$SELECT usermgmt.expose('api', 'facade_other')$$), 'error 42501', 'R10 none for a role without access');
SELECT is(pg_temp.run_as('facade_operator', $$SELECT usermgmt.expose('api', 'nobody at all')$$), 'error 42704', 'none for a role that is not there');
SELECT is(pg_temp.run_as('facade_operator', $$SELECT usermgmt.expose('public', 'facade_app')$$), 'error 42P06', 'none in a schema that is there');
SELECT is(pg_temp.run_as('facade_operator', $$SELECT usermgmt.expose(NULL, 'facade_app')$$), 'error 22023', 'none without a name');
SET LOCAL row_security = off;
SELECT matches(pg_temp.run_as('facade_operator', $$SELECT usermgmt.expose('The "API"', 'facade_app')$$), '^\d\d$', 'an operator makes one, under any name and with any row_security');
RESET row_security;
DROP SCHEMA "The ""API""" CASCADE;
SELECT pg_temp.run_as('facade_operator', $$SELECT usermgmt.expose('api', 'facade_app')$$) AS made \gset

-- What it is.
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class AS c WHERE c.relnamespace = 'api'::regnamespace AND c.relkind NOT IN ('v', 'c')
	UNION ALL SELECT c.oid::regclass FROM pg_class AS c JOIN pg_depend AS d ON d.objid = c.oid WHERE c.relnamespace = 'api'::regnamespace AND d.deptype = 'e'$$, 'ordinary views that belong to no extension');
SELECT set_eq($$SELECT c.relname, a.attname, a.atttypid, col_description(c.oid, a.attnum), obj_description(c.oid, 'pg_class') FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'api'::regnamespace AND c.relkind = 'v'$$,
	$$SELECT c.relname, a.attname, a.atttypid, col_description(c.oid, a.attnum), obj_description(c.oid, 'pg_class') FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind = 'v'
		AND c.relname IN (SELECT object_name FROM usermgmt.access_privilege WHERE access = 'application' AND object_kind = 'relation')$$, 'every view of an application with its columns and comments');
SELECT set_eq($$SELECT c.relname, a.attname, a.atttypid, col_description(c.oid, a.attnum), obj_description(c.reltype, 'pg_type') FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'api'::regnamespace AND c.relkind = 'c'$$,
	$$SELECT c.relname, a.attname, a.atttypid, col_description(c.oid, a.attnum), obj_description(c.reltype, 'pg_type') FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind = 'c'
		AND c.relname IN (SELECT relname FROM pg_class WHERE relnamespace = 'api'::regnamespace)$$, 'every type of a row with its columns and comments');
SELECT set_eq($$SELECT p.proname, p.proargnames, p.proargtypes::text, p.pronargdefaults, p.provolatile, p.proretset, obj_description(p.oid, 'pg_proc') FROM pg_proc AS p WHERE p.pronamespace = 'api'::regnamespace$$,
	$$SELECT p.proname, p.proargnames, p.proargtypes::text, p.pronargdefaults, p.provolatile, p.proretset, obj_description(p.oid, 'pg_proc') FROM pg_proc AS p WHERE p.pronamespace = 'usermgmt'::regnamespace
		AND p.proname IN (SELECT object_name FROM usermgmt.access_privilege WHERE access = 'application' AND object_kind = 'function')
		AND p.proname NOT IN ('delivery_of', 'effective_limit', 'effective_seconds', 'effective_switch', 'relative_time', 'member_list_tenant', 'tenant_as', 'acts_without_session', 'workspace_facts')$$,
	'every function of an application with its arguments, defaults and comment');
SELECT is_empty($$SELECT p.proname FROM pg_proc AS p JOIN pg_type AS t ON t.oid = p.prorettype WHERE p.pronamespace = 'api'::regnamespace AND t.typtype = 'c' AND t.typnamespace <> 'api'::regnamespace$$, 'rows are of types of the facade');
SELECT is_empty($$SELECT p.proname FROM pg_proc AS p, LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a WHERE p.pronamespace = 'api'::regnamespace AND (a.grantee = 0 OR p.prosecdef)$$, 'R10 nothing is everybody''s, and nothing runs as its owner');

-- What it does, for whom.
CREATE FUNCTION pg_temp.as_bob(statement text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.run_as('facade_app', format('WITH bound AS MATERIALIZED (SELECT user_id FROM api.use_session(%L)) %s', (SELECT token FROM person WHERE email = 'bob@acme.test'), statement))
$$;
SELECT is(pg_temp.run_as('facade_app', $$SELECT outcome || ' ' || (tenant_id IS NOT NULL) FROM api.log_in('bob@acme.test', 'secret of bob@acme.test', user_agent => 'test')$$), 'ok true', 'people log in through it');
SELECT is(pg_temp.run_as('facade_app', $$SELECT outcome FROM api.log_in('bob@acme.test', 'wrong')$$), 'invalid_credentials', 'or do not');
SELECT is(pg_temp.run_as('facade_app', $$SELECT count(*) FROM api.tenants$$), '0', 'R10 without a session it shows nothing');
SELECT is(pg_temp.as_bob('SELECT api.current_user_id() = user_id FROM bound'), 'true', 'a session is bound through it');
SELECT is(pg_temp.run_as('facade_app', 'SELECT string_agg(slug, '','') FROM api.tenants'), 'acme', 'R10 with one it shows the own tenant');
SELECT is(pg_temp.run_as('facade_app', $$SELECT name FROM api.update_profile('Bob Through a Facade')$$), 'Bob Through a Facade', 'functions change what they change');
SELECT is(pg_temp.run_as('facade_app', $$SELECT name FROM api.invite_user('x@acme.test')$$), 'error 42501', 'R10 and refuse whom they refuse');
SELECT is(pg_temp.run_as('facade_app', 'SELECT api.log_out()'), '', 'and end');
SELECT is(pg_temp.run_as('facade_other', 'SELECT count(*) FROM api.tenants'), 'error 42501', 'R10 another role has no use of it');
GRANT USAGE ON SCHEMA api TO facade_other;
GRANT SELECT ON ALL TABLES IN SCHEMA api TO facade_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA api TO facade_other;
SELECT is(pg_temp.run_as('facade_other', 'SELECT count(*) FROM api.tenants'), 'error 42501', 'R10 not even with privileges on the facade');
SELECT is(pg_temp.run_as('facade_other', 'SELECT api.current_user_id()'), 'error 42501', 'R10 for they are asked of the extension');
SELECT is(usermgmt.expose('api2', 'facade_app')::bigint, (SELECT count(*) FROM usermgmt.facade_statements('api3', 'facade_app') WHERE facade_statements ~ '^CREATE (VIEW|FUNCTION)'), 'the statements can be read before');

SELECT * FROM finish();
ROLLBACK;
