# The history of access is what was true: a long random run of functions and
# bare SQL, rolled back in part, with the true state taken after each
# transaction and compared with access_at(); and no overlap, whatever runs at
# once at whatever isolation level.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use UsermgmtTest;

my $operations = $ENV{REPLAY_OPERATIONS} // 2500;
my $seed       = $ENV{REPLAY_SEED} // 15;
my @levels     = ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');

my $node = start_node('history', conf => "max_connections = 60\ndeadlock_timeout = 100ms\n");

$node->safe_psql('app', <<'SQL');
-- What access_at() must say, from the tables themselves.
CREATE VIEW truth AS
	SELECT m.tenant_id, m.user_id, a.email, m.role,
		CASE WHEN m.status = 'active' AND t.suspended_at IS NOT NULL THEN 'suspended' ELSE m.status END AS status,
		coalesce((SELECT jsonb_object_agg(w.slug, p.role) FROM usermgmt.workspace_member AS p
			JOIN usermgmt.workspace AS w USING (tenant_id, workspace_id)
			WHERE p.tenant_id = m.tenant_id AND p.user_id = m.user_id AND w.archived_at IS NULL), '{}') AS workspaces
	FROM usermgmt.membership AS m JOIN usermgmt.tenant AS t USING (tenant_id) JOIN usermgmt.account AS a USING (user_id);
-- Counts of members and of open invitations that are not what counting gives.
CREATE VIEW miscounted AS
	SELECT kept.n AS kept, counted.n AS counted FROM (SELECT tenant_id, workspace_id, role, status, logged_in_on, sum(n) AS n FROM usermgmt.member_count GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) <> 0) AS kept
	FULL JOIN (SELECT m.tenant_id, p.workspace_id, k.role, m.status, k.day AS logged_in_on, count(*) AS n
		FROM usermgmt.membership AS m, LATERAL (SELECT m.role, 'infinity'::date UNION ALL
			SELECT 'any', coalesce((m.last_login_at AT TIME ZONE 'UTC')::date, '-infinity') WHERE m.status = 'active') AS k (role, day), LATERAL (SELECT '00000000-0000-0000-0000-000000000000'::uuid UNION ALL
			SELECT w.workspace_id FROM usermgmt.workspace_member AS w WHERE w.tenant_id = m.tenant_id AND w.user_id = m.user_id) AS p (workspace_id)
		GROUP BY 1, 2, 3, 4, 5) AS counted USING (tenant_id, workspace_id, role, status, logged_in_on)
	WHERE kept.n IS DISTINCT FROM counted.n
	UNION ALL
	SELECT kept.n, counted.n FROM (SELECT tenant_id, greatest(expires_on, current_date - 5) AS expires_on, sum(n) AS n FROM usermgmt.invitation_count GROUP BY 1, 2 HAVING sum(n) <> 0) AS kept
	FULL JOIN (SELECT tenant_id, greatest((expires_at AT TIME ZONE 'UTC')::date, current_date - 5) AS expires_on, count(*) AS n FROM usermgmt.invitation WHERE state = 'pending' GROUP BY 1, 2) AS counted
		USING (tenant_id, expires_on)
	WHERE kept.n IS DISTINCT FROM counted.n;
CREATE PROCEDURE invite(tenant uuid) LANGUAGE sql AS $$
	INSERT INTO usermgmt.invitation (invitation_id, tenant_id, email, canonical_email, role, state, created_at, queued_at, expires_at)
		SELECT gen_random_uuid(), tenant, address, address, 'member', 'pending', now(), now(), now() + (random() * 40 - 20) * interval '1 day'
		FROM (SELECT 'g' || floor(random() * 1000000) || '@p.test' AS address FROM generate_series(1, 3)) AS a ON CONFLICT DO NOTHING
