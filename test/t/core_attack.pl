# What an attack found that needs several connections, databases or the server
# log, each defect once: none of it comes back.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('attack');
$node->safe_psql('app', "SELECT usermgmt.create_tenant('acme', 'Acme', 'founder\@acme.example')");

# A new member of acme: id, token, address.
my $number = 0;

sub person
{
	my ($role) = @_;
	my $email = 'user' . ++$number . '@acme.example';

	return (join_tenant($node, 'app', 'acme', $email, $role // 'member'), $email);
}

# A clone, before it is used and after.
{
	my ($id, $token, $email) = person('admin');
	my $link = link_of($node, 'app', 'acme', invite($node, 'app', 'acme', 'pending@acme.example'));

	$node->safe_psql('postgres', 'CREATE DATABASE clone TEMPLATE app');
	is($node->safe_psql('app', "SELECT email FROM usermgmt.use_session('$token')"), $email, 'the session is live in the original');
	my $clone = connection($node, 'clone');
	foreach my $when ('before', 'after')
	{
		is(ask($clone, "SELECT count(*) FROM usermgmt.session WHERE state = 'open'") > 0 ? 'before' : 'after',
			$when, "the clone $when its adoption");
		is(sqlstate($clone, "SELECT usermgmt.use_session('$token')"), 'UM001', "B2: a clone refuses the original's sessions $when its adoption");
		is(sqlstate($clone, "SELECT usermgmt.preview_invitation('$link')"), 'UM010', "B12: it shows nothing for the original's links $when its adoption");
		is(sqlstate($clone, "SELECT usermgmt.activate()"), 'none', 'it is adopted') if $when eq 'before';
	}
	is(sqlstate($clone, "SELECT usermgmt.accept_invitation('$link', '$password')"), 'UM010', 'B12: and admits nobody by them');
	my ($outcome, $new) = split /\|/, ask($clone, "SELECT outcome, session_token FROM usermgmt.log_in('$email', '$password')");
	is($outcome . ' ' . ask($clone, "SELECT email FROM usermgmt.use_session('$new')"), "ok $email", 'B2: sign-in works in the clone');
	is(sqlstate($clone, "SELECT usermgmt.use_session('$token')"), 'UM001', 'B2: and brings no session of the original back');
	$clone->quit;
	is($node->safe_psql('app', "SELECT email FROM usermgmt.use_session('$token')"), $email, 'B2: the original goes on');
}

# Default privileges that were there first.
{
	$node->safe_psql('postgres', 'CREATE DATABASE open_handed TEMPLATE template0; CREATE ROLE somebody; CREATE ROLE anybody');
	$node->safe_psql('open_handed', <<'SQL');
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO somebody;
ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO somebody;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON TYPES TO somebody;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO somebody;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC;
CREATE SCHEMA control;
CREATE TABLE control.t ();
CREATE EXTENSION usermgmt;
SQL
	my $given = <<'SQL';
SELECT coalesce(string_agg(DISTINCT what || ' to ' || coalesce(r.rolname, 'PUBLIC'), ', '), 'nothing') FROM (
	SELECT 'relation ' || relname, relacl, relowner FROM pg_class WHERE relnamespace = '%1$s'::regnamespace
	UNION ALL SELECT 'function ' || proname, proacl, proowner FROM pg_proc WHERE pronamespace = '%1$s'::regnamespace
	UNION ALL SELECT 'type ' || typname, typacl, typowner FROM pg_type WHERE typnamespace = '%1$s'::regnamespace
	UNION ALL SELECT 'column ' || attname, attacl, relowner FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid WHERE relnamespace = '%1$s'::regnamespace
	UNION ALL SELECT 'schema ' || nspname, nspacl, nspowner FROM pg_namespace WHERE nspname = '%1$s'
) AS o (what, acl, owner) CROSS JOIN aclexplode(acl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee WHERE a.grantee <> o.owner
SQL
	is($node->safe_psql('open_handed', sprintf $given, 'control'),
		'relation t to PUBLIC, relation t to somebody, schema control to PUBLIC, schema control to somebody', 'the default privileges give something');
	is($node->safe_psql('open_handed', sprintf $given, 'usermgmt'), 'nothing', 'R22: default privileges give nobody anything on the extension');
	is($node->safe_psql('open_handed', <<'SQL'), '0|0|f', "R22: as the server sees it, the role of the default privileges has nothing either");
SELECT (SELECT count(*) FROM pg_proc WHERE pronamespace = 'usermgmt'::regnamespace AND has_function_privilege('somebody', oid, 'execute')),
	(SELECT count(*) FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace AND relkind IN ('r', 'v', 'S') AND has_any_column_privilege('somebody', oid, 'select, insert, update')),
	has_schema_privilege('somebody', 'usermgmt', 'usage')
SQL
	is($node->safe_psql('open_handed', <<'SQL'), 't', 'R22: access can be granted afterwards');
SELECT usermgmt.grant_access('somebody', 'application') \g /dev/null
SET ROLE somebody;
SELECT usermgmt.current_user_id() IS NULL;
SQL
}

# Secrets as literals in statements that fail for reasons of the server's.
{
	my ($id, $token, $email) = person();
	my $invitation = invite($node, 'app', 'acme', 'newcomer@acme.example');
	my $link = link_of($node, 'app', 'acme', $invitation);
	$node->safe_psql('app', "SELECT usermgmt.request_password_reset('$email')");
	my $reset = token_in($node->safe_psql('app', "SELECT text_body FROM usermgmt.outbox_claim('attack', 1000) WHERE kind = 'password_reset' AND recipient = '$email'"));
	my $new = 'a brand new password';
	my %call = (
		use_session       => "SELECT usermgmt.use_session('$token')",
		log_in            => "SELECT usermgmt.log_in('$email', '$password')",
		accept_invitation => "SELECT usermgmt.accept_invitation('$link', '$new')",
		reset_password    => "SELECT usermgmt.reset_password('$reset', '$new')");
	my ($victim, $other) = map { connection($node, 'app') } 1 .. 2;
	my $offset = -s $node->logfile;

	# The whole call waits, or only the last step of it.
	foreach my $locked (
		[ 'use_session', 'session' ],
		[ 'log_in', 'account' ], [ 'log_in', 'session' ],
		[ 'accept_invitation', 'invitation' ], [ 'accept_invitation', 'session' ],
		[ 'reset_password', 'password_reset' ], [ 'reset_password', 'session' ])
	{
		my ($function, $table) = @$locked;

		ask($other, "BEGIN; LOCK TABLE usermgmt.$table");
		is(sqlstate($victim, "SET lock_timeout = '40ms'; $call{$function}"), '55P03', "$function runs into a lock timeout at $table");
		is(sqlstate($victim, "SET lock_timeout = 0; SET statement_timeout = '80ms'; $call{$function}"), '57014', "$function runs into a statement timeout at $table");
		ask($victim, 'SET statement_timeout = 0');
		ask($other, 'ROLLBACK');
	}
	foreach my $changed (
		[ 'log_in', "UPDATE usermgmt.membership SET metadata = '{}' WHERE user_id = '$id'" ],
		[ 'accept_invitation', "UPDATE usermgmt.invitation SET message = 'x' WHERE invitation_id = '$invitation'" ],
		[ 'reset_password', "UPDATE usermgmt.account SET metadata = '{}' WHERE user_id = '$id'" ])
	{
		my ($function, $change) = @$changed;

		ask($victim, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM usermgmt.account');
		ask($other, $change);
		is(sqlstate($victim, $call{$function}), '40001', "$function gives way to a concurrent change");
		ask($victim, 'ROLLBACK');
	}
	is(sqlstate($victim, "SELECT 1/0 AS needle"), '22012', 'an error of another statement');
	my $log = slurp_file($node->logfile, $offset);
	like($log, qr/STATEMENT:.*needle/, 'whose text is in the log');
	is(scalar(() = $log =~ /ERROR:.*(?:lock timeout|statement timeout|serialize access)/g), 17, 'and so is each error');
	my @found = grep { index($log, $$_[1]) >= 0 } [ 'session token', $token ], [ 'link token', $link ], [ 'reset token', $reset ], [ 'password', $password ], [ 'new password', $new ];
	is(join(', ', map { $$_[0] } @found), '', 'R11: no token and no right password is in the log after lock timeouts, statement timeouts and serialization failures');
	is(sqlstate($victim, $call{$_}), 'none', "and $_ was a good call") foreach 'use_session', 'log_in', 'accept_invitation', 'reset_password';
	$_->quit foreach $victim, $other;
}

# A session that ends while its change waits.
{
	my ($admin, $token) = person('admin');
	my ($bob) = person();
	my ($blocker, $waiter) = map { connection($node, 'app') } 1 .. 2;

	ask($waiter, "SELECT usermgmt.use_session('$token', 'connection')");
	ask($blocker, "BEGIN; UPDATE usermgmt.tenant SET metadata = '{}' WHERE slug = 'acme'");
	$waiter->query_until(qr/waiting/, "\\echo waiting\nSELECT usermgmt.change_role('$bob', 'admin');\n\\echo over\n");
	$node->poll_query_until('app', "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%change_role%' AND pid <> pg_backend_pid()")
	  or die 'change_role does not wait';
	$node->safe_psql('app', "UPDATE usermgmt.session SET state = 'revoked', ended_at = now() WHERE user_id = '$admin'");
	$waiter->{stderr} = '';
	ask($blocker, 'COMMIT');
	$waiter->query_until(qr/end/, "\\echo end\n");
	like($waiter->{stderr}, qr/ERROR:\s+UM001:/, 'R7: a call whose session ends while it waits fails');
	is($node->safe_psql('app', "SELECT role FROM usermgmt.membership WHERE user_id = '$bob'"), 'member', 'R7: and changes nothing');
	$_->quit foreach $blocker, $waiter;
}

# A revocation that comes between the snapshot of a parallel query and the query.
{
	my ($id, $token) = person('admin');
	my $reader = connection($node, 'app');
	my $parallel = 'SELECT usermgmt.current_tenant_id() IS NOT NULL, count(*) > 0 FROM pg_class';

	ask($reader, "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
		SELECT usermgmt.use_session('$token', 'connection')");
	like(ask($reader, "EXPLAIN $parallel"), qr/Gather/, 'there is a parallel query');
	is(ask($reader, $parallel) . $reader->{stderr}, 't|t', 'R21: the acting user is known in it');
	ask($reader, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class');
	$node->safe_psql('app', "UPDATE usermgmt.session SET state = 'revoked', ended_at = now() WHERE user_id = '$id'");
	like(ask($reader, $parallel) . $reader->{stderr}, qr/^[tf]\|t$/, 'R21: after a revocation it raises nothing');
	is(ask($reader, 'SELECT usermgmt.current_user_id() IS NULL') . $reader->{stderr}, 't', 'R21: and the next statement sees the revocation');
	ask($reader, 'ROLLBACK');
	is(ask($reader, $parallel) . $reader->{stderr}, 'f|t', 'R21: as does the next parallel one');
	$reader->quit;
}

# An upgrade that makes a column anew; it comes last, for triggers go with the column.
{
	my ($id, $token) = person();
	my ($reader, $owner) = map { connection($node, 'app') } 1 .. 2;

	my $pid = ask($reader, "SELECT usermgmt.use_session('$token', 'connection') \\g /dev/null\nSELECT pg_backend_pid()");
	ask($owner, <<'SQL');
BEGIN;
ALTER TABLE usermgmt.session DROP COLUMN token_hash CASCADE;
ALTER TABLE usermgmt.session ADD COLUMN token_hash bytea NOT NULL DEFAULT '\x00';
UPDATE usermgmt.session SET last_used_at = now();
COMMIT;
SQL
	is($owner->{stderr} =~ /ERROR/ ? $owner->{stderr} : '', '', 'the column is dropped and made anew');
	foreach my $sql ('SELECT usermgmt.current_user_id()', "SELECT usermgmt.use_session('$token')")
	{
		like(sqlstate($reader, $sql), qr/^(?:none|UM001)$/, "R21: a backend that knew the old column survives: $sql");
	}
	is(ask($reader, 'SELECT pg_backend_pid()'), $pid, 'R21: it is the same backend');
	$_->quit foreach $reader, $owner;
}

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|terminated by signal/, 'no backend died');
done_testing();
