# The setting usermgmt.session_token: each transaction is who its own token says,
# also behind PgBouncer in transaction mode, where everybody shares one server
# connection; what stays behind in it makes nobody anybody and shows no token.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('setting', streaming => 1, conf => "max_prepared_transactions = 2\n");
$node->safe_psql('app', <<'SQL');
CREATE ROLE web LOGIN;
GRANT CREATE ON SCHEMA public TO web;
SELECT usermgmt.grant_access('web', 'application');
SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example');
CREATE TABLE note (owner uuid, body text);
CREATE POLICY own ON note USING (owner = usermgmt.current_user_id());
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON note TO web;
SQL
my ($ann, $ann_token) = join_tenant($node, 'app', 'acme', 'ann@acme.example', 'admin');
my ($bob, $bob_token) = join_tenant($node, 'app', 'acme', 'bob@acme.example');
$node->safe_psql('app', "INSERT INTO note VALUES ('$ann', 'of ann'), ('$bob', 'of bob')");
my %name     = ($ann => 'ann', $bob => 'bob', '' => 'nobody');
my $operator = connection($node, 'app');
ask($operator, "SELECT usermgmt.use_tenant('acme')");

# PgBouncer with one server connection for everybody.
my $port   = PostgreSQL::Test::Cluster::get_free_port();
my $socket = $node->host;
my $ini    = PostgreSQL::Test::Utils::tempdir() . '/pgbouncer.ini';
append_to_file($ini, <<"END");
[databases]
app = host=$socket port=@{[ $node->port ]} dbname=app user=web
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $socket
auth_type = any
pool_mode = transaction
default_pool_size = 1
max_client_conn = 50
END
my ($in, $log) = ('', '');
my ($pgbouncer) = grep { -x } qw(/usr/sbin/pgbouncer /usr/bin/pgbouncer /usr/local/bin/pgbouncer);
my $pooler = IPC::Run::start([ $pgbouncer // 'pgbouncer', $ini ], '<', \$in, '>&', \$log);
# Not left behind when the test dies.
END
{
	my $status = $?;
	$pooler->kill_kill if defined $pooler;
	$? = $status;
}
my $pooled = bless { %$node, _port => $port }, ref $node;
for (1 .. 100)
{
	last if -S "$socket/.s.PGSQL.$port";
	select undef, undef, undef, 0.1;
}
my $one = connection($pooled, 'app');
my $two = connection($pooled, 'app');

sub web { return connection($node, 'app', '-U', 'web', @_) }

# Who acts in this connection now.
my $who = 'SELECT usermgmt.current_user_id()';

sub who { return $name{ ask($_[0], $who) } // 'something else' }

# The last line that this transaction brings, as a name.
sub last_name
{
	my ($connection, $sql) = @_;
	my @lines = split /\n/, ask($connection, $sql), -1;

	return $name{ $lines[-1] // '' } // $lines[-1];
}

sub set_to { return "SELECT set_config('usermgmt.session_token', '$_[0]', true) \\g /dev/null\n" }

# A server connection that has not loaded the library yet.
sub fresh
{
	my $pids = "FROM pg_stat_activity WHERE usename = 'web'";

	ask($operator, "SELECT pg_terminate_backend(pid) $pids");
	$node->poll_query_until('app', "SELECT count(*) = 0 $pids") or die 'connections stay';
	return;
}

is(ask($one, 'SELECT pg_backend_pid()'), ask($two, 'SELECT pg_backend_pid()'), 'two clients share a server connection');

# Each is who it says.
foreach my $round (1 .. 3)
{
	is(last_name($one, 'BEGIN;' . set_to($ann_token) . "$who; COMMIT"), 'ann', "R9: the first client acts by its own token, round $round");
	is(last_name($two, 'BEGIN;' . set_to($bob_token) . "$who; COMMIT"), 'bob', "R9: and so does the second, round $round");
}
is(ask($one, 'BEGIN;' . set_to($ann_token) . 'SELECT body FROM note; COMMIT'), 'of ann', 'R9: policies see the one');
is(ask($two, 'BEGIN;' . set_to($bob_token) . 'SELECT body FROM note; COMMIT'), 'of bob', 'R9: and the other');
is(ask($two, 'SELECT count(*) FROM note'), '0', 'R9: and nobody without a token');
is(last_name($one, 'BEGIN;' . set_to($ann_token) . "$who \\g /dev/null\n" . set_to($bob_token) . "$who; COMMIT"),
	'bob', 'R9: a second token in the transaction takes the place of the first');
foreach my $none ('', 'x', 'ums_', substr($ann_token, 0, -1), "${ann_token}A", lc $ann_token, " $ann_token", 'ums_' . 'A' x 86)
{
	is(last_name($one, 'BEGIN;' . set_to($none) . "$who; COMMIT"), 'nobody', "R9: '" . substr($none, 0, 8) . "...' is nobody's token");
}
is(sqlstate($one, 'BEGIN;' . set_to('x') . "SELECT usermgmt.invite_user('x\@acme.example')"), 'UM001', 'B1: functions refuse such a token');
ask($one, 'ROLLBACK');

# The next client never inherits an actor.
my %behind = (
	'COMMIT'   => 'BEGIN;' . set_to($ann_token) . "$who; COMMIT",
	'ROLLBACK' => 'BEGIN;' . set_to($ann_token) . "$who; ROLLBACK",
	'a failed transaction' => 'BEGIN;' . set_to($ann_token) . "$who; SELECT 1/0; COMMIT",
	'a SET outside of a transaction'            => "SET usermgmt.session_token = '$ann_token'",
	'a SET in a transaction'                    => "BEGIN; SET usermgmt.session_token = '$ann_token'; $who; COMMIT",
	'set_config(..., false)'                    => "SELECT set_config('usermgmt.session_token', '$ann_token', false)",
	'an implicit transaction of two statements' => "SET usermgmt.session_token = '$ann_token'\\; $who;",
	'COMMIT AND CHAIN' => "BEGIN; SET usermgmt.session_token = '$ann_token'; $who; COMMIT AND CHAIN; COMMIT",
	'PREPARE TRANSACTION' => 'BEGIN;' . set_to($ann_token) . "$who; PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'",
	'a released savepoint' => "BEGIN; SAVEPOINT s; SET usermgmt.session_token = '$ann_token'; $who; RELEASE s; COMMIT");
my $revive = "BEGIN; SAVEPOINT s; SET LOCAL usermgmt.session_token = 'x'; $who \\g /dev/null\nROLLBACK TO s; $who; COMMIT";
my %backend;
foreach my $loaded (1, 0)
{
	foreach my $what (sort keys %behind)
	{
		my $when = $loaded ? '' : ', in a backend that had not loaded the library';

		fresh();
		ask($one, $who) if $loaded;
		ask($one, $behind{$what});
		$backend{ ask($two, 'SELECT pg_backend_pid()') } = 1;
		is(who($two), 'nobody', "R9, complaint 13: the next client is nobody after $what$when");
		is(last_name($two, "BEGIN; $who; COMMIT"), 'nobody', "R9: also in a transaction, after $what$when");
		is(last_name($two, $revive), 'nobody', "R9: also when a rollback brings the old value back, after $what$when");
	}
}
is(keys %backend, 2 * keys %behind, 'each of them was in a backend of its own');
{
	fresh();
	ask($one, "SET usermgmt.session_token = '$ann_token'");
	is(last_name($two, $revive), 'nobody',
		'R9: a token from before the library was loaded is not revived by a rollback in the transaction that loads it');
}
is(last_name($one, "BEGIN; SET usermgmt.session_token = '$ann_token'; $who; COMMIT AND CHAIN; $who"), 'nobody', 'R9: COMMIT AND CHAIN begins without an actor');
ask($one, 'ROLLBACK');
is(last_name($one, "DO \$\$ BEGIN PERFORM set_config('usermgmt.session_token', '$ann_token', false); COMMIT; END \$\$; $who"), 'nobody', 'R9: so does a COMMIT inside of a block');

# Undoing it.
{
	my $set = 'BEGIN;' . set_to($ann_token) . "$who \\g /dev/null\n";

	is(last_name($one, "$set RESET usermgmt.session_token; $who; COMMIT"),           'nobody', 'RESET ends it');
	is(last_name($one, "$set SELECT usermgmt.end_use() \\g /dev/null\n$who; COMMIT"), 'nobody', 'end_use() ends it');
	is(last_name($one, "$set SELECT usermgmt.end_use() \\g /dev/null\n$who; COMMIT; BEGIN;" . set_to($bob_token) . "$who; COMMIT"),
		'bob', 'and not the next transaction');
	is(last_name($one, "BEGIN; SAVEPOINT s;" . set_to($ann_token) . "$who \\g /dev/null\nROLLBACK TO s; $who; COMMIT"), 'nobody', 'a rollback to before it ends it');
	is(last_name($one, "$set SAVEPOINT s;" . set_to($bob_token) . "$who \\g /dev/null\nROLLBACK TO s; $who; COMMIT"), 'ann', 'and brings the own earlier token back');
	is(last_name($one, "$set SAVEPOINT s; SELECT 1/0; ROLLBACK TO s; $who; COMMIT"), 'ann', 'an error in a savepoint leaves it');
	ask($one, "SET usermgmt.session_token = '$ann_token'");
	ask($one, 'DISCARD ALL');
	is(who($two), 'nobody', 'DISCARD ALL leaves nobody');
	is(last_name($two, "BEGIN; RESET ALL; $who; COMMIT"), 'nobody', 'nor does RESET ALL bring anybody back');
	is(last_name($one, "$set SELECT FROM usermgmt.use_session('$bob_token') \\g /dev/null\n$who; COMMIT"), 'bob', 'use_session() goes before it');
	is(last_name($one, "$set SELECT usermgmt.log_out() \\g /dev/null\n$who; ROLLBACK"), 'nobody', 'log_out() ends it');
}

# Startup options, roles, databases, functions.
{
	local $ENV{PGOPTIONS} = "-c usermgmt.session_token=$ann_token";
	my $client = web();

	is(who($client), 'nobody', 'R9: a startup option makes nobody anybody');
	is(last_name($client, "BEGIN; RESET usermgmt.session_token; $who; COMMIT"), 'nobody', 'R9: nor when RESET brings it back');
	$client->quit;
	$client = web();
	is(last_name($client, "BEGIN; SET LOCAL usermgmt.session_token = 'x'; $who \\g /dev/null\nRESET usermgmt.session_token; $who; COMMIT"),
		'nobody', 'R9: nor when RESET brings it back in the transaction that loads the library');
	$client->quit;
}
foreach my $place ('ROLE web', 'DATABASE app', 'ROLE web IN DATABASE app')
{
	ask($operator, "ALTER $place SET usermgmt.session_token = '$ann_token'");
	my $client = web();
	is(who($client), 'nobody', "R9: ALTER $place SET makes nobody anybody");
	is(last_name($client, "BEGIN; RESET usermgmt.session_token; $who; COMMIT"), 'nobody', 'R9: nor when RESET brings it back');
	is(last_name($client, 'BEGIN;' . set_to($bob_token) . "$who; COMMIT"), 'bob', 'R9: and stands in nobody\'s way');
	$client->quit;
	ask($operator, "ALTER $place RESET usermgmt.session_token");
}
{
	my $client = web();

	ask($client, $who);
	ask($client, "CREATE FUNCTION as_ann() RETURNS uuid LANGUAGE sql SET usermgmt.session_token = '$ann_token' AS '$who'");
	ask($client, 'BEGIN;' . set_to($bob_token) . "CREATE FUNCTION as_now() RETURNS uuid LANGUAGE sql SET usermgmt.session_token FROM CURRENT AS '$who'; COMMIT");
	is(last_name($client, 'SELECT as_ann()'), 'ann', 'a function that carries a live token acts by it');
	is(who($client), 'nobody', 'R9: and leaves nobody behind');
	is(last_name($client, 'BEGIN;' . set_to($bob_token) . "SELECT as_ann() \\g /dev/null\n$who; COMMIT"), 'bob', 'R9: nor in the place of the caller');
	is(last_name($client, 'SELECT as_now()'), 'nobody', 'R9, R11: FROM CURRENT takes no token along');
	is(ask($operator, "SELECT count(*) FROM pg_proc WHERE proconfig::text LIKE '%' || right('$bob_token', 20) || '%'"), '0', 'R11: and stores none');
	ask($client, 'DROP FUNCTION as_ann(), as_now()');
	is(sqlstate($client, "ALTER SYSTEM SET usermgmt.session_token = '$ann_token'"), '42501', 'nobody puts it into a file');
	is(sqlstate($operator, "ALTER SYSTEM SET usermgmt.session_token = '$ann_token'"), '55P02', 'not even a superuser');
	$client->quit;
}

# What ends in the middle.
foreach my $level ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE')
{
	foreach my $way ('used before', 'first used after')
	{
		my ($id, $token) = join_tenant($node, 'app', 'acme', lc(substr $level, 0, 3) . length($way) . '@acme.example');
		my $client = web();

		ask($client, $who);
		ask($client, "BEGIN ISOLATION LEVEL $level; SELECT 1");
		ask($client, set_to($token));
		is(ask($client, $who), $id, 'it acts') if $way eq 'used before';
		ask($operator, "SELECT usermgmt.revoke_user_sessions('$id')");
		is(who($client), 'nobody', "R7, complaint 5: a token revoked in the middle of the transaction is dead at once, $level, $way");
		is(sqlstate($client, "SELECT usermgmt.update_profile('x')"), 'UM001', "R7: functions refuse it, $level, $way");
		ask($client, 'ROLLBACK');
		$client->quit;
	}
}

# Parallel queries.
ask($operator, 'CREATE TABLE many AS SELECT g FROM generate_series(1, 5000) AS g; GRANT SELECT ON many TO web; ANALYZE many');
my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0';
{
	my $client = web();

	ask($client, $_) foreach split /; /, $parallel;
	like(ask($client, 'EXPLAIN SELECT usermgmt.current_user_id(), count(*) FROM many'), qr/Gather/, 'the plan is parallel');
	is(ask($client, 'BEGIN;' . set_to($ann_token) . 'SELECT usermgmt.current_user_id(), count(*) FROM many; COMMIT'), "$ann|5000", 'R9: a parallel query is by its own token');
	is(ask($client, "SET usermgmt.session_token = '$ann_token'; SELECT usermgmt.current_user_id() IS NULL, count(*) FROM many"), 't|5000', 'R9: and no stale one counts in it');
	is(ask($client, 'BEGIN;' . set_to($ann_token) . 'SELECT count(*) FROM many, note; COMMIT'), '5000', 'R9: policies hold in it');
	foreach my $how ('bound to the connection', 'in the setting')
	{
		my ($id, $token) = join_tenant($node, 'app', 'acme', length($how) . 'parallel@acme.example');
		my $bound = $how =~ /connection/;

		ask($client, "SELECT FROM usermgmt.use_session('$token', 'connection')") if $bound;
		ask($client, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
		ask($operator, "SELECT usermgmt.revoke_user_sessions('$id')");
		ask($client, set_to($token)) unless $bound;
		ask($client, 'SELECT usermgmt.current_user_id(), count(*) FROM many');
		is(who($client), 'nobody', "R7: after a parallel query a revoked token is looked at again, $how");
		ask($client, 'ROLLBACK; SELECT usermgmt.end_use()');
	}
	$client->quit;
}

# A connection's session and a transaction's token.
{
	my $client = web();
	ask($client, "SELECT FROM usermgmt.use_session('$ann_token', 'connection')");
	is(last_name($client, 'BEGIN;' . set_to($bob_token) . "$who; COMMIT"), 'bob', 'R9: the transaction\'s own token goes before the session of a connection');
	$client->quit;
}

# Where the last use is due to be written.
sub unused { ask($operator, "UPDATE usermgmt.session SET last_used_at = now() - interval '$_[0]' WHERE user_id = '$ann'"); return }
sub used { return ask($operator, "SELECT now() - max(last_used_at) < interval '4 min' FROM usermgmt.session WHERE user_id = '$ann'") }
{
	my $client = web();

	ask($client, $who);
	unused('5 min');
	is(last_name($client, 'BEGIN READ ONLY;' . set_to($ann_token) . "$who; COMMIT"), 'ann', 'it counts in a read-only transaction');
	is(used(), 'f', 'S1.10: which writes nothing');
	is(last_name($client, 'BEGIN;' . set_to($ann_token) . "$who; ROLLBACK") . used(), 'annf', 'S1.10: nor does one that is rolled back');
	is(ask($client, 'BEGIN;' . set_to($ann_token) . 'SELECT count(*) FROM note; COMMIT') . used(), '1t', 'S1.10: the use of a policy is written');
	foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
	{
		ask($client, "BEGIN ISOLATION LEVEL $level; SELECT 1");
		unused('5 min');
		is(last_name($client, set_to($ann_token) . "$who; $who"), 'ann', "a session row that is newer than the snapshot stops nobody, $level");
		is(ask($client, 'SELECT count(*) FROM usermgmt.my_sessions WHERE is_current; COMMIT'), '1', "and fails nothing, $level");
	}
	unused('5 min');
	ask($operator, "BEGIN; SELECT FROM usermgmt.session WHERE user_id = '$ann' FOR UPDATE");
	is(last_name($client, "SET lock_timeout = '3s'; BEGIN;" . set_to($ann_token) . "$who; COMMIT"), 'ann', 'S1.10: a row that somebody holds is not waited for');
	ask($operator, 'ROLLBACK');
	$client->quit;

	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$node->backup('base');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	my ($id, $token) = join_tenant($node, 'app', 'acme', 'reader@acme.example');
	unused('5 min');
	$node->wait_for_catchup($standby);
	$client = connection($standby, 'app', '-U', 'web');
	is(last_name($client, 'BEGIN;' . set_to($ann_token) . "$who; COMMIT"), 'ann', 'it counts on a standby');
	is(who($client), 'nobody', 'R9: for the one transaction');
	is(ask($client, 'BEGIN ISOLATION LEVEL REPEATABLE READ;' . set_to($token) . $who), $id, 'also with a fixed snapshot');
	ask($operator, "SELECT usermgmt.revoke_user_sessions('$id')");
	$node->wait_for_catchup($standby);
	is(who($client), 'nobody', 'R7: until the primary ends the session');
	$client->quit;
	$standby->stop;
}

# Nobody waits for a request.
{
	my ($id, $token) = join_tenant($node, 'app', 'acme', 'slow@acme.example');
	my $client = web();

	$node->safe_psql('app', "UPDATE usermgmt.session SET last_used_at = now() - interval '5 min' WHERE user_id = '$id'");
	ask($client, $who);
	ask($client, 'BEGIN;' . set_to($token) . $who);
	is(sqlstate($operator, "SET lock_timeout = '2s'; SELECT usermgmt.revoke_user_sessions('$id'); RESET lock_timeout"), 'none', 'R7: a transaction that only reads does not delay its own revocation');
	ask($client, 'ROLLBACK');
	ask($operator, 'RESET lock_timeout');
	$client->quit;
}

# Whether the text holds neither token; it is not printed, as it is long and may.
sub no_token
{
	my ($text, $name) = @_;

	return ok($text !~ /\Q${\ substr $ann_token, 20}\E|\Q${\ substr $bob_token, 20}\E/, $name);
}

# Where it shows.
{
	my $client = web();
	my $shows  = join ";\n", "SELECT current_setting('usermgmt.session_token')", 'SHOW usermgmt.session_token', 'SHOW ALL', 'TABLE pg_settings',
	  "SELECT set_config('usermgmt.session_token', '$bob_token', true)", "SELECT current_setting('usermgmt.session_token')", 'EXPLAIN (SETTINGS) SELECT 1';

	ask($client, $who);
	foreach my $scope ('LOCAL', 'SESSION')
	{
		my $out = ask($client, "BEGIN; SET $scope usermgmt.session_token = '$ann_token'; $who;\n$shows; COMMIT");
		ok($out =~ /a session token/, "SHOW says that there is one, $scope");
		no_token("$out$client->{stderr}", "R11: no way of showing settings shows the token, $scope");
	}
	no_token(ask($client, $shows =~ s/SELECT set_config.*\n//r), 'R11: nor does what stays behind');
	ask($client, 'BEGIN;' . set_to($ann_token) . 'SELECT 1');
	no_token(ask($operator, 'TABLE pg_stat_activity') . ask($client, 'TABLE pg_stat_activity'), 'R11: pg_stat_activity has only the statement that runs');
	ask($client, 'ROLLBACK');
	is(ask($client, "SET usermgmt.session_token = ''; SHOW usermgmt.session_token"), '', 'and SHOW is empty when there is none');
	no_token(ask($client, 'BEGIN;' . set_to($ann_token) . 'SELECT usermgmt.invite_user(NULL); ROLLBACK') . $client->{stderr}, 'R11: nor does an error');
	$client->quit;
}

# The server log, with the token as a bound parameter.
sub logged
{
	my ($file, $options) = @_;
	my $script = PostgreSQL::Test::Utils::tempdir() . "/$file";
	my $offset = -s $node->logfile;
	append_to_file($script, "BEGIN;\nSELECT set_config('usermgmt.session_token', :token, true);\nSELECT usermgmt.current_user_id();\nCOMMIT;\n");
	local $ENV{PGOPTIONS} = "-c log_statement=all $options";
	command_ok([ 'pgbench', '-n', '-M', 'extended', '-t', '2', '-f', $script, '-D', "token=$ann_token", '-h', $node->host, '-p', $node->port, 'app' ], 'a driver binds the token');
	return substr slurp_file($node->logfile), $offset;
}
{
	my $text = logged('short', '-c log_parameter_max_length=0');
	like($text, qr/set_config\('usermgmt.session_token', \$1/, 'the statement is logged');
	no_token($text, 'R11: without the token, where parameters are not logged');
}

$_->quit foreach $one, $two, $operator;
$pooler->signal('TERM');
$pooler->finish;
undef $pooler;
$node->stop;
done_testing();
