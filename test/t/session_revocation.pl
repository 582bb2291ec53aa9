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

my $copied = PostgreSQL::Test::Utils::tempdir() . '/session.copy';

# How a session ends, for the person %s with the token %token and the password;
# whether reactivate_user() is the way back; what makes the next one possible.
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
	'an expiry set back' => [ "UPDATE usermgmt.session SET expires_at = now() WHERE user_id = '%s'" ],
	'MERGE of the session row' => [ "MERGE INTO usermgmt.session AS s USING (VALUES ('%s'::uuid)) AS v (id) ON s.user_id = v.id WHEN MATCHED THEN UPDATE SET state = 'revoked', ended_at = now()" ],
	'MERGE that deletes the session row' => [ "MERGE INTO usermgmt.session AS s USING (VALUES ('%s'::uuid)) AS v (id) ON s.user_id = v.id WHEN MATCHED THEN DELETE" ],
	'MERGE that deletes the membership' => [ "MERGE INTO usermgmt.membership AS m USING (VALUES ('%s'::uuid)) AS v (id) ON m.user_id = v.id WHEN MATCHED THEN DELETE" ],
	'DELETE in a WITH query' => [ "WITH gone AS (DELETE FROM usermgmt.session WHERE user_id = '%s' RETURNING 1) SELECT count(*) FROM gone" ],
	'INSERT ... ON CONFLICT of the session row' =>
	  [ "INSERT INTO usermgmt.session SELECT * FROM usermgmt.session WHERE user_id = '%s' ON CONFLICT (session_id, tenant_id) DO UPDATE SET state = 'revoked', ended_at = now()" ],
	'COPY of the row with an expiry that is over' => [ "BEGIN; COPY (SELECT session_id, tenant_id, user_id, token_hash, role, email, state, created_at, last_used_at, now() FROM usermgmt.session WHERE user_id = '%s') TO '$copied';"
		  . " DELETE FROM usermgmt.session WHERE user_id = '%s'; COPY usermgmt.session (session_id, tenant_id, user_id, token_hash, role, email, state, created_at, last_used_at, expires_at) FROM '$copied'; COMMIT" ],
	'another token hash' => [ "UPDATE usermgmt.session SET token_hash = sha256('x') WHERE user_id = '%s'" ],
	'a role in the session row' => [ "UPDATE usermgmt.session SET state = 'ended', ended_at = now(), role = 'member' WHERE user_id = '%s'" ],
	'revoke_session()'          => [ "SELECT usermgmt.revoke_session(session_id) FROM usermgmt.session WHERE user_id = '%s'" ],
	'revoke_user_sessions()'    => [ "SELECT usermgmt.revoke_user_sessions('%s')" ],
	'log_out() elsewhere'       => [ "BEGIN; SELECT FROM usermgmt.use_session('%token'); SELECT usermgmt.log_out(); COMMIT" ],
	'rotate_session() elsewhere' => [ "BEGIN; SELECT FROM usermgmt.use_session('%token'); SELECT FROM usermgmt.rotate_session(); COMMIT" ],
	'a reset of the password' => [ "SELECT usermgmt.send_password_reset('%s'); SELECT usermgmt.reset_password(substring(text_body FROM 'token=([A-Za-z0-9_-]+)'), '$password') FROM usermgmt.outbox_claim('test', 1000) WHERE kind = 'password_reset'" ],
	'another password hash' => [ "UPDATE usermgmt.account SET password_hash = (SELECT password_hash FROM usermgmt.account WHERE user_id <> '%s' AND password_hash IS NOT NULL LIMIT 1) WHERE user_id = '%s'" ],
	'suspend_tenant()'          => [ "SELECT usermgmt.suspend_tenant('test') -- %s", 0, 'SELECT usermgmt.resume_tenant()' ],
	'a bare UPDATE of the tenant' => [ "UPDATE usermgmt.tenant SET suspended_at = now() WHERE slug = 'acme' -- %s", 0, 'SELECT usermgmt.resume_tenant()' ],
	'MERGE of the tenant' => [ "MERGE INTO usermgmt.tenant AS t USING (VALUES ('acme')) AS v (slug) ON t.slug = v.slug WHEN MATCHED THEN UPDATE SET suspended_at = now() -- %s", 0, 'SELECT usermgmt.resume_tenant()' ]);
my @levels = ('no transaction', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');

my $operator = connection($node, 'app');
ask($operator, "SELECT usermgmt.use_tenant('acme')");
my ($number, $survivors, $trials) = (0, 0, 0);
my $web;    # one connection of the application's for all of them

# A new admin: id, token, address.
sub admin
{
	my $email = 'user' . ++$number . '@acme.example';
	my ($id, $token) = split /\|/, ask($operator, "SELECT s.user_id, s.session_token FROM usermgmt.invite_user('$email', 'admin') AS i, usermgmt.accept_invitation(split_part(usermgmt.invitation_link(i.invitation_id), 'token=', 2), '$password') AS s");

	return ($id, $token, $email);
}

# die_by WAY LEVEL SCOPE: the bound session of a new admin ends that way.
sub die_by
{
	my ($way, $level, $scope) = @_;
	my ($user, $token, $email) = admin();
	my $bound  = $web //= connection($node, 'app', '-U', 'web');
	my $inside = $level ne 'no transaction';

	ask($bound, "SELECT usermgmt.use_session('$token', 'connection')") if $scope eq 'connection';
	ask($bound, "BEGIN ISOLATION LEVEL $level") if $inside;
	ask($bound, "SELECT usermgmt.use_session('$token')") if $scope eq 'transaction';
	my $before = ask($bound, "SELECT usermgmt.current_user_id() = '$user', usermgmt.has_role('admin'), count(*) > 0 FROM usermgmt.members");

	ask($operator, $way{$way}[0] =~ s/%s/$user/gr =~ s/%token/$token/gr);
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
	ask($operator, $way{$way}[2]) if $way{$way}[2];
	ask($bound, 'SELECT usermgmt.end_use()');
}

foreach my $way (sort keys %way)
{
	die_by($way, $_, 'connection') foreach @levels;
	die_by($way, 'REPEATABLE READ', 'transaction');
}

$web->quit;

# What would end the sessions of everybody is refused.
foreach my $table ('membership', 'account', 'tenant')
{
	is(sqlstate($operator, "TRUNCATE usermgmt.$table CASCADE"), 'UM030', "B3: TRUNCATE of $table, and of what hangs on it, is refused");
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
