-- What an attack found, each defect once: none of it comes back.
BEGIN;
\ir helpers.psql
SELECT no_plan();

CREATE ROLE tap_attack_app;
CREATE ROLE tap_attack_operator;
CREATE ROLE tap_attack_both;
CREATE ROLE tap_attack_reader IN ROLE pg_read_all_data;
CREATE ROLE tap_attack_writer IN ROLE pg_write_all_data;
DO $$
BEGIN
	PERFORM usermgmt.grant_access('tap_attack_app', 'application');
	PERFORM usermgmt.grant_access('tap_attack_operator', 'operator');
	PERFORM usermgmt.grant_access('tap_attack_both', 'application');
	PERFORM usermgmt.grant_access('tap_attack_both', 'auditor');
END $$;

-- kim is an admin of acme and a member of beta; pat is a member of both.
SELECT pg_temp.tenant('acme') AS acme_id, pg_temp.join('kim@acme.test', 'admin') AS kim, pg_temp.join('pat@acme.test') AS pat, pg_temp.join('bob@acme.test') AS bob,
	pg_temp.join('ann@acme.test', 'admin') AS ann \gset
SELECT pg_temp.tenant('beta') AS beta_id, pg_temp.join('eve@beta.test', 'admin') AS eve \gset
CREATE FUNCTION pg_temp.also_joins(address text) RETURNS text LANGUAGE sql AS $$
	SELECT session_token FROM usermgmt.accept_invitation(pg_temp.token_of(pg_temp.invite(address)), 'secret of ' || address)
$$;
SELECT pg_temp.also_joins('kim@acme.test') AS kim_in_beta, pg_temp.also_joins('pat@acme.test') AS x, pg_temp.invite('guest@beta.test') AS y \gset
SELECT usermgmt.use_tenant('acme') AS x, pg_temp.invite('guest@acme.test') AS y \gset
SELECT usermgmt.use_tenant('beta') AS x, pg_temp.invite('late.guest@beta.test') AS y \gset
SELECT usermgmt.use_tenant('acme') AS x \gset
SELECT token AS kim_in_acme FROM person WHERE email = 'kim@acme.test' \gset

