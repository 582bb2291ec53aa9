# Paging through the lists of a large tenant reads what it shows, and no more:
# no sort of the whole, no history, no other tenant's rows, on the first page and
# on the last. Pages put together are the list.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use UsermgmtTest;

my $page = 50;
my $node = start_node('paging', conf => "autovacuum = off\nmax_wal_size = 4GB\nsynchronous_commit = off\n");

sub value
{
	return $node->safe_psql('app', $_[0]);
}

# Everything by bare SQL, triggers off. Ids begin with the tenant's digit and the
# kind's. Three people at a time joined at the same moment, in no order on disk.
sub fill
{
	my (%t) = @_;
	my $id = sub { "('$t{digit}$_[0]000000-0000-7000-8000-' || lpad(to_hex($_[1]), 12, '0'))::uuid" };

	value(<<"END");
SET session_replication_role = replica;
SELECT tenant_id AS t FROM usermgmt.tenant WHERE slug = '$t{slug}' \\gset
INSERT INTO usermgmt.account (user_id, email, canonical_email, name)
	SELECT @{[$id->('a', 'i')]}, 'User' || i || '\@$t{slug}.example', 'user' || i || '\@$t{slug}.example', 'User ' || i
	FROM generate_series(1, $t{people}) AS i;
INSERT INTO usermgmt.membership (tenant_id, user_id, role, status, joined_at, last_login_at, last_seen_at)
	SELECT :'t', @{[$id->('a', 'i')]}, CASE WHEN i % 1000 = 0 THEN 'admin' ELSE 'member' END,
		CASE WHEN i % 20 = 7 THEN 'deactivated' ELSE 'active' END,
		TIMESTAMPTZ '2024-01-01 00:00Z' + i::bigint * 7919 % $t{people} / 3 * INTERVAL '20 minutes',
		CASE WHEN i % 5 <> 0 THEN now() - i % 60 * INTERVAL '1 day' END, now() - i % 60 * INTERVAL '1 day'
	FROM generate_series(1, $t{people}) AS i;
DELETE FROM usermgmt.member_count WHERE tenant_id = :'t';
INSERT INTO usermgmt.member_count (tenant_id, role, status, logged_in_on, count_id, n)
	SELECT m.tenant_id, k.role, m.status, k.day, gen_random_uuid(), count(*)
	FROM usermgmt.membership AS m, LATERAL (VALUES (m.role, 'infinity'::date), ('any', coalesce((m.last_login_at AT TIME ZONE 'UTC')::date, '-infinity'))) AS k (role, day)
	WHERE m.tenant_id = :'t' AND (k.role <> 'any' OR m.status = 'active') GROUP BY 1, 2, 3, 4;
INSERT INTO usermgmt.workspace (tenant_id, workspace_id, slug, name)
	SELECT :'t', @{[$id->('c', 'i')]}, 'w' || i, 'W' || i FROM generate_series(1, $t{workspaces}) AS i;
INSERT INTO usermgmt.workspace_member (tenant_id, workspace_id, user_id, role)
	SELECT :'t', @{[$id->('c', "1 + i % $t{workspaces}")]}, @{[$id->('a', 'i')]}, 'member' FROM generate_series(1, $t{people}, 4) AS i;
INSERT INTO usermgmt.member_count (tenant_id, workspace_id, role, status, logged_in_on, count_id, n)
	SELECT m.tenant_id, w.workspace_id, k.role, m.status, k.day, gen_random_uuid(), count(*)
	FROM usermgmt.membership AS m JOIN usermgmt.workspace_member AS w USING (tenant_id, user_id),
		LATERAL (VALUES (m.role, 'infinity'::date), ('any', coalesce((m.last_login_at AT TIME ZONE 'UTC')::date, '-infinity'))) AS k (role, day)
	WHERE m.tenant_id = :'t' AND (k.role <> 'any' OR m.status = 'active') GROUP BY 1, 2, 3, 4, 5;
INSERT INTO usermgmt.invitation (invitation_id, tenant_id, email, canonical_email, role, state, holds_seat, invited_by,
		created_at, queued_at, expires_at, accepted_at, accepted_by, revoked_at)
	SELECT @{[$id->('b', 'i')]}, :'t', 'i' || i || '\@$t{slug}.example', 'i' || i || '\@$t{slug}.example', 'member', state, state = 'pending',
		@{[$id->('a', '1')]}, at, at, at + INTERVAL '7 days', CASE state WHEN 'accepted' THEN at END,
		CASE state WHEN 'accepted' THEN @{[$id->('a', '1')]} END, CASE state WHEN 'revoked' THEN at END
	FROM generate_series(1, $t{invitations}) AS i
	CROSS JOIN LATERAL (SELECT CASE WHEN i % $t{pending_each} = 1 THEN 'pending' WHEN i % 3 = 0 THEN 'revoked' ELSE 'accepted' END) AS s (state)
	CROSS JOIN LATERAL (SELECT now() - ($t{invitations} - i) / 3 * INTERVAL '1 minute') AS a (at);
INSERT INTO usermgmt.invitation_count (tenant_id, expires_on, count_id, n)
	SELECT tenant_id, (expires_at AT TIME ZONE 'UTC')::date, gen_random_uuid(), count(*)
	FROM usermgmt.invitation WHERE tenant_id = :'t' AND state = 'pending' GROUP BY 1, 2;
INSERT INTO usermgmt.invitation_workspace (invitation_id, tenant_id, workspace_id, role, is_open)
	SELECT invitation_id, tenant_id, @{[$id->('c', '1')]}, 'viewer', true FROM usermgmt.invitation WHERE tenant_id = :'t' AND state = 'pending';
INSERT INTO usermgmt.outbox (message_id, tenant_id, kind, subject_id, recipient, state, due_at, attempts, created_at, finished_at)
	SELECT @{[$id->('d', 'i')]}, :'t', 'invitation', @{[$id->('b', "i * $t{pending_each} / 10 + 1")]}, 'x\@$t{slug}.example', 'sent', now(), 1, now(), now()
	FROM generate_series(0, $t{invitations} / $t{pending_each} * 10 - 1) AS i;
INSERT INTO usermgmt.session (session_id, tenant_id, user_id, token_hash, role, email, state, created_at, last_used_at, expires_at, ended_at)
	SELECT @{[$id->('e', 'i')]}, :'t', @{[$id->('a', "1 + i % ($t{people} / 2)")]}, sha256(('$t{slug}' || i)::bytea), 'member', 'x',
		CASE WHEN i % 10 = 0 THEN 'open' ELSE 'ended' END, at, at, now() + INTERVAL '1 hour', CASE WHEN i % 10 <> 0 THEN at END
	FROM generate_series(1, $t{sessions}) AS i, LATERAL (SELECT now() - i % 20 * INTERVAL '13 hours') AS a (at);
INSERT INTO usermgmt.audit_event (tenant_id, event_id, occurred_at, actor_db_role, action, object_type, object_id, transaction_id, epoch)
	SELECT :'t', @{[$id->('f', 'i')]}, now(), 'web', 'user.updated', 'user', 'x', '700', 0 FROM generate_series(1, $t{events}) AS i;
END
}

