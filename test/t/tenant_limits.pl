# Seats are never oversold: connections that invite, accept, reactivate and
# remove at once, at every isolation level, and in a long random mix.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use UsermgmtTest;

my $clients = 10;
my $people  = 24;
my $each    = 250;     # operations of each client in the random mix
my $limit   = 8;
my $seed    = $ENV{LIMITS_SEED} // 3;
my @levels  = ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');

my $node = start_node('limits', conf => "max_connections = 60\ndeadlock_timeout = 100ms\n");
my $directory = $PostgreSQL::Test::Utils::tmp_check;

$node->safe_psql('app', q(SELECT usermgmt.create_tenant('elsewhere', 'Elsewhere', 'founder@elsewhere.example')));
my %token;
foreach my $n (1 .. $people)
{
	(undef, $token{$n}) = join_tenant($node, 'app', 'elsewhere', "person$n\@acme.example");
}
$node->safe_psql('app', <<'SQL');
-- What the counters say, and what they must say.
CREATE VIEW seats AS
	SELECT t.slug, s.members, s.invitations,
		(SELECT count(*) FROM usermgmt.membership AS m WHERE m.tenant_id = t.tenant_id AND m.status = 'active') AS active,
		(SELECT count(*) FROM usermgmt.invitation AS i WHERE i.tenant_id = t.tenant_id AND i.holds_seat) AS held,
		(SELECT count(*) FROM usermgmt.invitation AS i WHERE i.tenant_id = t.tenant_id AND i.state = 'pending'
			AND i.expires_at > clock_timestamp()) AS open
	FROM usermgmt.tenant AS t LEFT JOIN usermgmt.seat_count AS s USING (tenant_id);
SQL

# together SCRIPTS: run them in a psql each, at the same moment; how often each
# line of output, or SQLSTATE, came back.
sub together
{
	my @scripts = @_;
	my (@out, @err, @running);
	my $gate = connection($node, 'app');

	ask($gate, 'SELECT pg_advisory_lock(1)');
	foreach my $i (0 .. $#scripts)
	{
		open my $file, '>', "$directory/together$i.sql" or die $!;
		print $file $scripts[$i];
		close $file;
		push @running,
		  IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=sqlstate', '-d', $node->connstr('app'), '-f', "$directory/together$i.sql" ],
			'>', \$out[$i], '2>', \$err[$i]);
	}
	$node->poll_query_until('app',
		'SELECT count(*) = ' . @scripts . " FROM pg_locks WHERE locktype = 'advisory' AND NOT granted");
	ask($gate, 'SELECT pg_advisory_unlock(1)');
	$_->finish foreach @running;
	$gate->quit;
	my %count;
	foreach (map { split /\n/ } @out, @err)
	{
		$count{ /ERROR:\s+(\w{5})/ ? $1 : $_ }++ if /ERROR:|^(?:invited|ok|active)$/;
	}
	return \%count;
}

# A transaction that has its snapshot before all of them begin.
sub gated
{
	my ($tenant, $level, $sql) = @_;

	return "SELECT FROM usermgmt.use_tenant('$tenant');\nBEGIN ISOLATION LEVEL $level;\n"
	  . "SELECT FROM pg_class LIMIT 1;\nSELECT FROM pg_advisory_lock_shared(1);\n$sql;\nCOMMIT;\n";
}

# Limit 5, 4 used: by a limit of the tenant, counted since it was set, or by one of
# the server, which is counted by whoever comes first.
foreach my $level (@levels)
{
	foreach my $of ('the tenant', 'the server')
	{
		my $tenant = lc("$level $of" =~ s/ /-/gr);
		$node->safe_psql('app', "SELECT usermgmt.create_tenant('$tenant', 'Full', 'founder\@$tenant.example')");
		$node->safe_psql('app', "SELECT usermgmt.use_tenant('$tenant');"
			  . join('', map { "SELECT usermgmt.invite_user('early$_\@$tenant.example');" } 1 .. 3)
			  . ($of eq 'the tenant' ? "SELECT usermgmt.set_tenant_setting('seat_limit', '5');" : ''));
		my $count = together(
			map {
				($of eq 'the server' ? "SET usermgmt.seat_limit = 5;\n" : '')
				  . gated($tenant, $level, "SELECT 'invited' FROM usermgmt.invite_user('new$_\@acme.example')")
			} 1 .. $clients);
		is($count->{invited}, 1, "D17, complaint 15: limit 5 of $of, 4 used, $clients invite at once: one succeeds, $level");
		is_deeply([ grep { !/^(?:invited|UM035|40001)$/ && !($_ eq '40P01' && $of eq 'the server') } keys %$count ], [], 'D17: the others are told why');
		is($node->safe_psql('app', "SELECT active || '+' || held, active = members AND held = invitations FROM seats WHERE slug = '$tenant'"),
			'1+4|t', 'D17, B10: the counters are right');
	}
}

