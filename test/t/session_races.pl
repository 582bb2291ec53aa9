# What is still uncommitted when a session is rotated or revoked: the old token
# wins nothing, and no session that it opened survives.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('races');
$node->safe_psql('app', <<'SQL');
CREATE ROLE web LOGIN;
SELECT usermgmt.grant_access('web', 'application');
SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example');
SQL
my ($victim, $thief, $third) = map { connection($node, 'app', '-U', 'web') } 1 .. 3;
my $operator = connection($node, 'app');
ask($operator, "SELECT usermgmt.use_tenant('acme')");
my $number = 0;

sub person { return join_tenant($node, 'app', 'acme', 'user' . ++$number . '@acme.example') }
sub by { return "SELECT FROM usermgmt.use_session('$_[0]')" }

# Sends statements without waiting for their end.
sub start
{
	my ($connection, $sql) = @_;

	$connection->{stdin} .= "$sql;\n";
	$connection->{run}->pump_nb;
	return;
}

# Waits until somebody waits for a lock.
sub somebody_waits
{
	return $node->poll_query_until('app', "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
}

foreach my $level ('READ COMMITTED', 'REPEATABLE READ')
{
	my ($id, $token) = person();
	my $new = ask($victim, 'BEGIN; ' . by($token) . '; SELECT session_token FROM usermgmt.rotate_session()');

	start($thief, "BEGIN ISOLATION LEVEL $level; " . by($token) . '; SELECT usermgmt.rotate_session()');
	somebody_waits();
	ask($victim, 'COMMIT');
	ask($thief,  'COMMIT');
	is(sqlstate($third, by($new)), 'none', "ASVS 7.2.4: of two rotations at a time by the same token the first one stands, $level");
	is(sqlstate($third, by($token)), 'UM001', "ASVS 7.2.4: the old token is over, $level");
}

# A use moves the last use when it commits, and no sooner than after a minute.
{
	my ($id, $token) = person();
	my $unused = sub {
		$node->safe_psql('app', "UPDATE usermgmt.session SET last_used_at = now() - interval '$_[0]' WHERE user_id = '$id'");
		ask($third, 'BEGIN; ' . by($token) . "; $_[1]");
		return $node->safe_psql('app', "SELECT now() - last_used_at < interval '30 s' FROM usermgmt.session WHERE user_id = '$id'");
	};
	is($unused->('61 s', 'COMMIT'),   't', 'S1.10: a use a minute after the last is written');
	is($unused->('50 s', 'COMMIT'),   'f', 'S1.10: one within the minute is not');
	is($unused->('61 s', 'ROLLBACK'), 'f', 'S1.10: nor one that is rolled back');
	ask($third, 'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1');
	$node->safe_psql('app', "UPDATE usermgmt.session SET last_used_at = now() - interval '5 min' WHERE user_id = '$id'");
	is(sqlstate($third, by($token) . '; COMMIT'), 'none', 'S1.10: one that can not be written fails nobody');
}

# A call that opens another session waits for the end of the one it came by.
{
	my ($id, $token) = person();

	ask($thief, "SELECT FROM usermgmt.use_session('$token', 'connection')");
	ask($operator, "BEGIN; SELECT usermgmt.revoke_user_sessions('$id')");
	start($thief, "SELECT outcome FROM usermgmt.switch_tenant('acme')");
	somebody_waits();
	ask($operator, 'COMMIT');
	ask($thief, 'SELECT usermgmt.end_use()');
	is($node->safe_psql('app', "SELECT count(*) FROM usermgmt.session WHERE user_id = '$id' AND state = 'open'"),
		'0', 'R7: switch_tenant() that waited for the end of its session opens none');
}

my %way = (
	'revoke_user_sessions()' => "SELECT usermgmt.revoke_user_sessions('%s')",
	'deactivate_user()'      => "SELECT usermgmt.deactivate_user('%s')",
	'removal'                => "SELECT usermgmt.remove_user('%s', confirm => true)",
	'a suspension'           => "SELECT usermgmt.suspend_tenant('test'); -- %s",
	'a new password' => "UPDATE usermgmt.account SET password_version = password_version + 1 WHERE user_id = '%s'");
foreach my $way (sort { ($a eq 'a suspension') <=> ($b eq 'a suspension') || $a cmp $b } keys %way)
{
	my ($id, $token) = person();
	my $derived = ask($thief, 'BEGIN; ' . by($token) . "; SELECT session_token FROM usermgmt.switch_tenant('acme')");

	like($derived, qr/^ums_/, 'a session is open, uncommitted');
	start($operator, sprintf $way{$way}, $id);
	for (1 .. 20)
	{
		last if ask($third, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted") eq 't';
		select undef, undef, undef, 0.1;
	}
	ask($thief,    'COMMIT');
	ask($operator, 'SELECT 1');
	is(sqlstate($third, by($derived)), 'UM001', "R7, complaint 5: $way also ends a session that was being opened by switch_tenant()");
}

$_->quit foreach $victim, $thief, $third, $operator;
$node->stop;
done_testing();