my $began = time;
value(<<'END');
CREATE ROLE web LOGIN;
SELECT usermgmt.grant_access('web', 'application');
SELECT usermgmt.create_tenant('big', 'Big', 'founder@big.example');
SELECT usermgmt.create_tenant('small', 'Small', 'founder@small.example');
END
my %token;
foreach my $slug ('big', 'small')
{
	(undef, $token{$slug}) = join_tenant($node, 'app', $slug, "admin\@$slug.example", 'admin');
}
fill(slug => 'small', digit => 1, people => 61, workspaces => 9, invitations => 200, pending_each => 4, sessions => 40, events => 80);
fill(slug => 'big', digit => 0, people => 100_000, workspaces => 200, invitations => 1_000_000, pending_each => 1000, sessions => 20_000, events => 200_000);
value('VACUUM ANALYZE');
diag(sprintf 'P9: 100,000 members, 1,000,000 invitations and 200,000 events were made in %.1f s', time - $began);

# An admin's session, under the application's role.
my %admin;
foreach my $slug (keys %token)
{
	$admin{$slug} = connection($node, 'app', '-U', 'web');
	ask($admin{$slug}, "SELECT usermgmt.use_session('$token{$slug}', 'connection')");
}

my @lists = (
	{
		view => 'members', table => 'membership', index => 'membership_joined', key => [ 'joined_at', 'user_id' ], buffers => 1000,
	},
	{
		view => 'invitations', table => 'invitation', index => 'invitation_created', key => [ 'created_at', 'invitation_id' ], buffers => 1000,
	},
	{
		view => 'pending_invitations', table => 'invitation', where => q(AND state = 'pending'), index => 'invitation_open',
		key => [ 'created_at', 'invitation_id' ], buffers => 1000,
	},
	{
		view => 'audit_trail', table => 'audit_event', index => 'audit_event_pkey', key => ['event_id'], newest_first => 1, buffers => 100,
	},
	# A quarter of the workspaces have 500 people, none of whom is among those seen last.
	{
		view => 'workspaces', table => 'workspace', index => 'one_workspace_per_slug', key => ['slug'], buffers => 50_000,
	});

