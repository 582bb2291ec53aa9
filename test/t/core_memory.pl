# A backend that gets no memory: a clean error, nothing half done, and the next
# call works.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('memory');
$node->safe_psql('app', q(SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example')));
join_tenant($node, 'app', 'acme', 'ann@acme.example');
my $poor  = connection($node, 'app');
my $other = connection($node, 'app');
my $pid   = ask($poor, 'SELECT pg_backend_pid()');
my $log_in = "SELECT outcome FROM usermgmt.log_in('ann\@acme.example', '$password')";

# The address space that the backend may have beyond what it has, in MB.
sub leave
{
	my ($megabytes) = @_;
	my ($pages) = slurp_file("/proc/$pid/statm") =~ /^(\d+)/;
	my $limit = defined $megabytes ? $pages * 4096 + $megabytes * 1024 * 1024 : 'unlimited';

	system_or_bail('prlimit', '--pid', $pid, "--as=$limit:unlimited");
}

ask($poor, q(SELECT usermgmt.use_tenant('acme')));
is(ask($poor, $log_in), 'ok', 'a log-in, before');
ask($poor, 'SET usermgmt.hash_memory = 524288');
leave(100);
my $before = ask($other, 'SELECT count(*) FROM usermgmt.session') . ' ' . ask($other, 'SELECT count(*) FROM usermgmt.login_throttle');
is(sqlstate($poor, $log_in), '53200', 'F23: without memory for a hash nobody signs in');
like($poor->{stderr}, qr/no memory|out of memory|memory/, 'F23: and the error says why');
unlike($poor->{stderr}, qr/\Q$password\E/, 'F23: without the password');
is(sqlstate($poor, "SELECT usermgmt.sign_up('b', 'B', 'b\@b.example', 'seven quiet lanterns')"), '42501', 'F23: other calls answer as ever');
is(ask($other, 'SELECT count(*) FROM usermgmt.session') . ' ' . ask($other, 'SELECT count(*) FROM usermgmt.login_throttle'), $before, 'F23: nothing is half done');
is(ask($other, $log_in), 'ok', 'F23: the hash slot is free for others');

# Too little for what a function allocates itself.
my $people = ask($other, 'SELECT count(*) FROM usermgmt.invitation');
leave(2);
my $state = sqlstate($poor, q(SELECT count(*) FROM usermgmt.invite_users((SELECT array_agg(repeat('x', 50) || n || '@acme.example') FROM generate_series(1, 10000) AS n))));
is($state, '53200', 'F23: a call that gets no memory fails as one');
is(ask($other, 'SELECT count(*) FROM usermgmt.invitation'), $people, 'F23: and invites nobody');
leave(undef);
ask($poor, 'RESET usermgmt.hash_memory');
is(ask($poor, $log_in), 'ok', 'F23: with memory the same connection goes on');
is(ask($poor, q(SELECT count(*) FROM usermgmt.invite_users(ARRAY['x@acme.example', 'y@acme.example']) WHERE outcome = 'invited')), 2, 'F23: and invites');
is(ask($other, q(SELECT count(*) FROM usermgmt.check() WHERE severity = 'error')), 0, 'R18, F23: nothing is out of order');

$_->quit foreach $poor, $other;
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC|terminated by signal/, 'F23: nothing crashed');
$node->stop;
done_testing();
