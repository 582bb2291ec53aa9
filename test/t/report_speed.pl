# The reports of a large tenant read what they show, by index: 100,000 members,
# 120,000 invitations and 600,000 events of it, of 1,000,000 events, mails and
# half as many sessions in all, divided by REPORT_SCALE. Times are shown, and
# judged by nobody; buffers and plans are.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use UsermgmtTest;

my $scale = $ENV{REPORT_SCALE} // 10;
my $node  = start_node('reports', conf => "autovacuum = off\nmax_wal_size = 4GB\nsynchronous_commit = off\n");

$node->safe_psql('app', <<"SQL");
-- Ids of version 7.
CREATE FUNCTION pg_temp.v7(at timestamptz, kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS \$\$
	SELECT (lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000' || '8' || kind || lpad(to_hex(n), 13, '0') || '0')::uuid \$\$;
SET session_replication_role = replica;
SELECT usermgmt.activate();
INSERT INTO usermgmt.tenant (tenant_id, slug, name, state, owner_count, created_at)
	SELECT pg_temp.v7('2024-01-01', 'a', n), CASE n WHEN 1 THEN 'big' ELSE 't' || n END, 'T', 'active', 1, '2024-11-20' FROM generate_series(1, 51) AS n;
CREATE TEMP TABLE size AS SELECT tenant_id AS t, slug, row_number() OVER (ORDER BY tenant_id) AS n, slug = 'big' AS big FROM usermgmt.tenant WHERE slug = 'big' OR slug LIKE 't%';
INSERT INTO usermgmt.account (user_id, email, canonical_email, name, created_at)
	SELECT pg_temp.v7('2024-01-01', 'b', n * 1000000 + i), 'u' || i || '\@' || slug || '.test', 'u' || i || '\@' || slug || '.test', 'U', '2025-01-01'
	FROM size, generate_series(1, CASE WHEN big THEN 100000 / $scale ELSE 500 / $scale END) AS i;
INSERT INTO usermgmt.membership (tenant_id, user_id, role, status, is_primary_owner, joined_at, last_login_at, last_seen_at)
	SELECT t, pg_temp.v7('2024-01-01', 'b', n * 1000000 + i), CASE WHEN i = 1 THEN 'owner' WHEN i % 500 = 0 THEN 'admin' ELSE 'member' END,
		CASE WHEN i % 25 = 7 THEN 'deactivated' ELSE 'active' END, i = 1, now() - (i % 700) * interval '1 day',
		CASE WHEN i % 10 <> 3 THEN now() - (i * 7919 % 86400) * interval '1 second' - (i % 50) * interval '1 day' END, now()
	FROM size, generate_series(1, CASE WHEN big THEN 100000 / $scale ELSE 500 / $scale END) AS i;
INSERT INTO usermgmt.member_count (tenant_id, role, status, logged_in_on, count_id, n, folded)
	SELECT m.tenant_id, k.role, m.status, k.day, gen_random_uuid(), count(*), true
	FROM usermgmt.membership AS m, LATERAL (VALUES (m.role, 'infinity'::date), ('any', coalesce((m.last_login_at AT TIME ZONE 'UTC')::date, '-infinity'))) AS k (role, day)
	WHERE m.tenant_id IN (SELECT t FROM size) AND (k.role <> 'any' OR m.status = 'active') GROUP BY 1, 2, 3, 4;
INSERT INTO usermgmt.membership_history (tenant_id, user_id, workspace_id, valid, role, status, is_primary_owner, database_role, transaction_id)
	SELECT tenant_id, user_id, '00000000-0000-0000-0000-000000000000'::uuid, tstzrange(joined_at - interval '800 days', CASE status WHEN 'deactivated' THEN joined_at END), role, 'active', is_primary_owner, 'app', '5'::xid8
	FROM usermgmt.membership WHERE tenant_id IN (SELECT t FROM size)
	UNION ALL SELECT tenant_id, user_id, '00000000-0000-0000-0000-000000000000'::uuid, tstzrange(joined_at, NULL), role, status, is_primary_owner, 'app', '6'::xid8
	FROM usermgmt.membership WHERE tenant_id IN (SELECT t FROM size) AND status = 'deactivated';
INSERT INTO usermgmt.invitation (invitation_id, tenant_id, email, canonical_email, role, state, holds_seat, created_at, queued_at, expires_at, accepted_at, accepted_by, revoked_at, declined_at)
	SELECT pg_temp.v7(at, 'c', n * 1000000 + i), t, 'i' || i || '\@' || slug || '.test', 'i' || i || '\@' || slug || '.test', 'member', state, state = 'pending', at, at, at + interval '7 days',
		CASE state WHEN 'accepted' THEN at + i % 200 * interval '1 hour' END, CASE state WHEN 'accepted' THEN pg_temp.v7('2024-01-01', 'b', n * 1000000 + 1 + i % 500) END,
		CASE state WHEN 'revoked' THEN at END, CASE state WHEN 'declined' THEN at END
	FROM size, generate_series(1, CASE WHEN big THEN 120000 / $scale ELSE 1600 / $scale END) AS i,
		LATERAL (SELECT now() - (CASE WHEN big THEN 120000 / $scale ELSE 1600 / $scale END - i) * interval '2 years' / (CASE WHEN big THEN 120000 / $scale ELSE 1600 / $scale END) AS at) AS a,
		LATERAL (SELECT CASE WHEN i % 50 = 1 THEN 'pending' WHEN i % 10 = 2 THEN 'revoked' WHEN i % 20 = 3 THEN 'declined' ELSE 'accepted' END AS state) AS s;
INSERT INTO usermgmt.outbox (message_id, tenant_id, kind, subject_id, recipient, state, due_at, attempts, created_at, finished_at, bounced_at)
	SELECT pg_temp.v7(created_at, 'd', row_number() OVER ()), tenant_id, 'invitation', invitation_id, email, state, created_at, 1, created_at, created_at, CASE WHEN random() < 0.01 THEN created_at END
	FROM (SELECT i.created_at, tenant_id, invitation_id, email, CASE WHEN random() < 0.97 THEN 'sent' ELSE 'dead' END AS state FROM usermgmt.invitation AS i WHERE tenant_id IN (SELECT t FROM size)) AS i;
INSERT INTO usermgmt.outbox (message_id, tenant_id, kind, subject_id, recipient, state, due_at, attempts, created_at, finished_at)
	SELECT pg_temp.v7(at, 'e', n * 1000000 + i), t, CASE WHEN i % 3 = 0 THEN 'welcome' ELSE 'password_reset' END, pg_temp.v7(at, 'f', i), 'u' || i || '\@x.test', CASE WHEN i % 400 = 0 THEN 'queued' ELSE 'sent' END, at, 1, at, CASE WHEN i % 400 <> 0 THEN at END
	FROM size, generate_series(1, CASE WHEN big THEN 400000 / $scale ELSE 8000 / $scale END) AS i, LATERAL (SELECT now() - i * interval '2 years' / (CASE WHEN big THEN 400000 / $scale ELSE 8000 / $scale END) AS at) AS a;
INSERT INTO usermgmt.session (session_id, tenant_id, user_id, token_hash, role, email, state, created_at, last_used_at, expires_at, ended_at)
	SELECT pg_temp.v7(at, '1', n * 1000000 + i), t, pg_temp.v7('2024-01-01', 'b', n * 1000000 + 1 + i % CASE WHEN big THEN 30000 / $scale ELSE 500 / $scale END), sha256((slug || i)::bytea), 'member', 'x', 'ended', at, at, at + interval '1 day', at
	FROM size, generate_series(1, CASE WHEN big THEN 300000 / $scale ELSE 4000 / $scale END) AS i, LATERAL (SELECT now() - i % 200 * interval '15 minutes' AS at) AS a;
INSERT INTO usermgmt.audit_event (tenant_id, event_id, occurred_at, actor_user_id, actor_db_role, action, object_type, object_id, new, transaction_id, epoch)
	SELECT t, pg_temp.v7(at, '2', n * 1000000 + i), at, pg_temp.v7('2024-01-01', 'b', n * 1000000 + CASE WHEN i % 3 = 0 THEN 500 * (1 + i % 200) ELSE 1 + i % 500 END), 'app',
		(ARRAY['session.created', 'invitation.created', 'user.role_changed', 'session.ended', 'user.deactivated', 'session.created', 'session.created'])[1 + i % 7],
		(ARRAY['session', 'invitation', 'user', 'session', 'user', 'session', 'session'])[1 + i % 7], 'x' || i, '{"a": 1}', (1000 + i)::text::xid8, 0
	FROM size, generate_series(1, CASE WHEN big THEN 600000 / $scale ELSE 8000 / $scale END) AS i, LATERAL (SELECT now() - (CASE WHEN big THEN 600000 / $scale ELSE 8000 / $scale END - i) * interval '2 years' / (CASE WHEN big THEN 600000 / $scale ELSE 8000 / $scale END) AS at) AS a;
RESET session_replication_role;
SQL
$node->safe_psql('app', 'VACUUM ANALYZE');
$node->safe_psql('app', "CREATE ROLE reporting LOGIN; SELECT usermgmt.grant_access('reporting', 'auditor')");
is($node->safe_psql('app', 'SELECT count(*) FROM usermgmt.membership'), 1_250_00 / $scale, 'the tenants are filled');

my $admin = connection($node, 'app');
ask($admin, "SELECT usermgmt.use_tenant('big')");
my $auditor = connection($node, 'app', '-U', 'reporting');

# Per report: the buffers that an admin's whole report may touch at scale 1 (four per account
# looked up, of 44,000 inactive people and 4,000 leavers), and tables it never reads from end to end.
my @big = qw(audit_event outbox session invitation membership_history);
my %report = (
	invitation_funnel => 6000, time_to_accept => 8000, open_invitations => 30_000, inactive_members => 180_000, role_review => 4000,
	license_use => 4000, delivery => 40_000, bounces => 8000, admin_activity => 30_000, leavers => 60_000);
foreach my $name (sort keys %report)
{
	foreach my $who ([ 'an admin', $admin, 1 ], [ 'an auditor', $auditor, 8 ])
	{
		my ($whom, $connection, $share) = @$who;
		my $text = ask($connection, "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) SELECT * FROM usermgmt.report_$name");
		my ($hit)  = $text =~ /Buffers: shared hit=(\d+)/;
		my ($read) = $text =~ /Buffers: shared (?:hit=\d+ )?read=(\d+)/;
		my ($ms)   = $text =~ /Execution Time: ([\d.]+)/;
		my $buffers = ($hit // 0) + ($read // 0);

		cmp_ok($buffers, '<', $share * ($report{$name} / $scale + 2000), "report_$name for $whom touches few pages");
		unlike($text, qr/Seq Scan on (?:@{[join '|', @big]})\b(?! .*never executed)/, "report_$name for $whom reads no history from end to end");
		my ($cost) = ask($connection, "EXPLAIN SELECT * FROM usermgmt.report_$name") =~ /cost=[\d.]+\.\.([\d.]+)/;
		cmp_ok($cost * $scale, '<', 100_000, "report_$name for $whom is too cheap for JIT");
		diag("P10: report_$name for $whom: $ms ms, $buffers buffers");
	}
}
my $text = ask($admin, 'EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) SELECT total, owners, active, inactive, never_logged_in FROM usermgmt.member_statistics');
my ($hit) = $text =~ /Buffers: shared hit=(\d+)/;
cmp_ok($hit, '<', 2000 / $scale + 500, 'P10 the kept numbers of members are not counted');
diag('P10: member_statistics, kept numbers: ' . ($text =~ /Execution Time: ([\d.]+)/)[0] . " ms, $hit buffers");
is(ask($admin, 'SELECT (total, active, inactive, never_logged_in, deactivated)::text FROM usermgmt.member_statistics'), ask($admin, <<'SQL'), 'P10 and are exact');
SELECT (count(*), count(*) FILTER (WHERE status = 'active' AND activity = 'active'), count(*) FILTER (WHERE status = 'active' AND activity = 'inactive'),
	count(*) FILTER (WHERE status = 'active' AND activity = 'never_logged_in'), count(*) FILTER (WHERE status = 'deactivated'))::text FROM usermgmt.members
SQL

# The months against counting row by row, in a zone of 5:45 hours.
$node->safe_psql('app', <<'SQL');
CREATE FUNCTION counted(what text, zone text) RETURNS TABLE (said bigint, wrong bigint) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('TimeZone', zone, true);
	RETURN QUERY EXECUTE format('SELECT (SELECT count(*) FROM %1$s_said), (SELECT count(*) FROM
		((TABLE %1$s_said EXCEPT ALL TABLE %1$s_true) UNION ALL (TABLE %1$s_true EXCEPT ALL TABLE %1$s_said)) AS d)', what);
END $$;
CREATE VIEW funnel_said AS SELECT tenant_id, month, invited, delivered, accepted, expired, revoked, declined, open FROM usermgmt.report_invitation_funnel WHERE invited > 0;
CREATE VIEW funnel_true (t, m, a, b, c, d, e, f, g) AS SELECT i.tenant_id, date_trunc('month', i.created_at)::date, count(*)::integer,
		count(*) FILTER (WHERE EXISTS (SELECT FROM usermgmt.outbox AS o WHERE o.subject_id = i.invitation_id AND o.tenant_id = i.tenant_id AND o.state = 'sent' AND o.bounced_at IS NULL))::integer,
		count(*) FILTER (WHERE state = 'accepted')::integer, count(*) FILTER (WHERE state = 'pending' AND expires_at <= now())::integer, count(*) FILTER (WHERE state = 'revoked')::integer,
		count(*) FILTER (WHERE state = 'declined')::integer, count(*) FILTER (WHERE state = 'pending' AND expires_at > now())::integer
	FROM usermgmt.invitation AS i GROUP BY 1, 2;
CREATE VIEW time_said AS SELECT tenant_id, month, accepted, median, mean, p90 FROM usermgmt.report_time_to_accept WHERE accepted > 0;
CREATE VIEW time_true (t, m, a, b, c, d) AS SELECT tenant_id, date_trunc('month', created_at)::date, count(*)::integer,
		make_interval(secs => percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', accepted_at - created_at))),
		make_interval(secs => avg(date_part('epoch', accepted_at - created_at))),
		make_interval(secs => percentile_cont(0.9) WITHIN GROUP (ORDER BY date_part('epoch', accepted_at - created_at)))
	FROM usermgmt.invitation WHERE state = 'accepted' GROUP BY GROUPING SETS ((1, 2), (1));
CREATE VIEW delivery_said (t, k, a, b, c, d) AS SELECT tenant_id, kind, queued + deferred, sent, bounced, failed FROM usermgmt.report_delivery;
CREATE VIEW delivery_true (t, k, a, b, c, d) AS SELECT tenant_id, kind, count(*) FILTER (WHERE finished_at IS NULL)::integer, count(*) FILTER (WHERE state = 'sent' AND bounced_at IS NULL)::integer,
		count(*) FILTER (WHERE bounced_at IS NOT NULL)::integer, count(*) FILTER (WHERE state = 'dead' AND bounced_at IS NULL)::integer
	FROM usermgmt.outbox WHERE finished_at IS NULL OR finished_at > now() - interval '720 hours' GROUP BY 1, 2;
CREATE VIEW inactive_said AS SELECT user_id, tenant_id, activity FROM usermgmt.report_inactive_members;
CREATE VIEW inactive_true (u, t, a) AS SELECT user_id, tenant_id, CASE WHEN last_login_at IS NULL THEN 'never_logged_in' ELSE 'inactive' END
	FROM usermgmt.membership WHERE status = 'active' AND coalesce(last_login_at, '-infinity') <= now() - interval '30 days';
SQL
foreach my $what (qw(funnel time delivery inactive))
{
	my ($said, $wrong) = split /\|/, $node->safe_psql('app', "SELECT * FROM counted('$what', 'Asia/Kathmandu')");

	cmp_ok($said, '>', 100, "$what: many rows over all tenants");
	is($wrong, 0, "S2.18 S2.19 S3.24 S3.36 $what: 0 differences to counting row by row");
}

# A mail of an invitation is rendered by look-ups, however many people there are.
$node->safe_psql('app', "UPDATE usermgmt.outbox SET due_at = 'infinity' WHERE state = 'queued'");
$node->safe_psql('app', 'VACUUM usermgmt.outbox');
$node->safe_psql('app', "SELECT usermgmt.use_tenant('t7'); SELECT usermgmt.invite_user('z' || n || '\@zzz.test') FROM generate_series(1, 10) AS n");
$text = ask(connection($node, 'app'), 'EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) SELECT * FROM usermgmt.outbox_claim(\'test\', 10)');
like($text, qr/rows=10(?:\.00)? /, 'P7 ten mails are claimed');
($hit) = $text =~ /Buffers: shared hit=(\d+)/;
diag("P7: ten mails of invitations: $hit buffers");
cmp_ok($hit, '<', 3000, 'P7 and rendered with few pages each');

done_testing();
