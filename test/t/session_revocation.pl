# A session that is open in one connection dies at its next statement when any
# other connection ends it, by whatever path, also in the middle of a transaction
# and on a hot standby; and nothing brings it back.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('primary', streaming => 1);
$node->safe_psql('app', <<'SQL');
CREATE ROLE web LOGIN;
SELECT usermgmt.grant_access('web', 'application');
SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example');
SELECT usermgmt.create_tenant('spare', 'Spare', 'founder@spare.example');
SQL

# How a session ends, for the person $1; whether reactivate_user() is the way back.
my %way = (
	'deactivate_user()' => [ "SELECT usermgmt.deactivate_user('%s', 'left')", 1 ],
	'a bare UPDATE' =>
	  [ "UPDATE usermgmt.membership SET status = 'deactivated' WHERE user_id = '%s'", 1 ],
	'MERGE' => [
		"MERGE INTO usermgmt.membership AS m USING (VALUES ('%s'::uuid)) AS v (id) ON m.user_id = v.id"
		  . " WHEN MATCHED THEN UPDATE SET status = 'deactivated'",
		1
	],
	'change_role()'                => [ "SELECT usermgmt.change_role('%s', 'member')" ],
	'a bare UPDATE of the role'    => [ "UPDATE usermgmt.membership SET role = 'member' WHERE user_id = '%s'" ],
	'DELETE of the membership'     => [ "DELETE FROM usermgmt.membership WHERE user_id = '%s'" ],
	'DELETE of the session rows'   => [ "DELETE FROM usermgmt.session WHERE user_id = '%s'" ],
	'an UPDATE of the session row' => [ "UPDATE usermgmt.session SET state = 'revoked', ended_at = now() WHERE user_id = '%s'" ],
	'TRUNCATE of the session rows' => [ "TRUNCATE usermgmt.session -- %s" ],
	'a new password' => [ "UPDATE usermgmt.account SET password_version = password_version + 1 WHERE user_id = '%s'" ],
	'removal' => [ "SELECT usermgmt.remove_user('%s', confirm => true)" ],
	'an expiry set back' => [ "UPDATE usermgmt.session SET expires_at = now() WHERE user_id = '%s'" ]);
