# S1.13: when a person was last seen moves with what the person does in attached
# tables, and with nothing else; nobody waits for it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('activity');
$node->safe_psql('app', q(SELECT usermgmt.create_tenant('acme', 'Acme', 'owner@acme.example')));
my ($ann, $session) = join_tenant($node, 'app', 'acme', 'ann@acme.example');
my ($bob, $bob_session) = join_tenant($node, 'app', 'acme', 'bob@acme.example');
$node->safe_psql('app', <<'SQL');
CREATE TABLE lead (id integer PRIMARY KEY, tenant uuid);
CREATE TABLE visit (id integer PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE visit_all PARTITION OF visit DEFAULT;
CREATE TABLE quiet (id integer PRIMARY KEY);
SELECT usermgmt.attach_table('lead', 'tenant'), usermgmt.attach_table('visit'), usermgmt.attach_table('quiet', track_activity => false);
SQL

# Long ago, by whatever connection.
sub forget
{
	$node->safe_psql('app', q(UPDATE usermgmt.membership SET last_seen_at = '2020-01-01'));
}

sub seen
{
	my ($user) = @_;

	return $node->safe_psql('app', "SELECT last_seen_at > '2020-01-02' FROM usermgmt.membership WHERE user_id = '$user'");
}

# Whether this, run in a transaction of a new connection as Ann, moves last seen.
sub moves
{
	my ($statements, $end) = @_;

	$end //= 'COMMIT';
	forget();
	$node->safe_psql('app', "BEGIN; SELECT usermgmt.use_session('$session'); $statements; $end");
	return seen($ann);
}

is(moves('INSERT INTO lead VALUES (1)'), 't', 'S1.13: INSERT is activity');
is(moves('UPDATE lead SET id = id'), 't', 'S1.13: UPDATE is');
is(moves('INSERT INTO visit VALUES (1)'), 't', 'S1.13: also in a partitioned table');
is(moves('UPDATE visit_all SET id = id'), 't', 'S1.13: and in a partition');
is(moves(q(SELECT usermgmt.record_activity('export'))), 't', 'S1.13: an export that the application reports is');
is(moves('SELECT usermgmt.record_activity()'), 't', 'S1.13: and a mutation');
is(moves('DELETE FROM lead'), 't', 'S1.13: DELETE is');
is(moves('SELECT * FROM lead; SELECT * FROM usermgmt.my_sessions'), 'f', 'S1.13: reading is none');
is(moves('INSERT INTO quiet VALUES (1)'), 'f', 'S1.13: nor a table that does not track it');
is(moves('INSERT INTO lead VALUES (2)', 'ROLLBACK'), 'f', 'S1.13: nor what is rolled back');
forget();
$node->safe_psql('app', 'INSERT INTO lead VALUES (3)');
is(seen($ann) . seen($bob), 'ff', 'S1.13: nobody acts without a session');
is($node->safe_psql('app', "SELECT count(*) FROM usermgmt.audit_event WHERE action = 'user.updated'"), 0, 'S1.13: the trail is not told each time');

# What the application reports counts each time.
my $reporting = connection($node, 'app');
sub reports
{
	my ($statement) = @_;
	my $before = $node->safe_psql('app', "SELECT last_seen_at FROM usermgmt.membership WHERE user_id = '$ann'");

	ask($reporting, "BEGIN; SELECT usermgmt.use_session('$session'); $statement; COMMIT");
	return $node->safe_psql('app', "SELECT last_seen_at > '$before' FROM usermgmt.membership WHERE user_id = '$ann'");
}
is(reports(q(SELECT usermgmt.record_activity('export'))), 't', "S1.13: each reported $_ moves last seen") foreach 'export', 'one within the minute';
is(reports('INSERT INTO lead VALUES (4)'), 'f', 'S1.13: no change within a minute of it does');
my $first_session = $session;
$session = (split /\n/, $node->safe_psql('app', "SELECT usermgmt.use_tenant('acme'); SELECT session_token FROM usermgmt.start_session('$ann')"))[-1];
is(reports('INSERT INTO lead VALUES (5)'), 't', 'S1.13: the first change after a sign-in does at once');
is(reports('INSERT INTO lead VALUES (6)'), 'f', 'S1.13: the next one waits for its minute');
$session = $first_session;
$reporting->quit;
forget();

# At most once a minute, also from several connections.
my @connections = map { connection($node, 'app') } 1 .. 3;
ask($_, "SELECT usermgmt.use_session('$session', 'connection')") foreach @connections;
sub writes
{
	my ($connection, $id) = @_;
	my $before = $node->safe_psql('app', "SELECT ctid, last_seen_at FROM usermgmt.membership WHERE user_id = '$ann'");

	ask($connection, "INSERT INTO lead VALUES ($id)");
	return $before ne $node->safe_psql('app', "SELECT ctid, last_seen_at FROM usermgmt.membership WHERE user_id = '$ann'");
}
ok(writes($connections[0], 10), 'S1.13: the first change is written');
ok(!writes($connections[0], 11), 'S1.13: the next one within a minute is not');
ok(!writes($connections[1], 12), 'S1.13: nor that of another connection');
$node->safe_psql('app', q(UPDATE usermgmt.membership SET last_seen_at = last_seen_at - interval '2 minutes'));
ok(writes($connections[2], 13), 'S1.13: after a minute it is again');

# Nobody waits, whoever holds the membership.
forget();
my $other = connection($node, 'app');
ask($other, "BEGIN; SELECT FROM usermgmt.membership FOR UPDATE");
ask($connections[1], "SET lock_timeout = '2s'");
is(sqlstate(connection($node, 'app'), "SET lock_timeout = '2s'; BEGIN; SELECT usermgmt.use_session('$session'); INSERT INTO lead VALUES (20); COMMIT"), 'none', 'S1.13: a write does not wait for a locked membership');
ask($other, 'ROLLBACK');
is(seen($ann), 'f', 'S1.13: it is passed over');
my $slow = connection($node, 'app');
ask($slow, "BEGIN; SELECT usermgmt.use_session('$session'); INSERT INTO lead VALUES (21)");
is(sqlstate($other, "SET lock_timeout = '2s'; SELECT usermgmt.use_tenant('acme'); SELECT usermgmt.deactivate_user('$ann')"), 'none', 'S1.13: nor does a deactivation for a write that goes on');
is(sqlstate($slow, 'COMMIT'), 'none', 'S1.13: which commits');
is(seen($ann), 'f', 'S1.13: and whoever has no access is not seen');
is(sqlstate($slow, "SELECT usermgmt.use_session('$bob_session', 'connection'); SET default_transaction_read_only = on; SELECT usermgmt.record_activity()"), '25006', 'S1.13: a read-only transaction, as on a standby, records nothing and says so');
is(sqlstate($slow, "SET default_transaction_read_only = off; SELECT usermgmt.record_activity('reading')"), '22023', 'S1.13: there are two kinds');
is(sqlstate($slow, 'SELECT usermgmt.end_use(); SELECT usermgmt.record_activity()'), 'UM001', 'S1.13: of somebody');
$_->quit foreach @connections, $other, $slow;
$node->stop;
done_testing();