-- Another actor within one query.
SET LOCAL enable_indexscan = off;
SET LOCAL enable_bitmapscan = off;
CREATE FUNCTION pg_temp.swap(token text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM usermgmt.use_session(token);
	RETURN true;
END $$;
-- How many rows a cursor gave, how many before the swap, how many of that tenant.
CREATE FUNCTION pg_temp.fetched(source text, before integer, first text, second text, foreign_tenant uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c refcursor;
	tenant uuid;
	n integer := 0;
	strange integer := 0;
BEGIN
	PERFORM usermgmt.use_session(first);
	SET LOCAL ROLE tap_attack_app;
	OPEN c FOR EXECUTE format('SELECT tenant_id FROM usermgmt.%I', source);
	LOOP
		IF n = before THEN
			PERFORM usermgmt.use_session(second);
		END IF;
		FETCH c INTO tenant;
		EXIT WHEN NOT FOUND;
		n := n + 1;
		strange := strange + (tenant = foreign_tenant)::integer;
	END LOOP;
	RESET ROLE;
	PERFORM usermgmt.end_use();
	RETURN format('%s, %s', n >= before, strange);
END $$;
SELECT is(pg_temp.fetched(source, before, :'kim_in_acme', :'kim_in_beta', :'beta_id'), 't, 0',
		format('R10 a cursor over %s that an admin opened gives no row of the tenant whose member acts after %s rows', source, before))
	FROM unnest(ARRAY['audit_trail', 'members', 'invitations', 'pending_invitations']) AS source, generate_series(0, 1) AS before;
SELECT user_id AS x FROM usermgmt.use_session(:'kim_in_acme') \gset
SELECT is((SELECT format('%s, %s', count(*) > 0, count(*) FILTER (WHERE tenant_id = :'beta_id')) FROM
		(SELECT tenant_id, pg_temp.swap(:'kim_in_beta') AS swapped FROM usermgmt.audit_trail) AS s WHERE swapped), 't, 0',
	'R10 nor does the trail, when a function in the select list changes the actor');
SELECT user_id AS x FROM usermgmt.use_session(:'kim_in_acme') \gset
SELECT is((SELECT format('%s, %s', count(*) > 0, count(*) FILTER (WHERE tenant_id = :'beta_id')) FROM
		(SELECT tenant_id, pg_temp.swap(:'kim_in_beta') AS swapped FROM usermgmt.members) AS s WHERE swapped), 't, 0',
	'R10 nor does the list of members');
SELECT usermgmt.end_use() AS x \gset
RESET enable_indexscan;
RESET enable_bitmapscan;

-- An operator maintains somebody else's table.
CREATE SCHEMA tap_attack AUTHORIZATION tap_attack_app;
GRANT tap_attack_app TO tap_attack_operator;
SET LOCAL ROLE tap_attack_app;
CREATE FUNCTION tap_attack.trap(who text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF current_setting('tap.armed', true) = 'on' THEN
		PERFORM usermgmt.change_role(who::uuid, 'owner');
	END IF;
	RETURN who;
END $$;
CREATE TABLE tap_attack.bait (who text);
CREATE INDEX trap ON tap_attack.bait (tap_attack.trap(who));
RESET ROLE;
INSERT INTO tap_attack.bait SELECT :'bob' FROM generate_series(1, 10);
SET LOCAL tap.armed = on;
CREATE FUNCTION pg_temp.maintain_as(database_role name, command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', database_role);
	EXECUTE command;
	RESET ROLE;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT is(pg_temp.run_as('tap_attack_operator', format('SELECT role FROM usermgmt.change_role(%L, %L)', :'bob', 'member')), 'member', 'the operator may change roles');
SELECT is(pg_temp.maintain_as(who, command), 'UM001', format('R9 an operator (%s) who runs %s on a table of the application lends its index function nothing', who, command))
	FROM unnest(ARRAY['tap_attack_operator', current_user::text]) AS who, unnest(ARRAY['ANALYZE tap_attack.bait', 'REINDEX TABLE tap_attack.bait']) AS command;
SELECT user_id AS x FROM usermgmt.use_session((SELECT token FROM person WHERE email = 'owner@acme.test')) \gset
SELECT is(pg_temp.maintain_as(current_user, 'ANALYZE tap_attack.bait'), 'UM001', 'R9 nor does a connection that has an owner''s session bound');
SELECT usermgmt.end_use() AS x \gset
SELECT is((SELECT role FROM usermgmt.membership WHERE tenant_id = :'acme_id' AND user_id = :'bob'), 'member', 'R9 and nobody becomes an owner by it');
SET LOCAL tap.armed = off;
UPDATE usermgmt.membership SET role = 'member' WHERE tenant_id = :'acme_id' AND user_id = :'bob';

-- An address that nobody has proven.
SELECT invitation_id AS uma FROM usermgmt.invite_user('uma@acme.test') \gset
SELECT outcome AS x FROM usermgmt.accept_invitation(pg_temp.act('kim@acme.test', format('SELECT split_part(usermgmt.invitation_link(%L), %L, 2)', :'uma', 'token=')), 'secret of uma') \gset
SELECT slug AS x FROM usermgmt.create_tenant('newtenant', 'New', 'uma@acme.test') \gset
CREATE FUNCTION pg_temp.uma(password text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg((SELECT outcome FROM usermgmt.log_in('uma@acme.test', password, t)), ' ' ORDER BY t) FROM unnest(ARRAY['acme', 'newtenant']) AS t
$$;
SELECT is(pg_temp.uma('secret of uma'), 'ok deactivated', 'R9 a password chosen by a link that an admin copied by hand opens no tenant that is founded for its address, and goes on opening the admin''s');
SELECT usermgmt.reset_password(pg_temp.mail_token('welcome', 'uma@acme.test'), 'proven by uma') AS x \gset
SELECT is(pg_temp.uma('proven by uma'), 'ok ok', 'R9 it does once the mailed welcome link was used');
SELECT is(pg_temp.uma('secret of uma'), 'invalid_credentials invalid_credentials', 'R9 and the other password opens none');

-- Invitations of owners.
UPDATE usermgmt.tenant SET settings = '{"allow_owner_invitations": "on", "resend_cooldown": 0}' WHERE tenant_id = :'acme_id';
SELECT pg_temp.act('owner@acme.test', $$SELECT invitation_id FROM usermgmt.invite_user('heir@acme.test', 'owner')$$) AS heir \gset
SELECT is(pg_temp.state_of(format('SELECT pg_temp.act(%L, %L)', who || '@acme.test', format('SELECT usermgmt.%s(%L)', f, :'heir'))), answer,
		format('R10 %s of an owner''s invitation by an %s', f, kind))
	FROM (VALUES ('kim', 'admin', '42501'), ('owner', 'owner', 'ok')) AS w (who, kind, answer), unnest(ARRAY['invitation_link', 'resend_invitation', 'revoke_invitation']) AS f;
SELECT usermgmt.end_use() AS x \gset
UPDATE usermgmt.tenant SET settings = '{}';

-- Somebody squats on an address by signing up with it.
SET LOCAL usermgmt.allow_sign_up = on;
SELECT user_id AS squatted, session_token AS squatter FROM usermgmt.sign_up('squat', 'Squat', 'victim@acme.test', 'the squatters password') \gset
SELECT usermgmt.use_tenant('acme') AS x \gset
SELECT pg_temp.invite('victim@acme.test') AS x \gset
SELECT pg_temp.mail_token('invitation', 'victim@acme.test') AS mailed, pg_temp.token_of(:'x') AS by_hand \gset
SELECT is((SELECT account_exists FROM usermgmt.preview_invitation(:'mailed')) || ' ' || (SELECT account_exists FROM usermgmt.preview_invitation(:'by_hand')), 'false true', 'R9 to whoever has the mailed link, an account of an unproven address does not count');
SELECT is(pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'squatter')), 'ok', 'R9 the squatter is in');
SELECT is((SELECT outcome FROM usermgmt.accept_invitation(:'by_hand', 'the victims password')), 'invalid_credentials', 'R9 a link copied by hand proves no mailbox');
SELECT is((SELECT outcome || (user_id = :'squatted') FROM usermgmt.accept_invitation(:'mailed', 'the victims password')), 'oktrue', 'R9 complaint 2: who proves the mailbox takes the account over with an own password');
SELECT is(pg_temp.try(format('SELECT usermgmt.use_session(%L)', :'squatter')) || (SELECT outcome FROM usermgmt.log_in('victim@acme.test', 'the squatters password', 'acme')), 'UM001invalid_credentials', 'R9 and the squatter is out');
SELECT is((SELECT outcome FROM usermgmt.log_in('victim@acme.test', 'the victims password', 'acme')) || (SELECT verified_at IS NOT NULL FROM usermgmt.account WHERE user_id = :'squatted'), 'oktrue', 'R9 for good');
SET LOCAL usermgmt.allow_sign_up = off;

-- What an inviter's word is worth later.
CREATE FUNCTION pg_temp.accepted_after(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	id uuid;
	link_token text;
	answer text;
BEGIN
	id := pg_temp.act('ann@acme.test', 'SELECT invitation_id FROM usermgmt.invite_user(''new@acme.test'')');
	link_token := pg_temp.token_of(id);
	EXECUTE format(change, pg_temp.id_of('ann@acme.test'));
	answer := pg_temp.state_of(format('SELECT usermgmt.accept_invitation(%L, %L)', link_token, 'secret of new'));
	RAISE SQLSTATE 'XX999';
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN answer;
END $$;
SELECT is(pg_temp.accepted_after(change), answer, 'D12 accepting an invitation whose inviter ' || what || ': ' || answer)
	FROM (VALUES ('is still an admin', 'SELECT %L', 'ok'), ('was deactivated', 'SELECT usermgmt.deactivate_user(%L)', 'UM013'),
		('became a member', 'SELECT usermgmt.change_role(%L, ''member'')', 'UM013'), ('was removed', 'DELETE FROM usermgmt.membership WHERE user_id = %L', 'UM013')) AS w (what, change, answer);

-- A stale actor in a parallel query; another connection's revocation is in core_attack.pl.
SET LOCAL parallel_setup_cost = 0;
SET LOCAL parallel_tuple_cost = 0;
SET LOCAL min_parallel_table_scan_size = 0;
CREATE FUNCTION pg_temp.plan_of(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE 'EXPLAIN ' || statement; END $$;
SELECT matches(string_agg(line, ' '), 'Gather', 'such a query runs in parallel') FROM pg_temp.plan_of('SELECT count(*) > 0, usermgmt.current_tenant_id() FROM pg_class') AS line;
SELECT user_id AS x FROM usermgmt.use_session(:'kim_in_acme') \gset
SAVEPOINT s;
ROLLBACK TO SAVEPOINT s;
SELECT count(*) > 0 AS seen, usermgmt.current_tenant_id() AS tenant FROM pg_class \gset parallel_
SELECT is(:'parallel_tenant'::uuid, :'acme_id'::uuid, 'R21 the actor is read anew inside a parallel query');
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
SELECT usermgmt.end_use() AS x \gset

-- Roles that read and write all data.
SELECT usermgmt.request_password_reset('bob@acme.test') AS x, outcome AS y FROM usermgmt.log_in('bob@acme.test', 'wrong') \gset
INSERT INTO usermgmt.address_suppression VALUES ('gone@acme.test', 'bounced', now());
CREATE FUNCTION pg_temp.affected(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	SET LOCAL ROLE tap_attack_writer;
	EXECUTE statement;
	GET DIAGNOSTICS n = ROW_COUNT;
	RESET ROLE;
	RETURN n;
EXCEPTION WHEN OTHERS THEN
	RETURN '0';
END $$;
CREATE TEMPORARY TABLE whole AS
	SELECT t.name, (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s', t.relation), false, true, '')))[1]::text::bigint AS there,
		pg_temp.run_as('tap_attack_reader', format('SELECT count(*) FROM %s', t.relation)) AS read
	FROM pg_temp.extension_table AS t;
SELECT is_empty($$SELECT name, read FROM whole WHERE read <> '0'$$, 'R11 pg_read_all_data reads no row of any table');
SELECT cmp_ok((SELECT count(*) FROM whole WHERE there > 0), '>=', 13::bigint, 'R11 which nearly all have rows');
SELECT pg_temp.contents() AS before \gset
CREATE TEMPORARY TABLE written AS
	SELECT t.name, s.statement, pg_temp.affected(s.statement) AS n
	FROM pg_temp.extension_table AS t,
		LATERAL (SELECT attname FROM pg_attribute WHERE attrelid = t.relation AND attnum > 0 AND NOT attisdropped ORDER BY attnum LIMIT 1) AS a,
		LATERAL (VALUES (format('DELETE FROM %s', t.relation)), (format('UPDATE %s SET %I = DEFAULT', t.relation, a.attname)),
			(format('INSERT INTO %s DEFAULT VALUES', t.relation)), (format('TRUNCATE %s', t.relation))) AS s (statement);
SELECT is_empty($$SELECT * FROM written WHERE n <> '0'$$, 'R11 pg_write_all_data changes no row of any table');
SELECT is(pg_temp.contents(), :'before'::jsonb, 'R11 and leaves nothing behind');
DROP TABLE whole, written;

-- Secrets changed by the owner of the tables.
SELECT pg_temp.sign_in('bob@acme.test') AS x \gset
SELECT password_version AS version FROM usermgmt.account WHERE user_id = :'bob' \gset
UPDATE usermgmt.account SET password_hash = (SELECT password_hash FROM usermgmt.account WHERE user_id = :'ann') WHERE user_id = :'bob';
SELECT is((SELECT password_version - :version FROM usermgmt.account WHERE user_id = :'bob'), 1, 'R16 another password hash by bare UPDATE is another version');
SELECT is(pg_temp.events('account.password_changed', :'bob'), 1::bigint, 'R16 which is audited as a new password');
SELECT is(pg_temp.try(format('SELECT usermgmt.use_session(%L)', (SELECT token FROM person WHERE email = 'bob@acme.test'))), 'UM001', 'R7 and ends the sessions');
SELECT pg_temp.sign_in('bob@acme.test', 'secret of ann@acme.test') AS in_again \gset
SELECT is(:'in_again'::text, 'ok', 'the new hash is the one that counts');
SELECT session_id AS bob_session, encode(token_hash, 'hex') AS bob_hash FROM usermgmt.session WHERE user_id = :'bob' AND state = 'open' ORDER BY created_at DESC LIMIT 1 \gset
SELECT count(*) AS about_session FROM usermgmt.audit_event WHERE object_id = :'bob_session' \gset
UPDATE usermgmt.session SET token_hash = sha256(token_hash) WHERE session_id = :'bob_session';
SELECT is((SELECT count(*) - :about_session FROM usermgmt.audit_event WHERE object_id = :'bob_session'), 1::bigint, 'R16 another token hash makes an event');
SELECT is_empty(format($$SELECT object_type, action FROM usermgmt.audit_event WHERE concat(old, new) ~ 'argon2id|_hash"' OR strpos(concat(old, new), %L) > 0$$, :'bob_hash'),
	'R11 no event shows a hash of either');

-- Two tenants ask for a reset of one person.
SELECT is(pg_temp.state_of(format('SELECT pg_temp.act(%L, %L)', who, format('SELECT usermgmt.send_password_reset(%L)', :'pat'))), 'ok', 'R10 the cool-down of one tenant does not bind another: ' || who)
	FROM unnest(ARRAY['eve@beta.test', 'kim@acme.test']) AS who;
SELECT is(pg_temp.state_of(format('SELECT pg_temp.act(%L, %L)', 'kim@acme.test', format('SELECT usermgmt.send_password_reset(%L)', :'pat'))), 'UM039', 'it does bind the same one');
SELECT usermgmt.end_use() AS x \gset
CREATE FUNCTION pg_temp.superseded_in_beta() RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.act('eve@beta.test', $q$SELECT string_agg(coalesce(actor_user_id::text, actor_email, session_id::text, ip, 'nobody'), ',')
		FROM usermgmt.audit_trail WHERE action = 'password_reset.superseded'$q$)
$$;
SELECT is(pg_temp.superseded_in_beta(), 'nobody', 'R10 the trail of a tenant whose link is superseded does not name the other tenant''s admin');

-- A session that is over, of a role that may see more without one.
SELECT is(pg_temp.run_as(role, 'SELECT count(DISTINCT tenant_id) > 1 FROM usermgmt.' || source), answer, format('without a session %s sees %s of all tenants: %s', role, source, answer))
	FROM (VALUES ('tap_attack_both', 'audit_trail', 'true'), ('tap_attack_operator', 'audit_trail', 'false'), ('tap_attack_operator', 'tenants', 'false')) AS w (role, source, answer);
SELECT user_id AS x FROM usermgmt.use_session(:'kim_in_acme') \gset
UPDATE usermgmt.session SET state = 'revoked', ended_at = now() WHERE user_id = :'kim' AND tenant_id = :'acme_id' AND state = 'open';
SELECT is(pg_temp.run_as(role, 'SELECT count(*) FROM usermgmt.' || source), '0', format('R10 once the bound session is over %s sees nothing in %s', role, source))
	FROM unnest(ARRAY['tap_attack_both', 'tap_attack_operator']) AS role, unnest(ARRAY['audit_trail', 'tenants', 'members', 'invitations']) AS source;
SELECT usermgmt.end_use() AS x \gset
SELECT pg_temp.sign_in('eve@beta.test') AS x \gset

-- The mark of the primary owner.
SELECT pg_temp.act('owner@acme.test', format('SELECT role FROM usermgmt.change_role(%L, %L)', :'ann', 'owner')) AS x \gset
CREATE FUNCTION pg_temp.primary_of_acme() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(a.email, ',') FROM usermgmt.membership AS m JOIN usermgmt.account AS a USING (user_id) JOIN usermgmt.tenant AS t USING (tenant_id)
	WHERE m.is_primary_owner AND t.slug = 'acme'
$$;
UPDATE usermgmt.membership SET is_primary_owner = true WHERE user_id = :'ann' AND tenant_id = :'acme_id';
SELECT is(pg_temp.primary_of_acme(), 'ann@acme.test', 'C8 marking another owner by bare UPDATE moves the mark');
UPDATE usermgmt.membership SET is_primary_owner = false WHERE user_id = :'ann' AND tenant_id = :'acme_id';
SELECT is(pg_temp.primary_of_acme(), 'ann@acme.test', 'C8 clearing the mark by bare UPDATE leaves it');
UPDATE usermgmt.membership SET is_primary_owner = true WHERE user_id = :'bob' AND tenant_id = :'acme_id';
SELECT is(pg_temp.primary_of_acme(), 'ann@acme.test', 'C8 and nobody but an owner gets it');
SELECT is(pg_temp.try(format('UPDATE usermgmt.membership SET tenant_id = %L WHERE tenant_id = %L AND user_id = %L', :'beta_id', :'acme_id', who)), 'UM036', 'C8 a membership is not moved to another tenant: ' || what)
	FROM (VALUES (:'bob', 'a member''s'), (:'ann', 'the primary owner''s')) AS w (who, what);

-- An invitation revoked while its mail is on the way.
SELECT usermgmt.use_tenant('acme') AS x, pg_temp.invite('late@acme.test') AS late \gset
INSERT INTO mail SELECT * FROM usermgmt.outbox_claim('tap', 1000);
UPDATE usermgmt.invitation SET state = 'revoked', revoked_at = now() WHERE invitation_id = :'late';
SELECT is((SELECT usermgmt.outbox_sending(message_id, fence) FROM mail WHERE recipient = 'late@acme.test'), false, 'D23 the mail of an invitation that was revoked by bare UPDATE is not sent, though claimed');
SELECT is((SELECT state FROM usermgmt.outbox WHERE recipient = 'late@acme.test'), 'cancelled', 'D23 and ends cancelled');

-- Memory.
CREATE FUNCTION pg_temp.context_size(context text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
	SELECT sum(total_bytes)::bigint FROM pg_backend_memory_contexts WHERE name = coalesce(context, name)
$$;
CREATE FUNCTION pg_temp.process_size(line text) RETURNS bigint LANGUAGE sql AS $$
	SELECT substring(pg_read_file('/proc/self/status') FROM line || ':\s+(\d+)')::bigint * 1024
$$;
SELECT session_token AS busy FROM usermgmt.log_in('ann@acme.test', 'secret of ann@acme.test') \gset
SELECT pg_temp.context_size('TopTransactionContext') AS before \gset
CREATE FUNCTION pg_temp.bind_often(token text, times integer) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. times LOOP
		BEGIN
			PERFORM usermgmt.use_session(token);
		EXCEPTION WHEN division_by_zero THEN
		END;
	END LOOP;
	RETURN pg_temp.context_size('TopTransactionContext');
END $$;
SELECT pg_temp.bind_often(:'busy', 2000) - :before AS grown \gset
SELECT cmp_ok(:grown, '<', 1024 * 1024, 'R9 binding a session in 2000 savepoints does not grow the transaction''s memory by 1 MB');
SELECT usermgmt.end_use() AS x \gset

SELECT pg_temp.context_size() AS contexts, pg_temp.process_size('VmSize') AS process \gset before_
INSERT INTO usermgmt.account (user_id, email, canonical_email)
	SELECT gen_random_uuid(), 'bulk' || n || '@acme.test', '' FROM generate_series(1, 20000) AS n;
SELECT pg_temp.context_size() - :before_contexts AS contexts, pg_temp.process_size('VmPeak') - :before_process AS process \gset grown_
SELECT is((SELECT count(*) FROM usermgmt.audit_event WHERE subject_email LIKE 'bulk%'), 20000::bigint, 'one statement made 20000 accounts, each audited');
SELECT cmp_ok(:grown_contexts, '<', 50 * 1024 * 1024, 'R21 20000 rows in one statement leave under 50 MB in the backend');
SELECT cmp_ok(:grown_process, '<', 50 * 1024 * 1024, 'R21 and never need more');
SELECT diag(format('R21, R9: +%s kB in contexts, +%s kB at the peak for 20000 accounts; +%s kB for 2000 bindings', :grown_contexts / 1024, :grown_process / 1024, :grown / 1024));

SELECT * FROM finish();
ROLLBACK;