# Reserved seats are all accepted, at once, and a deactivated member needs one.
foreach my $level (@levels)
{
	my $tenant = 'accept-' . lc($level =~ s/ /-/gr);
	$node->safe_psql('app', "SELECT usermgmt.create_tenant('$tenant', 'Full', 'founder\@$tenant.example');"
		  . "SELECT usermgmt.use_tenant('$tenant'); SELECT usermgmt.set_tenant_setting('seat_limit', '" . ($clients + 1) . "')");
	my @calls;
	foreach my $n (1 .. $clients)
	{
		my $link = link_of($node, 'app', $tenant, invite($node, 'app', $tenant, "person$n\@acme.example"));
		push @calls, "SELECT FROM usermgmt.use_session('$token{$n}');\nSELECT outcome FROM usermgmt.accept_invitation('$link')";
	}
	my ($accepted, $rounds) = (0, 0);

	# At the upper levels whoever was too late tries again.
	while (@calls && $rounds++ < $clients)
	{
		my $count = together(map { gated('elsewhere', $level, $_) } @calls);
		$accepted += $count->{ok} // 0;
		is_deeply([ grep { !/^(?:ok|40001|UM012)$/ } keys %$count ], [], "D17: an acceptance of a reserved seat is not refused, $level")
		  if $rounds == 1;
		last if $level eq 'READ COMMITTED' || $accepted == $clients;
	}
	is($accepted, $clients, "D17, complaint 15: $clients accept $clients reserved seats at once, $level");
	is($node->safe_psql('app', "SELECT active || '+' || held, active = members AND held = invitations FROM seats WHERE slug = '$tenant'"),
		($clients + 1) . '+0|t', 'D17, complaint 15: each took one seat');
	$node->safe_psql('app', "SELECT usermgmt.use_tenant('$tenant');"
		  . "SELECT usermgmt.deactivate_user(user_id) FROM usermgmt.members WHERE role = 'member';"
		  . "SELECT usermgmt.set_tenant_setting('seat_limit', '4')");
	my @ids = split /\n/, $node->safe_psql('app', "SELECT user_id FROM usermgmt.membership JOIN usermgmt.tenant USING (tenant_id) WHERE slug = '$tenant' AND role = 'member'");
	my $count = together(map { gated($tenant, $level, "SELECT status FROM usermgmt.reactivate_user('$_')") } @ids);
	cmp_ok($count->{active} // 0, '<=', 3, "D17: reactivations at once take no more than what is free, $level");
	cmp_ok($count->{active} // 0, '>=', 1, 'D17: and some of it');
	is($node->safe_psql('app', "SELECT active <= 4 AND active = members AND held = invitations FROM seats WHERE slug = '$tenant'"), 't', 'D17: the counters are right');
}

# The random mix: single functions, as each is a complete transaction.
$node->safe_psql('app', "SELECT usermgmt.create_tenant('mix', 'Mix', 'founder\@mix.example'); SELECT usermgmt.use_tenant('mix');"
	  . "SELECT usermgmt.set_tenant_setting('seat_limit', '$limit'); SELECT usermgmt.set_tenant_setting('resend_cooldown', '0')");
srand($seed);
my @mix;
foreach my $client (1 .. $clients)
{
	my $script = "SELECT FROM usermgmt.use_tenant('mix');\n";

	foreach (1 .. $each)
	{
		my $n      = 1 + int rand $people;
		my $person = "(SELECT user_id FROM usermgmt.account WHERE email = 'person$n\@acme.example')";
		my $open   = "(SELECT i.invitation_id FROM usermgmt.invitation AS i JOIN usermgmt.tenant AS t USING (tenant_id) WHERE t.slug = 'mix' AND i.email = 'person$n\@acme.example' AND i.state = 'pending')";
		my $dice   = rand;
		$script .=
		    $dice < 0.30 ? "SELECT 'ok' FROM usermgmt.invite_user('person$n\@acme.example'" . (rand() < 0.3 ? ", expires_in => '5 milliseconds'" : '') . ");\n"
		  : $dice < 0.40 ? "SELECT 'ok' FROM usermgmt.revoke_invitation($open);\n"
		  : $dice < 0.50 ? "SELECT 'ok' FROM usermgmt.resend_invitation($open);\n"
		  : $dice < 0.70 ? "SELECT coalesce(split_part(usermgmt.invitation_link($open), 'token=', 2), '') AS link \\gset\n"
		  . "BEGIN \\; SELECT FROM usermgmt.use_session('$token{$n}') \\; SELECT outcome FROM usermgmt.accept_invitation(:'link') \\; COMMIT;\nROLLBACK;\n\\unset link\n\\set link none\n"
		  : $dice < 0.80 ? "SELECT 'ok' FROM usermgmt.deactivate_user($person);\n"
		  : $dice < 0.90 ? "SELECT 'ok' FROM usermgmt.reactivate_user($person);\n"
		  :                "SELECT 'ok' FROM usermgmt.remove_user($person, confirm => true);\n";
	}
	push @mix, "SET client_min_messages = error;\n\\set link none\nSELECT FROM pg_advisory_lock_shared(1);\nSELECT FROM pg_advisory_unlock_shared(1);\n$script";
}

# An observer looks until all have ended.
my $observer = connection($node, 'app');
ask($observer, <<"SQL");
CREATE TABLE seen (looks integer, oversold integer, most integer);
CREATE PROCEDURE observe() LANGUAGE plpgsql AS \$\$
BEGIN
	INSERT INTO seen VALUES (0, 0, 0);
	COMMIT;
	LOOP
		UPDATE seen SET looks = looks + 1, oversold = oversold + (active + open > $limit)::integer, most = greatest(most, active + open)
			FROM seats WHERE slug = 'mix';
		COMMIT;
		EXIT WHEN pg_try_advisory_lock(2);
		PERFORM pg_sleep(0.001);
	END LOOP;
END \$\$;
SQL
my $stopper = connection($node, 'app');
ask($stopper, 'SELECT pg_advisory_lock(2)');
$observer->query_until(qr/started/, "\\echo started\nCALL observe();\n");
my $began   = time;
my $count   = together(@mix);
my $seconds = time - $began;
ask($stopper, 'SELECT pg_advisory_unlock(2)');
$observer->query('SELECT 1');
my ($looks, $oversold, $most) = split /\|/, $node->safe_psql('app', 'TABLE seen');
note(join ', ', map { "$_ $count->{$_}" } sort keys %$count);
is($oversold, 0, "D17, B10, complaint 15: no look finds more than $limit seats taken");
is($most, $limit, 'D17: and at some look all were');
is($count->{'40P01'} // 0, 0, 'D26: no two functions wait for each other');
is_deeply([ grep { !/^(?:ok|UM0\d\d|22023|40001)$/ } keys %$count ], [], 'D17: what is refused is refused with a documented SQLSTATE');
cmp_ok($count->{UM035} // 0, '>', 50, 'D17: the limit was reached time and again');
is($node->safe_psql('app', "SELECT active = members AND held = invitations FROM seats WHERE slug = 'mix'"), 't', 'D17: in the end the counters are right');
diag(sprintf 'D17: 0 of %d looks oversold in %d operations on %d connections, %d refused for want of a seat; seed %s, %.1f s',
	$looks, $clients * $each, $clients, $count->{UM035}, $seed, $seconds) if !$oversold;

$_->quit foreach $observer, $stopper;
$node->stop;
done_testing();