my @levels = ('no transaction', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');

my $operator = connection($node, 'app');
ask($operator, "SELECT usermgmt.use_tenant('acme')");
my ($number, $survivors, $trials) = (0, 0, 0);

# A new admin: id, token, address.
sub admin
{
	my $email = 'user' . ++$number . '@acme.example';

	return (join_tenant($node, 'app', 'acme', $email, 'admin'), $email);
}

# die_by WAY LEVEL SCOPE: the bound session of a new admin ends that way.
sub die_by
{
	my ($way, $level, $scope) = @_;
	my ($user, $token, $email) = admin();
	my $bound  = connection($node, 'app', '-U', 'web');
	my $inside = $level ne 'no transaction';

	ask($bound, "SELECT usermgmt.use_session('$token', 'connection')") if $scope eq 'connection';
	ask($bound, "BEGIN ISOLATION LEVEL $level") if $inside;
	ask($bound, "SELECT usermgmt.use_session('$token')") if $scope eq 'transaction';
	my $before = ask($bound, "SELECT usermgmt.current_user_id() = '$user', usermgmt.has_role('admin'), count(*) > 0 FROM usermgmt.members");

	ask($operator, sprintf $way{$way}[0], $user);
	my $raised = $operator->{stderr};

	my $after = ask($bound, "SELECT usermgmt.current_user_id() IS NULL, usermgmt.has_role('member'), count(*) FROM usermgmt.members");
	my $state = sqlstate($bound, "SELECT usermgmt.invite_user('friend-of-$email')");
	ask($bound, 'ROLLBACK') if $inside;
	my $again = sqlstate($bound, "SELECT usermgmt.use_session('$token')");

	$trials++;
	my $dead = is("$before / $raised$after / $state / $again", 't|t|t / t|f|0 / UM001 / UM001',
		"B3, R7, complaint 5: $way ends a session at the next statement, bound to the $scope, $level");
	$survivors++ unless $dead;

	if ($way{$way}[1] && $inside)
	{
		ask($operator, "SELECT usermgmt.reactivate_user('$user')");
		my $old = sqlstate($bound, "SELECT usermgmt.use_session('$token')");
		my $new = ask($bound, "SELECT outcome FROM usermgmt.log_in('$email', '$password')");
		is("$operator->{stderr}$old $new", 'UM001 ok',
			"complaint 6: reactivation after $way does not bring the session back, and a new login works");
	}
	$bound->quit;
}

foreach my $way (sort keys %way)
{
	die_by($way, $_, 'connection') foreach @levels;
	die_by($way, 'REPEATABLE READ', 'transaction');
}

# What was rolled back did not happen.
{
	my ($user, $token) = admin();
	my $bound = connection($node, 'app', '-U', 'web');

	ask($bound, "SELECT usermgmt.use_session('$token', 'connection')");
	ask($operator, "BEGIN; SELECT usermgmt.deactivate_user('$user')");
	is(ask($bound, "SELECT usermgmt.current_user_id() = '$user'"), 't', 'R7: a deactivation ends nothing before its commit');
	ask($operator, 'ROLLBACK');
	is(ask($bound, "SELECT usermgmt.current_user_id() = '$user'"), 't', 'R7: nor after its rollback');
	ask($operator, "UPDATE usermgmt.tenant SET suspended_at = now() WHERE slug = 'acme'");
	is(ask($bound, 'SELECT usermgmt.current_user_id() IS NULL'), 't', 'B3: suspending the tenant ends its sessions');
	is(sqlstate($bound, 'SELECT usermgmt.log_out()'), 'UM001', 'B3: and functions say so');
	ask($operator, "UPDATE usermgmt.tenant SET suspended_at = NULL, suspend_reason = NULL WHERE slug = 'acme'");
	is(sqlstate($bound, "SELECT usermgmt.use_session('$token')"), 'UM001', 'complaint 6: resuming the tenant does not bring them back');
	$bound->quit;
}

# On a hot standby.
{
	my ($user, $token) = admin();
	my $link = link_of($node, 'app', 'acme', invite($node, 'app', 'acme', 'pending@acme.example'));
	my $standby = PostgreSQL::Test::Cluster->new('standby');

	$node->backup('base');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	my $bound = connection($standby, 'app', '-U', 'web');
	is(ask($bound, "SELECT email FROM usermgmt.use_session('$token', 'connection')"),
		"user$number\@acme.example", 'a session is bound on a standby');
	is(ask($bound, "SELECT status FROM usermgmt.preview_invitation('$link')"),
		'pending', 'an invitation is looked at on a standby');
	is(ask($bound, 'SELECT count(*) > 0 FROM usermgmt.members'), 't', 'members are listed on a standby');
	my @writes = (
		"log_in('user$number\@acme.example', '$password')", "accept_invitation('$link', '$password')",
		"invite_user('x\@acme.example')", "request_password_reset('user$number\@acme.example')",
		"deactivate_user('$user')", 'log_out()');
	is(sqlstate($bound, "SELECT usermgmt.$_"), '25006', "a standby refuses $_") foreach @writes;
	like($bound->{stderr}, qr/HINT:.*primary/, 'and says where to go');

	ask($bound, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM usermgmt.members');
	ask($operator, "SELECT usermgmt.deactivate_user('$user')");
	$node->wait_for_catchup($standby);
	is(ask($bound, 'SELECT usermgmt.current_user_id() IS NULL'), 't',
		'B3: a deactivation on the primary ends a session on the standby, in a running transaction');
	ask($bound, 'ROLLBACK');
	is(ask($bound, 'SELECT usermgmt.current_user_id() IS NULL'), 't', 'B3: and after it');
	is(sqlstate($bound, "SELECT usermgmt.use_session('$token')"), 'UM001', 'B3: the standby does not bind it again');
	$bound->quit;
	$standby->stop;
}

diag("R7, B3: $survivors of $trials sessions outlived their end");
$operator->quit;
$node->stop;
done_testing();
