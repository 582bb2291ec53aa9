# Hashing can not exhaust the server: no more of it at once than there are slots,
# however many sign in; who waits for a slot can be cancelled at any moment.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $clients = 200;
my $slots   = 2;
my $memory  = 19456;    # kB of one hash
my $node    = start_node('slots', conf => "max_connections = 220\nusermgmt.hash_slots = $slots\nusermgmt.hash_memory = $memory\nautovacuum = off\n");
my $directory = $PostgreSQL::Test::Utils::tmp_check;
$node->safe_psql('app', <<'SQL');
SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example');
CREATE TABLE outcome (text text);
CREATE VIEW held AS SELECT pid, mode FROM pg_locks WHERE locktype = 'userlock' AND database = 0 AND granted;
SQL
join_tenant($node, 'app', 'acme', 'ann@acme.example');
my $watcher = connection($node, 'app');
my $sign_in = "SELECT outcome FROM usermgmt.log_in('ann\@acme.example', '$password')";

sub watched { return ask($watcher, "SELECT $_[0]") }

# A figure of /proc/PID/status in kB.
sub status
{
	my ($pid, $what) = @_;

	return slurp_file("/proc/$pid/status") =~ /^$what:\s+(\d+)/m ? $1 : die "no $what";
}

# Waits until that many guests wait for this lock.
sub gathered
{
	my ($lock) = @_;

	return $node->poll_query_until('app', "SELECT count(*) = $clients FROM pg_locks WHERE locktype = 'advisory' AND objid = $lock AND NOT granted");
}