$$;
CREATE PROCEDURE change_invitation(tenant uuid) LANGUAGE sql AS $$
	WITH chosen AS (SELECT i.invitation_id AS id FROM usermgmt.invitation AS i WHERE i.tenant_id = tenant AND state = 'pending' ORDER BY random() LIMIT 1)
	UPDATE usermgmt.invitation SET state = s.state, revoked_at = CASE s.state WHEN 'revoked' THEN now() END,
			expires_at = expires_at + (random() * 40 - 20) * interval '1 day'
		FROM chosen, (SELECT (ARRAY['pending', 'revoked'])[1 + floor(random() * 2)::integer] AS state) AS s WHERE invitation_id = chosen.id AND invitation.state = 'pending'
$$;
-- Who lost access, when and from which role, by what stood before each period.
CREATE VIEW left_wrong AS
	SELECT tenant_id, user_id, how, left_at FROM (SELECT tenant_id, user_id, how, role, left_at, back_at, true AS here FROM usermgmt.report_leavers) AS said
	FULL JOIN (SELECT tenant_id, user_id, status AS how, before AS role, lower(valid) AS left_at, upper(valid) AS back_at, true AS here
		FROM (SELECT h.*, lag(h.role) OVER (PARTITION BY h.tenant_id, h.user_id ORDER BY lower(h.valid)) AS before
			FROM usermgmt.membership_history AS h
			WHERE h.workspace_id = '00000000-0000-0000-0000-000000000000' AND h.user_id <> '00000000-0000-0000-0000-000000000000') AS h
		WHERE before IS NOT NULL AND status IN ('deactivated', 'removed')) AS was USING (tenant_id, user_id, how, role, left_at)
	WHERE said.here IS NULL OR was.here IS NULL OR said.back_at IS DISTINCT FROM was.back_at;
CREATE TABLE snapshot (at timestamptz PRIMARY KEY, state jsonb, operation text, miscounted bigint);
CREATE TABLE tried (operation text, outcome text);

-- Periods of one thing that overlap or leave a gap, or that another transaction of the same instant split.
CREATE VIEW broken AS
	SELECT h.*, lead(h.valid) OVER thing AS next FROM usermgmt.membership_history AS h
	WINDOW thing AS (PARTITION BY h.tenant_id, h.user_id, h.workspace_id ORDER BY h.valid);

CREATE FUNCTION state_of(from_history boolean, at timestamptz) RETURNS jsonb LANGUAGE sql AS $$
	SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.tenant_id, s.user_id), '[]')
	FROM (SELECT * FROM usermgmt.access_at(at) WHERE from_history UNION ALL SELECT * FROM truth WHERE NOT from_history) AS s
$$;

CREATE FUNCTION any_of(what text) RETURNS uuid LANGUAGE sql VOLATILE AS $$
	SELECT id FROM (SELECT user_id AS id FROM usermgmt.membership WHERE what = 'member'
			AND tenant_id = usermgmt.current_tenant_id() AND NOT is_primary_owner
		UNION ALL SELECT workspace_id FROM usermgmt.workspace WHERE what = 'workspace' AND tenant_id = usermgmt.current_tenant_id()
		UNION ALL SELECT user_id FROM usermgmt.account WHERE what = 'person' AND closed_at IS NULL) AS candidate
	ORDER BY random() LIMIT 1
$$;
CREATE FUNCTION one_of(VARIADIC words text[]) RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT words[1 + floor(random() * array_length(words, 1))::integer]
$$;

-- A random operation; the acts of bare SQL go round every function.
CREATE FUNCTION operate() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	member uuid := any_of('member');
	place uuid := any_of('workspace');
	act text := one_of('invite', 'invite', 'role', 'role', 'deactivate', 'reactivate', 'remove', 'transfer', 'workspace', 'archive', 'restore',
		'place', 'place', 'leave', 'rename', 'suspend', 'resume', 'sql role', 'sql status', 'sql delete', 'sql insert', 'sql merge', 'sql place',
		'sql move', 'sql all', 'sql workspace', 'sql login', 'sql login', 'maintenance', 'truncate', 'sql invite', 'sql invitation', 'sql invitation');
	id uuid;
