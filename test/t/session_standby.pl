# A revocation that waits for the standbys, and a standby that is too far behind
# to judge a session.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('primary', streaming => 1, conf => "session_preload_libraries = 'usermgmt'\n");
$node->safe_psql('app', q(SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example')));
my ($ann, $ann_token) = join_tenant($node, 'app', 'acme', 'ann@acme.example');
my ($bob, $bob_token) = join_tenant($node, 'app', 'acme', 'bob@acme.example');
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "wal_receiver_timeout = 2s\nwal_receiver_status_interval = 1s\nwal_retrieve_retry_interval = 100ms\n");
$standby->start;
$node->wait_for_catchup($standby);

# usermgmt.revoke_sync.
$node->safe_psql('app', q(ALTER SYSTEM SET synchronous_standby_names = '*'; ALTER SYSTEM SET synchronous_commit = local; ALTER SYSTEM SET usermgmt.revoke_sync = remote_apply; SELECT pg_reload_conf()));
my $operator = connection($node, 'app');
my $revoker  = connection($node, 'app');
my $reader   = connection($standby, 'app');
ask($_, q(SELECT usermgmt.use_tenant('acme'))) foreach $operator, $revoker;
my $pid = ask($revoker, 'SELECT pg_backend_pid()');
my $waits = "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid";

is(ask($reader, "SELECT user_id = '$ann' FROM usermgmt.use_session('$ann_token')"), 't', 'the standby knows the session');
ask($reader, 'SELECT pg_wal_replay_pause()');
ask($operator, q(SELECT FROM usermgmt.invite_user('x@acme.example')));
is($operator->{stderr}, '', 'what revokes nothing waits for no standby');
ask($revoker, 'BEGIN');
ask($revoker, "SELECT usermgmt.revoke_user_sessions('$ann')");
is(ask($revoker, 'SHOW synchronous_commit'), 'remote_apply', 'R7: a transaction that revokes waits for the standby to have replayed it');
$revoker->query_until(qr/sent/, "\\echo sent\nCOMMIT;\n");
ok($node->poll_query_until('app', $waits, 'SyncRep'), 'R7: the commit waits');
is(ask($reader, "SELECT user_id = '$ann' FROM usermgmt.use_session('$ann_token')"), 't', 'while the standby still admits the session');
ask($reader, 'SELECT pg_wal_replay_resume()');
like(ask($revoker, q(SELECT 'done')), qr/done/, 'R7: it ends when the standby has');
is(sqlstate($reader, "SELECT usermgmt.use_session('$ann_token')"), 'UM001', 'R7: and there the session is over at once');
is(ask($revoker, 'SHOW synchronous_commit'), 'local', 'the next transaction waits as ever');
ask($revoker, "SET synchronous_commit = off; SET usermgmt.revoke_sync = off; BEGIN; SELECT usermgmt.revoke_user_sessions('$ann')");
is(ask($revoker, 'SHOW synchronous_commit'), 'off', 'off leaves synchronous_commit alone');
ask($revoker, 'COMMIT; SET synchronous_commit = remote_apply; SET usermgmt.revoke_sync = on; BEGIN');
ask($revoker, "SELECT usermgmt.revoke_user_sessions('$ann')");
is(ask($revoker, 'SHOW synchronous_commit'), 'remote_apply', 'it is never lowered');
ask($revoker, 'COMMIT');

# usermgmt.max_standby_staleness.
$node->safe_psql('app', 'ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()');
$node->wait_for_catchup($standby);
my $use = "SELECT usermgmt.use_session('$bob_token')";
ask($reader, 'SET usermgmt.max_standby_staleness = 4');
sleep 6;
is(sqlstate($reader, $use), 'none', 'a standby of an idle primary is fresh');
is(ask($reader, "SELECT count(*) FROM usermgmt.use_session('$bob_token', 'connection')"), 1, 'and binds');
ask($reader, 'SELECT pg_wal_replay_pause()');
ask($operator, q(SELECT FROM usermgmt.invite_user('y@acme.example')));
my $refused = 'none';
for (1 .. 100)
{
	last if ($refused = sqlstate($reader, $use)) ne 'none';
	select undef, undef, undef, 0.1;
}
is($refused, 'UM022', 'one that has not replayed what it received is not, after a while');
like($reader->{stderr}, qr/HINT:.*Ask the primary/, 'and says where to go');
is(ask($reader, 'SELECT usermgmt.current_user_id() IS NULL'), 't', 'a session that was bound there is none meanwhile');
ask($reader, 'SELECT pg_wal_replay_resume()');
$node->wait_for_catchup($standby);
is(sqlstate($reader, $use), 'none', 'it is again when it has');
is(ask($reader, 'SELECT usermgmt.current_user_id() IS NOT NULL'), 't', 'and so is the session');
$_->quit foreach $operator, $revoker;
$node->stop('immediate');
$refused = 'none';
for (1 .. 120)
{
	last if ($refused = sqlstate($reader, $use)) ne 'none';
	select undef, undef, undef, 0.1;
}
is($refused, 'UM022', 'one that has lost the primary is not, after a while');
ask($reader, 'SET usermgmt.max_standby_staleness = 0');
is(sqlstate($reader, $use), 'none', 'without a limit it judges by what it has');
$reader->quit;
$standby->promote;
is($standby->safe_psql('app', "SET usermgmt.max_standby_staleness = 1; SELECT user_id = '$bob' FROM usermgmt.use_session('$bob_token')"), 't', 'promoted, it is the primary');
$standby->stop;
done_testing();