sub order_of { return join ', ', map { $_ . ($_[0]{newest_first} ? ' DESC' : '') } @{ $_[0]{key} } }

# The query of one page, after that key; the first without one.
sub page_query
{
	my ($list, $size, $columns, @after) = @_;
	my $key   = join ', ', @{ $list->{key} };
	my $beyond = $list->{newest_first} ? '<' : '>';
	my $where = @after ? "WHERE ($key) $beyond (" . join(', ', map { "'$_'" } @after) . ') ' : '';

	return "SELECT $columns FROM usermgmt.$list->{view} ${where}ORDER BY " . order_of($list) . " LIMIT $size";
}

# The key of the row with that number, counted from the front, or from the end.
sub key_at
{
	my ($list, $slug, $number, $from) = @_;
	my $direction = ($from eq 'the front') == !$list->{newest_first} ? 'ASC' : 'DESC';

	return split /\|/,
	  value("SELECT " . join(', ', @{ $list->{key} }) . " FROM usermgmt.$list->{table}"
		  . " WHERE tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = '$slug') " . ($list->{where} // '')
		  . ' ORDER BY ' . join(', ', map { "$_ $direction" } @{ $list->{key} }) . " OFFSET $number LIMIT 1");
}

# The plan of a statement as it ran: its text, buffers, milliseconds, and nodes
# with the rows that each gave and threw away, all loops together.
sub run_explained
{
	my ($connection, $sql) = @_;
	my $text = ask($connection, "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY ON) $sql");
	my %plan = (text => $text, nodes => []);

	die "no plan of $sql: $connection->{stderr}" if $text !~ /Execution Time: ([\d.]+) ms/;
	$plan{ms} = $1;
	$plan{buffers} = 0;
	$plan{buffers} = $1 if $text =~ /^ +Buffers: shared hit=(\d+)/m;
	$plan{buffers} += $1 if $text =~ /^ +Buffers: shared (?:hit=\d+ )?read=(\d+)/m;
	foreach my $line (split /\n/, $text)
	{
		last if $line =~ /^Planning/;
		if ($line =~ /^( *)(?:-> +)?(\S.*?) \((?:actual rows=([\d.]+) loops=(\d+)|never executed)\)/)
		{
			push @{ $plan{nodes} }, { depth => length $1, name => $2, loops => $4 // 0, rows => ($3 // 0) * ($4 // 0), removed => 0 };
		}
		elsif ($line =~ /Rows Removed by (?:Filter|Join Filter|Index Recheck): ([\d.]+)/)
		{
			$plan{nodes}[-1]{removed} += $1 * $plan{nodes}[-1]{loops};
		}
	}
	return \%plan;
}

# The rows of a table that a plan read.
sub rows_read
{
	my ($plan, $table) = @_;
	my $rows = 0;

	$rows += $_->{rows} + $_->{removed} foreach grep { $_->{name} =~ /Scan.* on $table\b/ } @{ $plan->{nodes} };
	return $rows;
}

# What is wrong with the plan of a page; nothing is expected.
sub complaints
{
	my ($plan, $list, $continued) = @_;
	my @nodes = @{ $plan->{nodes} };
	my $rows  = rows_read($plan, $list->{table});
	my @wrong;

	push @wrong, "not by $list->{index}" if $plan->{text} !~ /Scan (?:Backward )?using $list->{index} on/;
	push @wrong, 'the key is no index condition'
	  if $continued && $plan->{text} !~ /Index Cond: .*(?:ROW\($list->{key}[0], |\($list->{key}[0] [<>] )/;
	foreach my $i (0 .. $#nodes - 1)
	{
		push @wrong, "sorts $nodes[$i + 1]{rows} rows"
		  if $nodes[$i]{name} =~ /Sort$/ && $nodes[ $i + 1 ]{rows} > 2 * $page;
	}
	push @wrong, "reads $rows rows of $list->{table}" if $rows > $page + 5;
	push @wrong, "reads $plan->{buffers} buffers" if $plan->{buffers} > $list->{buffers};
	return join '; ', @wrong;
}

# BUG: the planner tells a security_barrier view no order and no limit, so each
# page computes and sorts the whole list.
foreach my $list (@lists)
{
	my %after = (
		first  => [],
		middle => [ key_at($list, 'big', $list->{view} eq 'workspaces' ? 100 : 500, 'the front') ],
		last   => [ key_at($list, 'big', 20, 'the end') ]);
	$after{middle} = [ key_at($list, 'big', 60_000, 'the front') ] if $list->{view} !~ /workspaces|pending/;

	foreach my $which ('first', 'middle', 'last')
	{
		my $plan  = run_explained($admin{big}, page_query($list, $page, '*', @{ $after{$which} }));
		my $wrong = complaints($plan, $list, @{ $after{$which} });

		is($wrong, '', "P10: the $which page of $list->{view} reads only what it shows");
		note($plan->{text});
		diag(sprintf 'P10: %s page of %s: %s ms, %d buffers', $which, $list->{view}, $plan->{ms}, $plan->{buffers});
		is($plan->{nodes}[0]{rows}, $which eq 'last' ? 20 : $page, "P10: (the $which page of $list->{view} is as long as it should be)");
		next if $which ne 'middle' || $wrong;

		# A driver's prepared statement comes to a plan for any key.
		my ($type, @key) = ($list->{key}[0] =~ /_at$/ ? 'timestamptz, uuid' : $list->{key}[0] eq 'slug' ? 'text' : 'uuid', @{ $after{middle} });
		(my $statement = page_query($list, $page, '*', @key)) =~ s/'[^']*'(, '[^']*')?/defined $1 ? '$1, $2' : '$1'/e;
		ask($admin{big}, "SET plan_cache_mode = force_generic_plan; PREPARE next_page ($type) AS $statement");
		my $generic = run_explained($admin{big}, 'EXECUTE next_page (' . join(', ', map { "'$_'" } @key) . ')');
		is(complaints($generic, $list, 1), '', "P10: so does a prepared statement for any page of $list->{view}");
		note($generic->{text});
		ask($admin{big}, 'DEALLOCATE next_page; RESET plan_cache_mode');
	}
}

# The same as plain queries, for comparison.
{
	my $operator = connection($node, 'app');
	my $big = "(SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'big')";
	my %plain = (
		members => "SELECT * FROM usermgmt.membership JOIN usermgmt.account USING (user_id) WHERE tenant_id = $big ORDER BY joined_at, user_id LIMIT $page",
		invitations => "SELECT * FROM usermgmt.invitation WHERE tenant_id = $big ORDER BY created_at, invitation_id LIMIT $page",
		audit_trail => "SELECT * FROM usermgmt.audit_event WHERE tenant_id = $big ORDER BY event_id DESC LIMIT $page");

	foreach my $view (sort keys %plain)
	{
		my $plan = run_explained($operator, $plain{$view});
		diag(sprintf 'P10: first page of %s from the base tables: %s ms, %d buffers', $view, $plan->{ms}, $plan->{buffers});
	}
	$operator->quit;
}

# Page after page is the whole list, once.
foreach my $list (@lists)
{
	my $key = join ', ', @{ $list->{key} };
	my $whole = value("SELECT " . join(" || ' ' || ", @{ $list->{key} }) . " FROM usermgmt.$list->{table}"
		  . " WHERE tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'small') " . ($list->{where} // '') . ' ORDER BY ' . order_of($list));
	my ($pages, @after, @seen) = (0);

	while (1)
	{
		my @rows = split /\n/, ask($admin{small}, page_query($list, 7, $key, @after));
		last if !@rows || $pages++ > 1000;
		push @seen, map { join ' ', split /\|/ } @rows;
		@after = split /\|/, $rows[-1];
	}
	is(join("\n", @seen), $whole, "P10: the pages of $list->{view} are complete, in order and without doubles");
	cmp_ok($pages, '>', 1, "P10: (there are $pages of them)");
}

# Statistics.
sub statistics_of
{
	my ($slug) = @_;
	my $t = "(SELECT tenant_id FROM usermgmt.tenant WHERE slug = '$slug')";

	return value(<<"END");
SELECT count(*), count(*) FILTER (WHERE role = 'owner'), count(*) FILTER (WHERE role = 'admin'), count(*) FILTER (WHERE role = 'member'),
	count(*) FILTER (WHERE role IN ('owner', 'admin')), count(*) FILTER (WHERE status = 'active' AND now() - last_login_at < INTERVAL '720 hours'),
	count(*) FILTER (WHERE status = 'active' AND now() - last_login_at >= INTERVAL '720 hours'), count(*) FILTER (WHERE status = 'active' AND last_login_at IS NULL),
	count(*) FILTER (WHERE status = 'deactivated'),
	(SELECT count(*) FROM usermgmt.invitation WHERE tenant_id = $t AND state = 'pending'),
	(SELECT count(*) FROM (SELECT DISTINCT user_id FROM usermgmt.session WHERE tenant_id = $t AND now() - last_used_at < INTERVAL '24 hours'
		INTERSECT SELECT user_id FROM usermgmt.membership WHERE tenant_id = $t AND status = 'active') AS l),
	count(*) FILTER (WHERE status = 'active') + (SELECT count(*) FROM usermgmt.invitation WHERE tenant_id = $t AND state = 'pending' AND expires_at > now()), NULL
FROM usermgmt.membership WHERE tenant_id = $t
END
}

my %rows = map { $_ => value("SELECT count(*) FROM usermgmt.$_") } 'membership', 'invitation', 'session';
foreach my $slug ('big', 'small')
{
	is(ask($admin{$slug}, 'SELECT * FROM usermgmt.member_statistics'), statistics_of($slug), "S3.10: the numbers of the $slug tenant are right");
	my $plan = run_explained($admin{$slug}, 'SELECT * FROM usermgmt.member_statistics');
	my %own = map {
		$_ => value("SELECT count(*) FROM usermgmt.$_ WHERE tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = '$slug')"
			  . ($_ eq 'invitation' ? q( AND state = 'pending') : ''))
	} keys %rows;
	note($plan->{text});
	diag(sprintf 'P10: member_statistics of the %s tenant: %s ms, %d buffers; read %s', $slug, $plan->{ms}, $plan->{buffers},
		join ', ', map { rows_read($plan, $_) . " rows of $_" } sort keys %rows);
	cmp_ok(rows_read($plan, 'invitation'), '<', $own{invitation} / 2, "P9: of the open invitations the statistics of the $slug tenant read those that expire today");
	cmp_ok(rows_read($plan, 'session'), '<=', $own{session}, "P9: and no other tenant's sessions");

	# The table has so few rows here that reading all of them is as good.
	ask($admin{$slug}, 'SET enable_seqscan = off');
	like(run_explained($admin{$slug}, 'SELECT * FROM usermgmt.member_statistics')->{text}, qr/Index Cond: .*logged_in_on > /,
		'P9: of the days of log-in those since inactive_after are read');
	ask($admin{$slug}, 'RESET enable_seqscan');

	# A tenant that has nearly all of the table is counted by reading all of it.
	# BUG: so is the small one, whose size the planner does not know.
	cmp_ok(rows_read($plan, 'membership'), '<=', 2 * ($slug eq 'big' ? $rows{membership} : $own{membership}),
		'P9: and its members, no more than once for each of two counts');
}

# Licenses: as many sessions within the window as this, around an eighth of the deactivated, where
# the planner expects many more.
sub used_sessions
{
	my ($number) = @_;

	value(<<"END");
SET session_replication_role = replica;
UPDATE usermgmt.session SET last_used_at = now() - INTERVAL '2 days' WHERE last_used_at > now() - INTERVAL '1 day';
UPDATE usermgmt.session SET last_used_at = now() WHERE session_id IN (SELECT session_id FROM usermgmt.session
	WHERE tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'big') ORDER BY session_id LIMIT $number);
UPDATE pg_catalog.pg_class SET reltuples = 3000000 WHERE oid = 'usermgmt.session'::regclass;
END
	return;
}
my $deactivated = ask($admin{big}, 'SELECT deactivated FROM usermgmt.member_statistics');
foreach my $number (0, 1, 40, map { int($deactivated / 8) + $_ } -1 .. 2)
{
	used_sessions($number);
	my $wanted = (split /\|/, statistics_of('big'))[10];
	is(ask($admin{big}, 'SELECT licensed_now FROM usermgmt.member_statistics'), $wanted, "S3.38: of $number sessions used, $wanted licenses");
	is(value("SELECT licensed FROM usermgmt.report_license_use WHERE tenant = 'big'"), $wanted, 'S3.38: the report says the same');
	next if $number > 40;
	my $plan = run_explained($admin{big}, 'SELECT licensed_now FROM usermgmt.member_statistics');
	my $read = 0;
	$read += $_->{rows} foreach grep { $_->{name} =~ / using membership_deactivated / } @{ $plan->{nodes} };
	cmp_ok($read, '<=', $number, "P9: $number sessions used within the window: of $deactivated deactivated members no more are read");
	cmp_ok(rows_read($plan, 'session'), '<=', 2 * $number, 'P9: and no other sessions');
}

# A workspace with few people among such with many, of whom the planner expects as many as usual.
value(<<'END');
SELECT usermgmt.use_tenant('big'), usermgmt.create_workspace('nobody', 'Nobody'), usermgmt.create_workspace('two', 'Two');
SELECT usermgmt.set_workspace_member(w.workspace_id, m.user_id, 'viewer') FROM usermgmt.workspaces AS w,
	(SELECT user_id FROM usermgmt.membership WHERE tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = 'big') AND status = 'active' AND role = 'member' LIMIT 2) AS m WHERE w.slug = 'two';
UPDATE pg_catalog.pg_class SET reltuples = 2500000 WHERE oid = 'usermgmt.workspace_member'::regclass;
END
foreach my $slug ('nobody', 'two')
{
	my ($members, $read) = split /\n/, value(<<"END");
BEGIN; SELECT usermgmt.use_tenant('big') IS NULL AS x, workspace_id AS w FROM usermgmt.workspace WHERE slug = '$slug' \\gset
SELECT (usermgmt.workspace_facts(:'w')).members;
SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_all_tables WHERE relid = 'usermgmt.membership'::regclass; ROLLBACK
END
	is($members, $slug eq 'two' ? 2 : 0, "P9: workspace $slug has its people");
	cmp_ok($read, '<', 10, 'P9: whose health reads no other members');
}

# Maintenance, which the relay calls every minute.
my ($read) = value(<<'END') =~ /(\d+)$/;
BEGIN; SET LOCAL usermgmt.reminder_after = '365 days'; SELECT usermgmt.run_maintenance();
SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_all_tables WHERE relid = 'usermgmt.invitation'::regclass; ROLLBACK
END
cmp_ok($read, '<', 50, 'P9: of a thousand open invitations maintenance reads those that are due a reminder, none');

$_->quit foreach values %admin;
$node->stop;
diag(sprintf 'P9: all of this took %.1f s', time - $began);
done_testing();
