-- check(): silent when all is well, and one finding for each thing that is not.
BEGIN;
\ir helpers.psql
SELECT no_plan();

CREATE FUNCTION pg_temp.found() RETURNS TABLE (problem text) LANGUAGE sql AS $$
	SELECT DISTINCT c.severity || ': ' || c.problem FROM usermgmt."check"() AS c
	WHERE (c.problem, c.object) <> ('the first call of a connection is logged whole', 'log_statement')
$$;
-- What check() finds after a statement that no trigger saw; it is undone.
CREATE FUNCTION pg_temp.after(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text;
BEGIN
	BEGIN
		SET LOCAL session_replication_role = replica;
		EXECUTE statement;
		SELECT string_agg(f.problem, ', ' ORDER BY f.problem) INTO answer FROM pg_temp.found() AS f;
		RAISE SQLSTATE 'XX999';
	EXCEPTION WHEN SQLSTATE 'XX999' THEN
		RETURN answer;
	END;
END $$;

-- A life with everything in it.
SELECT pg_temp.tenant('other') AS other_id, pg_temp.join('eve@other.test') AS eve \gset
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('admin@acme.test', 'admin') AS admin, pg_temp.join('bob@acme.test') AS bob, pg_temp.join('gone@acme.test') AS gone \gset
SELECT usermgmt.set_tenant_setting('seat_limit', '50') AS x \gset
SELECT workspace_id AS place FROM usermgmt.create_workspace('place', 'Place') \gset
SELECT invitation_id AS open FROM usermgmt.invite_user('dan@acme.test', workspaces => '["place"]') \gset
SELECT usermgmt.set_workspace_member(:'place', :'bob') AS x \gset
SELECT account_closed AS x FROM usermgmt.remove_user(:'gone', confirm => true) \gset
SELECT usermgmt.deactivate_user(:'bob') AS x, usermgmt.reactivate_user(:'bob') AS y, pg_temp.sign_in('bob@acme.test') AS z \gset
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is_empty('SELECT * FROM pg_temp.found()', 'R18 nothing is found where all is well');

-- Invariants.
SELECT is(pg_temp.after(format(statement, :'acme_id', :'bob', :'gone', :'open')), expected, 'R18 found: ' || expected)
FROM (VALUES
	('UPDATE usermgmt.tenant SET owner_count = 2 WHERE tenant_id = %L', 'error: owner_count is not the number of active owners'),
	('UPDATE usermgmt.membership SET is_primary_owner = false WHERE tenant_id = %L', 'error: a tenant needs exactly one primary owner'),
	('UPDATE usermgmt.seat_count SET members = members + 1', 'error: seats are counted wrong'),
	('UPDATE usermgmt.seat_count SET invitations = invitations + 1', 'error: seats are counted wrong'),
	('UPDATE usermgmt.membership SET status = ''deactivated'' WHERE user_id = %2$L', 'error: an open session of somebody without access, error: members are counted wrong, error: seats are counted wrong, error: the history says something else than the membership'),
	('UPDATE usermgmt.tenant SET suspended_at = now() WHERE tenant_id = %L', 'error: an open session of somebody without access'),
	('UPDATE usermgmt.membership SET role = ''admin'' WHERE user_id = %2$L', 'error: an open session shows another role or address, error: members are counted wrong, error: the history says something else than the membership'),
	('UPDATE usermgmt.account SET email = ''x@y.test'' WHERE user_id = %2$L', 'error: an open session shows another role or address'),
	('INSERT INTO usermgmt.membership (tenant_id, user_id, role, status) VALUES (%L, %3$L, ''member'', ''deactivated'')', 'error: a closed account belongs to a tenant, error: members are counted wrong, error: the history says something else than the membership'),
	('UPDATE usermgmt.invitation_workspace SET is_open = false', 'error: an offered place does not follow its invitation'),
	('UPDATE usermgmt.invitation SET accepted_by = gen_random_uuid() WHERE state = ''accepted''', 'error: an invitation was accepted by nobody'),
	('DELETE FROM usermgmt.workspace', 'error: rows refer to what is not there'),
	('DELETE FROM usermgmt.membership WHERE user_id = %2$L', 'error: members are counted wrong, error: rows refer to what is not there, error: seats are counted wrong, error: the history says something else than the membership'),
	('UPDATE usermgmt.member_count SET n = n + 1 WHERE status = ''active'' AND n > 0', 'error: members are counted wrong'),
	('UPDATE usermgmt.member_count SET n = n + 1 WHERE workspace_id = (SELECT workspace_id FROM usermgmt.workspace WHERE slug = ''place'') AND n > 0', 'error: members are counted wrong'),
	('UPDATE usermgmt.invitation_count SET n = n + 1 WHERE n > 0', 'error: open invitations are counted wrong'),
	('UPDATE usermgmt.invitation_count SET expires_on = expires_on + 1 WHERE n > 0 AND expires_on > current_date', 'error: open invitations are counted wrong'),
	('DELETE FROM usermgmt.invitation_count', 'error: open invitations are counted wrong'),
	('UPDATE usermgmt.membership_history SET role = ''owner'' WHERE user_id = %2$L AND upper_inf(valid) AND workspace_id = ''00000000-0000-0000-0000-000000000000''', 'error: the history says something else than the membership'),
	('INSERT INTO usermgmt.membership_history SELECT (jsonb_populate_record(h, jsonb_build_object(''valid'', tstzrange(lower(valid) - interval ''1 day'', lower(valid) + interval ''1 hour'')))).* FROM usermgmt.membership_history AS h WHERE user_id = %2$L', 'error: periods of the history overlap')
) AS t (statement, expected);

-- Objects.
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is(pg_temp.after(statement), expected, 'R19 found: ' || expected || ' after ' || left(statement, 60))
FROM (VALUES
	('ALTER TABLE usermgmt.account ADD COLUMN shoe_size integer', 'error: not made by the extension'),
	('CREATE INDEX mine ON usermgmt.account (name)', 'error: not made by the extension'),
	('ALTER TABLE usermgmt.account ADD CONSTRAINT mine CHECK (name <> ''x'')', 'error: not made by the extension'),
	('CREATE TRIGGER mine BEFORE INSERT ON usermgmt.account FOR EACH ROW EXECUTE FUNCTION usermgmt.account_guard()', 'error: not made by the extension'),
	('CREATE POLICY mine ON usermgmt.account USING (true)', 'error: not made by the extension'),
	('CREATE RULE mine AS ON DELETE TO usermgmt.account DO INSTEAD NOTHING', 'error: not made by the extension'),
	('CREATE TABLE usermgmt.mine ()', 'error: not made by the extension, error: row security is off'),
	('CREATE FUNCTION usermgmt.mine() RETURNS integer LANGUAGE sql AS ''SELECT 1''; REVOKE ALL ON FUNCTION usermgmt.mine() FROM PUBLIC', 'error: not made by the extension'),
	('DROP INDEX usermgmt.account_identity_person', NULL),
	('ALTER TABLE usermgmt.tenant DROP CONSTRAINT a_tenant_keeps_an_owner', 'error: is missing'),
	('ALTER TABLE usermgmt.account ALTER COLUMN name SET DEFAULT ''x''', 'error: was changed'),
	('ALTER FUNCTION usermgmt.log_out() RESET search_path', 'error: was changed'),
	('ALTER TABLE usermgmt.account DISABLE TRIGGER guard', 'error: a trigger does not fire'),
	('ALTER TABLE usermgmt.account DISABLE ROW LEVEL SECURITY', 'error: row security is off')
) AS t (statement, expected)
WHERE expected IS NOT NULL;

-- Weak points.
CREATE ROLE check_someone;
SELECT is(pg_temp.after(statement), expected, 'R11, R16 found: ' || expected)
FROM (VALUES
	('GRANT UPDATE ON usermgmt.account TO check_someone', 'warning: a role may write a table directly'),
	('GRANT SELECT ON usermgmt.tenants TO PUBLIC', 'warning: everybody has a privilege'),
	('GRANT EXECUTE ON FUNCTION usermgmt.log_out() TO PUBLIC', 'warning: everybody may execute a function'),
	('GRANT SET ON PARAMETER session_replication_role TO check_someone', 'warning: a role may silence triggers'),
	('ALTER ROLE check_someone BYPASSRLS', 'warning: row security does not apply to a role'),
	('SELECT usermgmt.outbox_pause(''holiday'')', 'warning: mail is paused'),
	('DELETE FROM usermgmt.installation', 'warning: no trigger fires yet'),
	('UPDATE usermgmt.inventory SET definition = ''other'' WHERE kind IN (''extension'', ''view'', ''function'')', 'warning: objects are compared by name only'),
	('UPDATE usermgmt.inventory SET definition = ''other'' WHERE kind = ''extension''; DROP INDEX usermgmt.account_identity_person', 'error: is missing, warning: objects are compared by name only')
) AS t (statement, expected);
SET LOCAL log_statement = 'all';
SELECT is((SELECT object FROM usermgmt."check"() WHERE problem = 'the first call of a connection is logged whole'), 'log_statement', 'R11 found: statements are logged without the library');
SET LOCAL log_statement = 'none';
SELECT is_empty('SELECT * FROM pg_temp.found()', 'R18 and nothing is left of all that');

-- How the server copes.
CREATE FUNCTION pg_temp.figure(what text) RETURNS text LANGUAGE sql AS $$
	SELECT to_jsonb(s) ->> what FROM usermgmt.server_statistics AS s
$$;
SELECT is((SELECT count(*) FROM usermgmt.server_statistics), 1::bigint, 'R29 the server''s figures are one row');
SELECT is(pg_temp.figure('unsealed_events')::integer, (SELECT count(*)::integer FROM usermgmt.audit_event), 'R29 without a seal every event is unsealed');
SELECT ok((SELECT oldest_unsealed_age FROM usermgmt.server_statistics) BETWEEN '0' AND (SELECT clock_timestamp() - min(occurred_at) FROM usermgmt.audit_event), 'R29 and the oldest has its age');
SELECT pg_temp.figure('failed_log_ins')::integer AS failed, pg_temp.figure('throttled_addresses')::integer AS throttled \gset
SELECT count(*) AS x FROM generate_series(1, 7) AS n, LATERAL usermgmt.log_in('bob@acme.test', 'wrong ' || n) \gset
SELECT is(pg_temp.figure('failed_log_ins')::integer - :failed, 6, 'R29 failed log-ins are counted, as far as they were looked at');
SELECT is(pg_temp.figure('throttled_addresses')::integer - :throttled, 1, 'R29 so is the address that has to wait');
UPDATE usermgmt.login_throttle SET last_failure_at = last_failure_at - interval '1 hour', next_try_at = last_failure_at;
SELECT is(pg_temp.figure('failed_log_ins') || ' ' || pg_temp.figure('throttled_addresses'), '0 0', 'R29 an hour later they are not');
SELECT is((SELECT notify_queue_usage FROM usermgmt.server_statistics), pg_notification_queue_usage(), 'R29 the queue of notifications is shown');
SELECT results_eq('SELECT hashing, waiting_to_hash, unsealed_events FROM usermgmt.server_figures()', 'SELECT hashing, waiting_to_hash, unsealed_events FROM usermgmt.server_statistics', 'R29 the relay reads the same figures');
SELECT results_eq('SELECT hashing, waiting_to_hash FROM usermgmt.server_statistics', 'SELECT running, waiting FROM usermgmt.hash_queue()', 'R29 the hash queue is what hash_queue() counts');
SELECT is_empty($$SELECT attname FROM pg_attribute WHERE attrelid = 'usermgmt.server_statistics'::regclass AND attnum > 0 AND format_type(atttypid, NULL) NOT IN ('integer', 'interval', 'double precision')$$, 'R29 they are numbers and say nothing of anybody');

-- Who may ask.
SELECT usermgmt.grant_access('check_someone', 'application') AS x \gset
SELECT is(pg_temp.run_as('check_someone', 'SELECT count(*) FROM usermgmt."check"()'), 'error 42501', 'R10 an application may not ask');
SELECT usermgmt.grant_access('check_someone', 'operator') AS x \gset
SELECT is(pg_temp.run_as('check_someone', 'SELECT count(*) FROM usermgmt."check"()'), '0', 'an operator may');

SELECT * FROM finish();
ROLLBACK;