# 200 sign in at the same moment. What is added to the memory of a process is gone
# when it waits again, and its peak stays known; only a holder of a slot has any.
{
	my $script = "$directory/slots.sql";
	append_to_file($script, <<'END');
SELECT usermgmt.current_user_id();
SELECT pg_advisory_lock_shared(1);
SELECT pg_advisory_unlock_shared(1);
INSERT INTO outcome SELECT outcome FROM usermgmt.log_in('nobody' || :client_id || '@acme.example', 'x');
SELECT pg_advisory_lock_shared(2);
END
	my ($out, $err) = ('', '');

	watched('pg_advisory_lock(1), pg_advisory_lock(2)');
	local $ENV{PGOPTIONS} = '-c usermgmt.hash_wait=60s';
	my $guests = IPC::Run::start([ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', 1, '-f', $script, '-h', $node->host, '-p', $node->port, 'app' ], '>', \$out, '2>', \$err);
	gathered(1) or die "they do not come: $err";
	my @pids = split /\n/, ask($watcher, "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted");
	is(scalar @pids, $clients, "$clients clients are there");
	my %peak_before = map { $_ => status($_, 'VmHWM') } @pids;
	my ($most, $looks, $hashing) = (0, 0, 0);

	watched('pg_advisory_unlock(1)');
	until ($looks % 20 == 0 && watched("count(*) = $clients FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND NOT granted") eq 't')
	{
		my $held = watched('count(*) FROM held');

		$most = $held if $held > $most;
		$hashing++ if $held > 0;
		select undef, undef, undef, 0.003;
		last if ++$looks > 20000;
	}
	my @added = sort { $a <=> $b } map { status($_, 'VmHWM') - status($_, 'VmRSS') } @pids;
	my $added = $most * $added[-1];
	cmp_ok($hashing, '>=', 20, 'hashing is seen while it happens');
	is(scalar(grep { status($_, 'VmHWM') > $peak_before{$_} } @pids), $clients, 'everybody hashes');
	is($most, $slots, "R13: never more than $slots of $clients at once");
	cmp_ok($added, '<=', 1.1 * $slots * $memory, 'R13: the memory that is added is that of the slots, within 10 %, and is given back');
	cmp_ok($added[0], '>=', 0.5 * $memory, 'and is seen');
	is(watched(q{count(*) FROM outcome WHERE text = 'invalid_credentials'}), $clients, 'R13: everybody gets an answer');
	diag(sprintf 'R13: %d clients, %d slots of %d kB: at most %d hashes at once in %d looks, at most %d kB added by each, %.0f %% of the slots together', $clients, $slots, $memory, $most, $looks, $added[-1], 100 * $added / ($slots * $memory));
	watched('pg_advisory_unlock(2)');
	$guests->finish;
}

# Sends the log-in without waiting for its end.
sub begin
{
	my ($client, $address) = @_;

	$client->{stderr} = '';
	$client->{stdin} .= "SELECT outcome FROM usermgmt.log_in('$address', 'x');\n\\echo over\n\\warn over\n";
	$client->{run}->pump_nb;
	return;
}

# The SQLSTATE of what a connection is waiting for, when it is over.
sub outcome_of
{
	my ($client) = @_;

	$client->{run}->pump until $client->{stderr} =~ /over\n/ || $client->{timeout}->is_expired || !$client->{run}->pumpable;
	my $state = $client->{stderr} =~ /(?:ERROR|FATAL):\s+(\w{5}):/ ? $1 : 'none';
	$client->{stdout} = '';
	return $state;
}

# Both slots are taken for as long as we like: by processes that are stopped in
# the middle of a hash.
my @stopped;
foreach my $address ('first@acme.example', 'second@acme.example')
{
	my $client = connection($node, 'app');
	my $pid = ask($client, 'SET usermgmt.hash_passes = 100; SELECT pg_backend_pid()');

	begin($client, $address);
	$node->poll_query_until('app', "SELECT count(*) = 1 FROM held WHERE pid = $pid") or die 'it does not hash';
	kill 'STOP', $pid;
	push @stopped, [ $client, $pid, $address ];
}
END
{
	my $status = $?;
	kill 'CONT', $$_[1] foreach @stopped;
	$? = $status;
}
is(watched('count(*) FROM held'), $slots, 'both slots are taken, and stay so');

# In the queue.
my $queued = connection($node, 'app');
my $queued_pid = ask($queued, "SET usermgmt.hash_wait = '60s'; SELECT pg_backend_pid()");
foreach my $end ([ 'pg_cancel_backend()', "pg_cancel_backend($queued_pid)", '57014' ], [ 'a statement timeout', '', '57014' ], [ 'pg_terminate_backend()', "pg_terminate_backend($queued_pid)", '57P01' ])
{
	my ($name, $call, $state) = @$end;

	ask($queued, "SET statement_timeout = @{[ $call ? 0 : 200 ]}");
	begin($queued, 'ann@acme.example');
	$node->poll_query_until('app', "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $queued_pid AND wait_event = 'Extension'") or die 'it does not wait' if $call;
	watched($call) if $call;
	is(outcome_of($queued), $state, "R13, F24: $name reaches who waits for a slot");
	is(watched('count(*) FROM held'), $slots, 'while no hash ends');
}
is(watched(q{count(*) FROM usermgmt.login_throttle WHERE address = 'ann@acme.example'}), '0', 'F24: and no failure is counted');

# Of those who wait one is next, and looks often; when it gives up another is.
{
	my %waiting = map { my $client = connection($node, 'app'); (ask($client, "SET usermgmt.hash_wait = '60s'; SELECT pg_backend_pid()") => $client) } 1 .. 3;
	my $next = q{FROM pg_locks WHERE locktype = 'userlock' AND objsubid = 30069 AND granted};

	begin($waiting{$_}, "$_\@acme.example") foreach keys %waiting;
	$node->poll_query_until('app', 'SELECT waiting_to_hash = 3 FROM usermgmt.server_statistics') or die 'they do not wait';
	while (%waiting)
	{
		ok($node->poll_query_until('app', "SELECT count(*) = 1 $next"), 'one of ' . keys(%waiting) . ' who wait is the next');
		my $pid = watched("pid $next");
		watched("pg_cancel_backend($pid)");
		is(outcome_of(delete $waiting{$pid}), '57014', 'and can be cancelled');
	}
	is(watched("count(*) $next"), '0', 'nobody waits, nobody is next');
}
{
	my $client = connection($node, 'app');
	my $reset;

	is(ask($client, "SET usermgmt.hash_wait = '100ms'; $sign_in"), 'busy', 'R13: after hash_wait the answer is busy');
	is(ask($client, "SET usermgmt.hash_wait = 0; $sign_in"), 'busy', 'R13: at once, when nobody is to wait');
	is(watched(q{count(*) FROM usermgmt.login_throttle WHERE address = 'ann@acme.example'}), '0', 'R13: which counts no failure');
	ask($client, "SELECT usermgmt.request_password_reset('ann\@acme.example')");
	$reset = token_in(ask($client, "SELECT text_body FROM usermgmt.outbox_claim('slots', 1000) WHERE kind = 'password_reset'"));
	is(sqlstate($client, "SELECT usermgmt.reset_password('$reset', 'seven quiet lanterns')"), 'UM022', 'R13: a function that has no outcome raises UM022');
	is(ask($client, "SELECT status FROM usermgmt.preview_password_reset('$reset')"), 'pending', 'R13: and the link stays');
	ask($client, "SELECT usermgmt.use_tenant('acme')");
	is(ask($client, 'SELECT count(*) > 0 FROM usermgmt.members'), 't', 'R13: who hashes nothing is not held up');
	$client->quit;
}

# In the middle of a hash: it takes effect at its end.
foreach my $end ([ 'pg_cancel_backend()', '57014' ], [ 'pg_terminate_backend()', '57P01' ])
{
	my ($client, $pid, $address) = @{ shift @stopped };
	my ($name, $state) = @$end;
	my $function = $name =~ s/\(\)//r;

	watched("$function($pid)");
	is(watched("count(*) FROM held WHERE pid = $pid"), '1', "F24: $name waits for the end of the hash");
	kill 'CONT', $pid;
	is(outcome_of($client), $state, "F24: $name takes effect at its end");
	ok($node->poll_query_until('app', "SELECT count(*) = 0 FROM held WHERE pid = $pid"), 'F24: the slot is free again');
	is(watched("count(*) FROM usermgmt.login_throttle WHERE address = '$address'"), '0', 'F24: and nothing half done is left');
}
is(watched(qq{outcome FROM usermgmt.log_in('ann\@acme.example', '$password')}), 'ok', 'F24: the next one signs in');

$watcher->quit;
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|terminated by signal/, 'no backend died');
done_testing();
