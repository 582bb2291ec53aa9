-- A session may have any settings of PostgreSQL: what it is told, and what it
-- leaves in the trail, is the same.
BEGIN;
\ir helpers.psql
SELECT no_plan();

SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('bob@acme.test') AS bob \gset
CREATE FUNCTION pg_temp.set_taste(odd boolean) RETURNS void LANGUAGE sql AS $$
	SELECT set_config(t.name, CASE WHEN odd THEN value ELSE reset_val END, true)
	FROM (VALUES ('DateStyle', 'SQL, DMY'), ('IntervalStyle', 'sql_standard'), ('TimeZone', 'Asia/Kathmandu'), ('bytea_output', 'escape'), ('extra_float_digits', '-15'),
		('quote_all_identifiers', 'on'), ('standard_conforming_strings', 'off'), ('transform_null_equals', 'on'), ('array_nulls', 'off'), ('xmloption', 'document')) AS t (name, value)
	JOIN pg_settings AS s ON lower(s.name) = lower(t.name)
$$;

-- The trail: values in full, and in one form.
CREATE TABLE probe (day date, lasted interval, raw bytea, weight double precision, during tstzrange, PRIMARY KEY (day, lasted, raw, weight));
SELECT usermgmt.attach_table('probe', track_activity => false) AS x \gset
CREATE FUNCTION pg_temp.leave() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	last uuid := (SELECT event_id FROM usermgmt.audit_event ORDER BY event_id DESC LIMIT 1);
BEGIN
	INSERT INTO probe VALUES (make_date(2025, 3, 4), make_interval(months => 1, days => 2, secs => 3.5), decode('00ff5c', 'hex'), 1.0 / 3,
		tstzrange(make_timestamptz(2025, 3, 4, 5, 6, 7, 'UTC'), make_timestamptz(2025, 4, 3, 2, 1, 0, 'UTC')));
	DELETE FROM probe;
	RETURN QUERY SELECT concat_ws(' ', action, object_id, coalesce(new, old) - 'during', make_timestamptz(2025, 3, 4, 5, 6, 7, 'UTC') = lower((coalesce(new, old) ->> 'during')::tstzrange))
		FROM usermgmt.audit_event WHERE event_id > last ORDER BY event_id;
END $$;
SELECT string_agg(l, E'\n') AS plain FROM pg_temp.leave() AS l \gset
SELECT ok(:'plain' ~ '0.3333333333333333' AND :'plain' ~ '"2025-03-04", "1 mon 2 days 00:00:03.5"', 'R16 an event has every digit of a value');
SELECT pg_temp.set_taste(true) AS x \gset
SELECT is((SELECT string_agg(l, E'\n') FROM pg_temp.leave() AS l), :'plain', 'R16 the same is left in the trail, however the session likes to see values');
SELECT is(current_setting('DateStyle') || ' ' || current_setting('extra_float_digits'), 'SQL, DMY -15', 'R9 and its settings are as they were');

-- Answers. The history is written when the transaction ends.
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is_empty($$SELECT * FROM usermgmt."check"() WHERE severity = 'error'$$, 'R18 check() finds nothing wrong in any style');
SELECT results_eq($$SELECT usermgmt.tenant_setting(name) FROM unnest(ARRAY['invitation_ttl', 'session_ttl', 'resend_cooldown', 'session_idle_ttl']) AS name$$,
	$$VALUES ('7 days'), ('08:00:00'), ('00:10:00'), ('00:00:00')$$, 'C1 a setting is shown in one style');
SELECT pg_temp.set_taste(false) AS x \gset
SELECT is_empty($$SELECT * FROM usermgmt."check"() WHERE severity = 'error'$$, 'R18 nor in the usual one');

SELECT * FROM finish();
ROLLBACK;
