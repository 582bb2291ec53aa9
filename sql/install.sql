-- Every object of the extension, so that none appears or vanishes unnoticed,
-- and what PUBLIC may do with them: nothing.
SET client_min_messages = warning;
SET lc_messages = 'C';
CREATE EXTENSION IF NOT EXISTS usermgmt;
RESET client_min_messages;
SET search_path = pg_catalog;
\pset format unaligned
\pset footer off

SELECT e.extname, e.extversion, n.nspname AS installed_into, e.extrelocatable
FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname = 'usermgmt';

-- What belongs to it, counted, without the types of tables and arrays, of which 15 counts none.
SELECT replace(classid::regclass::text, 'pg_', '') COLLATE "C" AS catalog, count(*)
FROM pg_depend
WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'usermgmt')
	AND (classid <> 'pg_type'::regclass OR objid IN (SELECT t.oid FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
		WHERE t.typelem = 0 AND (c.relkind IS NULL OR c.relkind = 'c')))
GROUP BY 1 ORDER BY 1;

SELECT relname AS table, e.oid IS NOT NULL AS configured_for_dump
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_extension AS e ON c.oid = ANY (e.extconfig)
WHERE n.nspname = 'usermgmt' AND c.relkind = 'r'
ORDER BY 1;

SELECT relname AS view, coalesce('security_barrier=true' = ANY (reloptions), false) AS security_barrier
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'usermgmt' AND c.relkind = 'v'
ORDER BY 1;

SELECT typname AS composite_type
FROM pg_type AS t JOIN pg_class AS c ON c.oid = t.typrelid
WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind = 'c'
ORDER BY 1;

SELECT (proname || '(' || pg_get_function_arguments(p.oid) || ')') COLLATE "C" AS function,
	pg_get_function_result(p.oid) AS result
FROM pg_proc AS p
WHERE pronamespace = 'usermgmt'::regnamespace AND prorettype <> 'trigger'::regtype
ORDER BY 1;

SELECT proname AS trigger_function
FROM pg_proc
WHERE pronamespace = 'usermgmt'::regnamespace AND prorettype = 'trigger'::regtype
ORDER BY 1;

-- Of the functions that touch tables, each runs as the owner with a fixed path.
SELECT proname AS definer_without_fixed_path
FROM pg_proc
WHERE pronamespace = 'usermgmt'::regnamespace AND prosecdef
	AND proconfig IS DISTINCT FROM '{"search_path=pg_catalog, usermgmt, pg_temp"}';

SELECT replace(tgrelid::regclass::text, 'usermgmt.', '') COLLATE "C" AS table,
	substring(pg_get_triggerdef(oid) FROM 'TRIGGER (.*) ON ') COLLATE "C" AS trigger,
	substring(pg_get_triggerdef(oid) FROM 'FOR EACH .*') AS runs
FROM pg_trigger
WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace)
	AND NOT tgisinternal
ORDER BY 1, 2;

SELECT pg_get_indexdef(indexrelid) COLLATE "C" AS index
FROM pg_index
WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace)
ORDER BY 1;

SELECT replace(conrelid::regclass::text, 'usermgmt.', '') COLLATE "C" AS table, conname AS constraint, pg_get_constraintdef(oid) AS definition
FROM pg_constraint
WHERE connamespace = 'usermgmt'::regnamespace AND contype <> 'n' -- in the catalog since 18
ORDER BY 1, 2;

-- PUBLIC has no privilege on any of them.
SELECT object, privilege_type
FROM (
	SELECT 'schema usermgmt', coalesce(nspacl, acldefault('n', nspowner))
	FROM pg_namespace WHERE nspname = 'usermgmt'
	UNION ALL
	SELECT oid::regclass::text, coalesce(relacl, acldefault('r', relowner))
	FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace
	UNION ALL
	SELECT oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner))
	FROM pg_proc WHERE pronamespace = 'usermgmt'::regnamespace
	UNION ALL
	SELECT t.oid::regtype::text, coalesce(typacl, acldefault('T', typowner))
	FROM pg_type AS t JOIN pg_class AS c ON c.oid = t.typrelid
	WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind = 'c'
) AS o (object, acl), LATERAL aclexplode(o.acl)
WHERE grantee = 0;

-- Every table, view, type and function says what it is.
SELECT oid::regclass::text COLLATE "C" AS undescribed FROM pg_class
WHERE relnamespace = 'usermgmt'::regnamespace AND relkind IN ('r', 'v', 'c')
	AND coalesce(obj_description(oid, 'pg_class'), obj_description(reltype, 'pg_type')) IS NULL
UNION ALL
SELECT oid::regprocedure::text COLLATE "C" FROM pg_proc
WHERE pronamespace = 'usermgmt'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
ORDER BY 1;

-- The settings, with their values in a server that sets none; the library is
-- loaded by the first call of a function.
SELECT usermgmt.current_user_id();
SELECT name, boot_val, unit, context, min_val, max_val
FROM pg_settings
WHERE name LIKE 'usermgmt.%'
ORDER BY name COLLATE "C";