BEGIN
	CASE act
	WHEN 'invite' THEN
		SELECT invitation_id INTO id FROM usermgmt.invite_user(one_of('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h') || '@p.test', one_of('admin', 'member'));
		PERFORM usermgmt.accept_invitation(split_part(usermgmt.invitation_link(id), 'token=', 2), 'correct horse');
	WHEN 'role' THEN PERFORM usermgmt.change_role(member, one_of('owner', 'admin', 'member'), 'role');
	WHEN 'deactivate' THEN PERFORM usermgmt.deactivate_user(member, 'away');
	WHEN 'reactivate' THEN PERFORM usermgmt.reactivate_user(member);
	WHEN 'remove' THEN PERFORM usermgmt.remove_user(member, reason => 'left', confirm => true);
	WHEN 'transfer' THEN PERFORM usermgmt.transfer_ownership(member);
	WHEN 'workspace' THEN PERFORM usermgmt.create_workspace(one_of('w1', 'w2', 'w3', 'w4'), 'W');
	WHEN 'archive' THEN PERFORM usermgmt.archive_workspace(place);
	WHEN 'restore' THEN PERFORM usermgmt.restore_workspace(place);
	WHEN 'rename' THEN PERFORM usermgmt.update_workspace(place, slug => one_of('w5', 'w6', 'w7'));
	WHEN 'place' THEN PERFORM usermgmt.set_workspace_member(place, member, one_of('admin', 'member', 'viewer'));
	WHEN 'leave' THEN PERFORM usermgmt.remove_workspace_member(place, member);
	WHEN 'suspend' THEN PERFORM usermgmt.suspend_tenant('unpaid');
	WHEN 'resume' THEN PERFORM usermgmt.resume_tenant();
	WHEN 'sql role' THEN UPDATE usermgmt.membership SET role = one_of('owner', 'admin', 'member') WHERE user_id = member;
	WHEN 'sql status' THEN UPDATE usermgmt.membership SET status = 'deactivated' WHERE user_id = member;
	WHEN 'sql delete' THEN DELETE FROM usermgmt.membership WHERE user_id = member AND tenant_id = usermgmt.current_tenant_id();
	WHEN 'sql insert' THEN
		INSERT INTO usermgmt.membership (tenant_id, user_id, role) VALUES (usermgmt.current_tenant_id(), any_of('person'), one_of('admin', 'member'));
	WHEN 'sql merge' THEN
		MERGE INTO usermgmt.membership AS m USING (SELECT usermgmt.current_tenant_id() AS tenant_id, any_of('person') AS user_id) AS s
			ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
			WHEN MATCHED AND m.role = 'member' THEN DELETE WHEN MATCHED THEN UPDATE SET role = 'member'
			WHEN NOT MATCHED THEN INSERT (tenant_id, user_id, role) VALUES (s.tenant_id, s.user_id, 'admin');
	WHEN 'sql place' THEN DELETE FROM usermgmt.workspace_member WHERE user_id = member;
	WHEN 'sql move' THEN UPDATE usermgmt.workspace_member SET workspace_id = place WHERE user_id = member;
	WHEN 'sql all' THEN UPDATE usermgmt.membership SET status = one_of('active', 'deactivated') WHERE role = 'member';
	WHEN 'sql workspace' THEN DELETE FROM usermgmt.workspace WHERE workspace_id = place;
	WHEN 'sql login' THEN
		UPDATE usermgmt.membership SET last_login_at = CASE WHEN random() < 0.9 THEN now() - random() * interval '60 days' END WHERE user_id = member;
	WHEN 'sql invite' THEN CALL invite(usermgmt.current_tenant_id());
	WHEN 'sql invitation' THEN CALL change_invitation(usermgmt.current_tenant_id());
	WHEN 'maintenance' THEN PERFORM usermgmt.run_maintenance();
	WHEN 'truncate' THEN
		IF random() < 0.2 THEN
			TRUNCATE usermgmt.workspace_member;
		END IF;
	END CASE;
	RETURN act;
END $$;

