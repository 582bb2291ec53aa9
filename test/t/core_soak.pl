# Everything at once, in random order, by many: what each part promises also holds
# in the company of the others.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Soak;
use Test::More;
use Time::HiRes qw(time);
use UsermgmtTest;

my $long    = $ENV{USERMGMT_SOAK};
my $clients = $long ? 12 : 8;
my $seconds = $ENV{SOAK_SECONDS} // ($long ? 60 : 3);    # of each part
my $seed    = $ENV{SOAK_SEED} // ($long ? int rand 1_000_000 : 8);
srand $seed;

my $node = soak_node('soak');
my $trail = $node->safe_psql('app', q(SELECT 'usermgmt.audit_event'::regclass::oid));
my ($circles, $erasures, %outcome) = (0, 0);
foreach my $kind ('alone', 'mixed')
{
	my $until = time + $seconds;
	my ($cut, $out) = soak_finish(
		soak_start(
			$node, $kind,
			(map { soak_script($kind, 400 * $seconds, $until) } 1 .. $clients),
			map { soak_relay("relay $_", 25 * $seconds, $until) } 1 .. 2));

	my $these = $outcome{$kind} = soak_outcomes($out);
	if ($kind eq 'alone')
	{
		# An erasure locks the trail while it holds rows: that is documented.
		$erasures = () = slurp_file($node->logfile) =~ /waits for ShareRowExclusiveLock on relation $trail /g;
		$circles  = sum('alone', '40P01') - $erasures;
	}
	is($cut, 0, "R8: no connection was cut off ($kind)");
	is_deeply([ soak_unexpected($these) ], [], "R8: whatever failed says why with a documented SQLSTATE ($kind)");
	foreach my $name (sort keys %$these)
	{
		note(sprintf '%s %-28s %s', $kind, $name, join ', ', map { "$_ $these->{$name}{$_}" } sort keys %{ $these->{$name} });
	}
	is($node->safe_psql('app', 'SELECT FROM usermgmt.audit_seal(); SELECT soak.findings()'), '', "R16, R18: everything agrees afterwards ($kind)");
}

sub sum
{
	my ($kind, $state) = @_;
	my $sum = 0;

	$sum += $outcome{$kind}{$_}{$state} // 0 foreach keys %{ $outcome{$kind} };
	return $sum;
}

is($circles, 0, 'D26: functions never wait for each other in a circle');
is_deeply([ soak_log_faults($node) ], [], 'the server had no fault');
diag(sprintf 'D26: %d circles of functions (and %d of erasures, as documented) in %d; with plain SQL and several in a transaction %d in %d; seed %s',
	$circles, $erasures, sum('alone', '00000'), sum('mixed', '40P01'), sum('mixed', '00000'), $seed);

# Copies of that database: nothing fires, nothing is wrong, and no mail goes out.
my @kept = split /\n/, $node->safe_psql('app', <<'SQL');
SELECT oid::regclass FROM pg_class
WHERE relkind = 'r' AND relnamespace IN ('usermgmt'::regnamespace, 'soak'::regnamespace) AND relname NOT IN ('inventory', 'signing_key') ORDER BY 1
SQL

sub digest
{
	my ($database) = @_;

	return join "\n", map { "$_ " . $node->safe_psql($database, "SELECT count(*), md5(string_agg(t::text, ' ' ORDER BY t::text COLLATE \"C\")) FROM $_ AS t") } @kept;
}

$node->safe_psql('app', <<'SQL');
CREATE ROLE soak_web;
SELECT usermgmt.grant_access('soak_web', 'application');
SELECT usermgmt.expose('facade', 'soak_web');
SELECT usermgmt.use_tenant('home4') FROM usermgmt.create_tenant('home4', 'Home', 'p400@soak.example');
SELECT FROM usermgmt.set_email_template('welcome', subject => 'Kept');
SELECT FROM usermgmt.audit_seal();
SQL
my $digest  = digest('app');
my $custom  = "$PostgreSQL::Test::Utils::tmp_check/soak.custom";
my $plain   = "$PostgreSQL::Test::Utils::tmp_check/soak.sql";
my %restore = (
	parallel => sub { [ 'pg_restore', '-e', '-j4', '-d', $_[0], $custom ] },
	plain    => sub { [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $_[0], '-f', $plain ] },
	template => undef);
run_log([ 'pg_dump', '-Fc', '-f', $custom, '-d', $node->connstr('app') ]) or die;
run_log([ 'pg_dump', '-Fp', '-f', $plain, '-d', $node->connstr('app') ])  or die;

foreach my $how (sort keys %restore)
{
	my $copy = "copy_$how";
	$node->safe_psql('postgres', "CREATE DATABASE $copy TEMPLATE " . ($restore{$how} ? 'template0' : 'app'));
	ok(run_log($restore{$how}->($node->connstr($copy))), "B13: the restore ends without an error ($how)") if $restore{$how};
	is(digest($copy), $digest, "B13: every row is what it was ($how)");
	$node->safe_psql($copy, 'SELECT usermgmt.activate()');
	is($node->safe_psql($copy, "SELECT soak.findings(); SELECT count(*) FROM usermgmt.outbox_claim('copy')"), '0', "B12, B13, R18: nothing is wrong once it is activated, and no mail goes out ($how)");
	is($node->safe_psql($copy, 'SELECT count(*) FROM usermgmt.attached_tables WHERE problem IS NULL'),
		$node->safe_psql('app', 'SELECT count(*) FROM usermgmt.attached_tables WHERE problem IS NULL'), "B7: tables are attached ($how)");
	is($node->safe_psql($copy, "SELECT FROM usermgmt.run_maintenance(); SELECT FROM usermgmt.audit_seal(); SELECT soak.findings()"), '', "B13: and it can be used ($how)");
}

$node->stop;
done_testing();
