# The server is stopped at once while everything is done by many: after each
# restart nothing contradicts anything, and nothing needs repair.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Soak;
use Test::More;
use Time::HiRes qw(time usleep);

my $crashes = $ENV{USERMGMT_SOAK} ? 100 : 12;
my $clients = 5;
my $seed    = $ENV{SOAK_SEED} // ($ENV{USERMGMT_SOAK} ? int rand 1_000_000 : 8);
srand $seed;

my $node = soak_node('soak_crash');
my ($violations, $done) = (0, 0);
foreach my $round (1 .. $crashes)
{
	my $until   = time + 60;
	my @running = soak_start(
		$node, "crash$round",
		(map { soak_script(rand() < 0.5 ? 'alone' : 'mixed', 40, $until) } 1 .. $clients),
		map { soak_relay("relay $_", 100, $until) } 1 .. 2);

	usleep(50_000 + int rand 300_000);
	$node->stop('immediate');
	my ($cut, $out) = soak_finish(@running);
	$done += () = $out =~ /^did .+: 00000$/mg;
	$node->start;
	my $found = $node->safe_psql('app', 'SELECT soak.findings()');
	is($found, '', "R18: nothing is wrong after crash $round") or $violations++;
	$node->safe_psql('app', 'SELECT usermgmt.run_maintenance()');
}
is($node->safe_psql('app', 'SELECT FROM usermgmt.audit_seal(); SELECT soak.findings()'), '', 'R16, R18: nor after all of them, with everything sealed');
is_deeply([ grep { !/terminated by signal SIGQUIT/ } soak_log_faults($node) ], [], 'R18: and no fault of the server came of it');
diag("R18: $violations violations of $crashes crashes, $done operations; seed $seed");

$node->stop;
done_testing();