-- One to four operations in a transaction, some in a savepoint that is rolled
-- back, some with the whole transaction rolled back.
CREATE PROCEDURE play(count integer, seed float8) LANGUAGE plpgsql AS $$
DECLARE
	done text;
	undo boolean;
BEGIN
	PERFORM setseed(seed);
	FOR i IN 1 .. count LOOP
		PERFORM usermgmt.use_tenant(one_of('acme', 'globex', 'initech'));
		FOR j IN 1 .. 1 + floor(random() * 4) LOOP
			undo := random() < 0.2;
			BEGIN
				done := operate();
				INSERT INTO tried VALUES (done, CASE WHEN undo THEN 'undone' ELSE 'ok' END);
				IF undo THEN
					RAISE SQLSTATE 'XX999';
				END IF;
			EXCEPTION WHEN OTHERS THEN
				IF SQLSTATE !~ '^(UM|XX999|23|42501|22023|55006)' THEN
					RAISE;
				END IF;
			END;
		END LOOP;
		IF random() < 0.1 THEN
			ROLLBACK;
		ELSE
			COMMIT;
		END IF;
		INSERT INTO snapshot SELECT clock_timestamp(), state_of(false, NULL), done, (SELECT count(*) FROM miscounted);
		COMMIT;
	END LOOP;
END $$;
SELECT usermgmt.create_tenant(slug, slug, 'owner@' || slug || '.test') FROM unnest('{acme,globex,initech}'::text[]) AS slug;
SQL

$node->safe_psql('app', "SELECT clock_timestamp()");
$node->safe_psql('app', "CALL play($operations, 0.$seed)");
my $snapshots = $node->safe_psql('app', 'SELECT count(*) FROM snapshot');
is($snapshots, $operations, 'the state was taken after each transaction');
cmp_ok($node->safe_psql('app', "SELECT count(DISTINCT operation) FROM tried WHERE outcome = 'ok'"),
	'>=', 26, 'nearly every kind of operation has succeeded');
cmp_ok($node->safe_psql('app', "SELECT count(DISTINCT state) FROM snapshot"),
	'>', $operations / 4, 'and the states differ');
is($node->safe_psql('app', 'SELECT count(*) FROM snapshot WHERE state_of(true, at) <> state'),
	'0', "B9 access_at() equals the true state of each instant: 0 of $snapshots differ");
is($node->safe_psql('app', 'SELECT sum(miscounted) FROM snapshot'), '0', 'S3.10 the kept counts were right after each transaction');
is($node->safe_psql('app', 'SELECT count(*) FROM snapshot AS s WHERE state_of(true, s.at) <> state_of(true, s.at - interval \'1 microsecond\')'),
	'0', 'and no change has an instant of its own making');
is($node->safe_psql('app', "SELECT state_of(true, 'infinity') = state_of(false, NULL), state_of(true, '-infinity') = '[]'"),
	't|t', 'infinity is the present, and minus infinity nothing');

sub unbroken
{
	my ($what) = @_;

	is($node->safe_psql('app', 'SELECT count(*) FROM broken WHERE upper(valid) IS DISTINCT FROM lower(next)'),
		'0', "$what: the periods of each thing follow each other without overlap or gap");
	is($node->safe_psql('app', <<'SQL'), '0', "$what: all changes of a transaction have one instant");
SELECT count(*) FROM (SELECT FROM usermgmt.membership_history GROUP BY transaction_id HAVING count(DISTINCT lower(valid)) > 1) AS t
SQL
	is($node->safe_psql('app', 'SELECT count(*) FROM miscounted'), '0', "$what: S3.10 the kept counts of members and invitations are what counting gives");
	is($node->safe_psql('app', "SELECT state_of(true, 'infinity') = state_of(false, NULL)"),
		't', "$what: the open periods are the present state");
	is($node->safe_psql('app', 'SELECT count(*) FROM left_wrong'), '0', "$what: S3.27 the leavers are those who lost access");
	cmp_ok($node->safe_psql('app', 'SELECT count(*) FROM usermgmt.report_leavers'), '>', 10, "$what: and there are some");
}
unbroken('one at a time');

