-- Internal: the statements that make a facade, in their order.
CREATE FUNCTION usermgmt.facade_statements(schema name, for_role name) RETURNS SETOF text
	LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp SET row_security = on
BEGIN ATOMIC
	WITH exposed AS (
		SELECT object_name, object_kind
		FROM usermgmt.access_privilege
		WHERE access = 'application'
			AND object_name NOT IN ('delivery_of', 'effective_limit', 'effective_seconds', 'effective_switch', 'relative_time',
				'member_list_tenant', 'tenant_as', 'acts_without_session', 'workspace_facts')
	), visible AS (
		SELECT c.oid, c.relname
		FROM exposed AS e
		JOIN pg_class AS c ON c.relname = e.object_name AND c.relnamespace = 'usermgmt'::regnamespace AND c.relkind = 'v'
		WHERE e.object_kind = 'relation'
	), callable AS (
		SELECT p.oid, p.proname, p.pronargs, p.proargnames, p.proargtypes, p.pronargdefaults, p.provolatile, p.proparallel, p.proretset,
			p.prorettype, pg_get_function_result(p.oid) AS result, t.typtype, t.typrelid, c.relkind
		FROM exposed AS e
		JOIN pg_proc AS p ON p.proname = e.object_name AND p.pronamespace = 'usermgmt'::regnamespace
		JOIN pg_type AS t ON t.oid = p.prorettype
		LEFT JOIN pg_class AS c ON c.oid = t.typrelid
		WHERE e.object_kind = 'function'
	), row_type AS (
		SELECT c.oid, c.relname, c.reltype
		FROM pg_class AS c
		WHERE c.oid IN (SELECT typrelid FROM callable WHERE relkind = 'c')
	), statement (step, name, text) AS (
		SELECT 1, '', format('CREATE SCHEMA %I', schema)
		UNION ALL
		SELECT 1, ' ', format('COMMENT ON SCHEMA %I IS %L', schema, 'usermgmt for ' || for_role || ': views and functions that call those of the extension.')
		UNION ALL
		SELECT 2, c.relname, format('CREATE TYPE %I.%I AS (%s)', schema, c.relname,
			(SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
			FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
		FROM row_type AS c
		UNION ALL
		SELECT 3, relname, format('CREATE VIEW %I.%I WITH (security_invoker) AS SELECT * FROM usermgmt.%I', schema, relname, relname)
		FROM visible
		UNION ALL
		SELECT 4, relname, format('COMMENT ON VIEW %I.%I IS %L', schema, relname, obj_description(oid, 'pg_class'))
		FROM visible
		UNION ALL
		SELECT 4, relname, format('COMMENT ON TYPE %I.%I IS %L', schema, relname, obj_description(reltype, 'pg_type'))
		FROM row_type
		UNION ALL
		SELECT 4, v.relname || '.' || a.attname, format('COMMENT ON COLUMN %I.%I.%I IS %L', schema, v.relname, a.attname, col_description(v.oid, a.attnum))
		FROM (SELECT oid, relname FROM visible UNION ALL SELECT oid, relname FROM row_type) AS v
		JOIN pg_attribute AS a ON a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped
		UNION ALL
		SELECT 5, c.proname, format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE sql %s %s AS %L', schema, c.proname, a.declared,
			CASE WHEN c.typrelid = 0 THEN c.result
				ELSE CASE WHEN c.proretset THEN 'SETOF ' ELSE '' END || format('%I.%I', schema, (SELECT r.relname FROM pg_class AS r WHERE r.oid = c.typrelid)) END,
			CASE c.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END,
			CASE c.proparallel WHEN 's' THEN 'PARALLEL SAFE' WHEN 'r' THEN 'PARALLEL RESTRICTED' ELSE 'PARALLEL UNSAFE' END,
			CASE WHEN c.proretset OR c.typrelid <> 0 THEN format('SELECT %s FROM usermgmt.%I(%s)', coalesce(r.columns, '*'), c.proname, a.passed)
				ELSE format('SELECT usermgmt.%I(%s)', c.proname, a.passed) END)
		FROM callable AS c,
			LATERAL (
				SELECT string_agg(format('%I %s', c.proargnames[n], format_type(c.proargtypes[n - 1], NULL))
						|| CASE WHEN n > c.pronargs - c.pronargdefaults THEN ' DEFAULT NULL' ELSE '' END, ', ' ORDER BY n) AS declared,
					string_agg('$' || n, ', ' ORDER BY n) AS passed
				FROM generate_series(1, c.pronargs) AS n
			) AS a,
			LATERAL (
				SELECT string_agg(quote_ident(t.attname), ', ' ORDER BY t.attnum) AS columns
				FROM pg_attribute AS t
				WHERE t.attrelid = c.typrelid AND t.attnum > 0 AND NOT t.attisdropped
			) AS r
		UNION ALL
		SELECT 6, c.proname, format('COMMENT ON FUNCTION %I.%I(%s) IS %L', schema, c.proname, oidvectortypes(c.proargtypes), obj_description(c.oid, 'pg_proc'))
		FROM callable AS c
		UNION ALL
		SELECT 7, g, format(g, schema, for_role)
		FROM unnest(ARRAY['REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', 'REVOKE ALL ON SCHEMA %I FROM PUBLIC']) AS g
		UNION ALL
		SELECT 8, g, format(g, schema, for_role)
		FROM unnest(ARRAY['GRANT USAGE ON SCHEMA %I TO %I', 'GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA %I TO %I']) AS g
	)
	SELECT text FROM statement ORDER BY step, name COLLATE "C";
END;
COMMENT ON FUNCTION usermgmt.facade_statements(name, name) IS 'The statements that expose() runs, in their order, to read them first or to keep them in a migration.';

CREATE FUNCTION usermgmt.expose(schema name, for_role name) RETURNS integer
	LANGUAGE c SET search_path = pg_catalog, usermgmt, pg_temp
	AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION usermgmt.expose(name, name) IS 'An operator makes a new schema of ordinary views and functions that call those of an application, for tools that hide what belongs to an extension; returns how many; 22023, 42501, 42704, 42P06.';

INSERT INTO usermgmt.access_privilege (access, object_kind, object_name) VALUES
	('operator', 'function', 'facade_statements'),
	('operator', 'function', 'expose');