# Eight connections change the same few people at once.
$node->safe_psql('app', <<'SQL');
INSERT INTO usermgmt.account (user_id, email, canonical_email)
	SELECT gen_random_uuid(), 'p' || n || '@crowd.test', 'p' || n || '@crowd.test' FROM generate_series(1, 4) AS n;
-- who belongs here keeps the account, whatever happens in the others
SELECT usermgmt.create_tenant('anchor', 'Anchor', 'owner@anchor.test');
SELECT usermgmt.create_tenant('crowd' || n, 'Crowd', 'owner@crowd' || n || '.test') FROM generate_series(1, 3) AS n;
INSERT INTO usermgmt.membership (tenant_id, user_id, role)
	SELECT tenant_id, user_id, 'member' FROM usermgmt.tenant, usermgmt.account WHERE (slug LIKE 'crowd%' OR slug = 'anchor') AND email LIKE 'p_@crowd.test';
CREATE PROCEDURE crowd(count integer) LANGUAGE plpgsql AS $$
DECLARE
	wins integer := 0;
	chosen record;
BEGIN
	FOR i IN 1 .. count LOOP
		BEGIN
			SELECT t.tenant_id, a.user_id INTO chosen FROM usermgmt.tenant AS t, usermgmt.account AS a
				WHERE t.slug LIKE 'crowd%' AND a.email LIKE 'p_@crowd.test' AND a.closed_at IS NULL ORDER BY random() LIMIT 1;
			IF random() < 0.3 THEN
				PERFORM pg_sleep(0.002);
			END IF;
			CASE floor(random() * 8)
			WHEN 0 THEN DELETE FROM usermgmt.membership WHERE tenant_id = chosen.tenant_id AND user_id = chosen.user_id;
			WHEN 1 THEN INSERT INTO usermgmt.membership (tenant_id, user_id, role) VALUES (chosen.tenant_id, chosen.user_id, 'member');
			WHEN 2 THEN UPDATE usermgmt.membership SET last_login_at = now() - random() * interval '60 days' WHERE user_id = chosen.user_id;
			WHEN 3 THEN PERFORM usermgmt.run_maintenance();
			WHEN 4 THEN CALL invite(chosen.tenant_id);
			WHEN 5 THEN CALL change_invitation(chosen.tenant_id);
			ELSE UPDATE usermgmt.membership SET role = (ARRAY['admin', 'member'])[1 + floor(random() * 2)::integer]
				WHERE tenant_id = chosen.tenant_id AND user_id = chosen.user_id;
			END CASE;
			wins := wins + 1;
		EXCEPTION WHEN unique_violation OR serialization_failure OR deadlock_detected OR SQLSTATE 'UM036' OR foreign_key_violation THEN
			NULL;
		END;
		COMMIT;
	END LOOP;
	RAISE NOTICE 'wins: %', wins;
END $$;
SQL
foreach my $level (@levels)
{
	my (@out, @running);
	my $file = "$PostgreSQL::Test::Utils::tmp_check/crowd.sql";
	my $won  = 0;

	open my $script, '>', $file or die $!;
	# a serialization failure at commit ends the call: go on with the next
	print $script "SET default_transaction_isolation = '$level';\n", "CALL crowd(1);\n" x 60;
	close $script;
	foreach my $i (0 .. 7)
	{
		push @running, IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('app'), '-f', $file ], '>&', \$out[$i]);
	}
	$_->finish foreach @running;
	$won += () = /wins: 1/g foreach @out;
	cmp_ok($won, '>', 60, "$level: many of the transactions that met went through");
	unlike(join('', @out), qr/ERROR:  (?!could not serialize|deadlock)/, "$level: and others gave way to be run again");
	unbroken($level);
}

# Who granted it: each step in a transaction of its own.
$node->safe_psql('app', "SELECT usermgmt.create_tenant('why', 'Why', 'owner\@why.test')");
my ($ann, $token) = join_tenant($node, 'app', 'why', 'ann@why.test', 'admin');
my ($bob) = join_tenant($node, 'app', 'why', 'bob@why.test');

sub why
{
	my ($who, $permission, @before) = @_;

	$node->safe_psql('app', "SELECT usermgmt.use_tenant('why'); $_") foreach @before;
	return $node->safe_psql('app', <<"SQL");
SELECT concat_ws('; ', allowed, role, array_to_string(blocked_by, ', '), how, 'by ' || granted_by_email, reason)
FROM usermgmt.explain_access('$who', '$permission')
SQL
}
is(why($bob, 'manage_users'), 'f; member; role; invitation accepted', 'B15 a member came by an invitation');
is(why($bob, 'manage_users', "BEGIN; SELECT usermgmt.use_session('$token'); SELECT usermgmt.change_role('$bob', 'admin', 'team lead'); COMMIT"),
	't; admin; ; role changed; by ann@why.test; team lead', 'B15 it is said who changed the role and why');
is(why($bob, 'manage_users', "SELECT usermgmt.deactivate_user('$bob', 'away')", "SELECT usermgmt.reactivate_user('$bob')"),
	't; admin; ; role changed; by ann@why.test; team lead', 'B15 an absence does not hide that');
is(why($bob, 'transfer_ownership', "SELECT usermgmt.transfer_ownership('$bob', 'I retire')"),
	't; owner; ; ownership transferred; I retire', 'B15 ownership that was transferred is named so');
is(why($ann, 'manage_users', "SELECT usermgmt.remove_user('$ann', reason => 'left', confirm => true)"),
	'f; not a member; removed; left', 'B15 a removed person is no member, and why');
is($node->safe_psql('app', "SELECT string_agg(concat_ws(' ', kind, role, status, reason, valid_until IS NULL), ', ' ORDER BY valid_from) FROM usermgmt.access_history('$bob')"),
	'membership member active f, membership admin active team lead f, membership admin deactivated away f, membership admin active f, '
	  . 'membership owner active I retire t', 'B9 a person\'s access over time');
my ($again) = join_tenant($node, 'app', 'why', 'ann@why.test');
isnt($again, $ann, 'a person who comes back has a new account');
is(why($again, 'manage_users'), 'f; member; role; invitation accepted', 'B15 with a history of its own');

# A clock that stands still: the instants of a period that begins in the future.
my $future = $node->safe_psql('app', <<'SQL');
SET session_replication_role = replica;
UPDATE usermgmt.membership_history SET valid = tstzrange('2100-01-01', NULL)
	WHERE upper_inf(valid) AND tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'crowd1') AND role IS NOT NULL;
RESET session_replication_role;
UPDATE usermgmt.membership SET role = 'admin' WHERE role = 'member' AND tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'crowd1');
UPDATE usermgmt.membership SET role = 'member' WHERE role = 'admin' AND tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'crowd1');
SELECT bool_and(lower(valid) - '2100-01-01'::timestamptz <= interval '2 microseconds') AND count(*) > 0
FROM usermgmt.membership_history WHERE lower(valid) >= '2100-01-01';
SQL
is($future, 't', 'where the clock is behind, a change comes a microsecond after the one before');
is($node->safe_psql('app', 'SELECT count(*) FROM broken WHERE next << valid OR upper(valid) > lower(next)'), '0', 'and nothing overlaps');

# Prepared transactions write when they are prepared.
$node->append_conf('postgresql.conf', "max_prepared_transactions = 5\n");
$node->restart;
$node->safe_psql('app', <<'SQL');
BEGIN;
UPDATE usermgmt.membership SET role = CASE role WHEN 'member' THEN 'admin' ELSE 'member' END
	WHERE tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'crowd2') AND role <> 'owner';
PREPARE TRANSACTION 'later';
COMMIT PREPARED 'later';
SQL
is($node->safe_psql('app', "SELECT state_of(true, 'infinity') = state_of(false, NULL)"), 't', 'a prepared transaction is in the history once committed');

done_testing();
