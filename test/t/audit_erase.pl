# A person is erased from everywhere, the trail included, and it stays
# verifiable; what looks like an erasure and is none is found.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('erased');

sub one { return $node->safe_psql('app', $_[0]) }
sub acme { return (split /\n/, one("SELECT usermgmt.use_tenant('acme'); $_[0]"))[-1] }
sub problems { return one('SELECT count(*) FROM usermgmt.audit_verify()') }

one("SELECT usermgmt.create_tenant('acme', 'Acme', 'olga\@acme.example', 'Olga')");
my ($eva, $token) = join_tenant($node, 'app', 'acme', 'Eva.Leaver@acme.example', 'admin');
my ($bob) = join_tenant($node, 'app', 'acme', 'bob@acme.example');
one(qq(SELECT user_id FROM usermgmt.use_session('$token', 'connection');
	SELECT usermgmt.invite_user('ivo\@acme.example', name => 'Ivo');
	SELECT usermgmt.set_metadata('account', '$eva', '{"shoe size": 43}');
	SELECT usermgmt.request_email_change('eva.leaver\@home.example', '$password')));
one("SELECT outcome FROM usermgmt.log_in('eva.leaver\@ACME.example', '$password', ip => '192.0.2.77', user_agent => 'EvaBrowser')");
one("SELECT outcome FROM usermgmt.log_in('eva.leaver\@acme.example', 'wrong')");
acme("SELECT usermgmt.change_role('$eva', 'member', 'told eva.leaver\@acme.example so')");
one("SELECT usermgmt.audit_seal()");
is(problems(), 0, 'B16: the trail is intact before');

my $session = connection($node, 'app');
is(sqlstate($session, "SELECT usermgmt.erase_person('$eva')"), 'UM036', 'B16: a member is not erased');
is(sqlstate($session, "SELECT usermgmt.erase_person(gen_random_uuid())"), 'UM002', 'B16: nor nobody');
acme("SELECT account_closed FROM usermgmt.remove_user('$eva', confirm => true, reason => 'moved to Spain')");
my $again = invite($node, 'app', 'acme', 'eva.leaver@acme.example');
is(sqlstate($session, "SELECT usermgmt.erase_person('$eva')"), 'UM036', 'B16: nor who is invited again');
acme("SELECT usermgmt.revoke_invitation('$again')");
is(sqlstate($session, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT usermgmt.erase_person('$eva')"), '25000', 'D25: nor with an old snapshot');
ask($session, 'ROLLBACK');
one("SELECT usermgmt.audit_seal()");
my $checkpoint = one('SELECT usermgmt.audit_checkpoint()');
my $kept = q(SELECT md5(string_agg(concat_ws('|', event_id, tenant_id, occurred_at, actor_user_id, actor_db_role, session_id, action, object_type, transaction_id, epoch), ',' ORDER BY event_id))
	FROM usermgmt.audit_event WHERE event_id <= ');
my $last = one('SELECT max(event_id::text) FROM usermgmt.audit_event');
my $before = one("$kept$last'");

# D25: a writer that came first is waited for, and its event erased.
ask($session, "BEGIN; UPDATE usermgmt.invitation SET revoke_reason = 'eva.leaver\@acme.example asked' WHERE invitation_id = '$again'");
my $eraser = connection($node, 'app');
$eraser->query_until(qr/sent/, "\\echo sent\nSELECT usermgmt.erase_person('$eva', 'asked for it');\n");
$node->poll_query_until('app', "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%erase_person%'");
# So is one that only names her, in an event of which the first pass sees nothing.
my $late = connection($node, 'app');
ask($late, "BEGIN; SELECT usermgmt.use_tenant('acme'); SELECT usermgmt.change_role('$bob', 'admin', 'after EVA.leaver\@acme.example')");
ask($session, 'COMMIT');
$node->poll_query_until('app', "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'usermgmt.audit_event'::regclass AND NOT granted");
is(one("SELECT count(*) FROM usermgmt.audit_event WHERE reason ~ 'EVA'"), 0, 'D25: an event of the end of the erasure is not there yet');
ask($late, 'COMMIT');
my $erased = ask($eraser, 'SELECT 0');
$erased =~ /^(\d+)$/m;
cmp_ok($1, '>', 10, "B16: the person was erased from $1 events");

# Not a trace, in any table.
sub traces
{
	my @found;

	foreach my $table (split /\n/, one(q(SELECT oid::regclass FROM pg_class WHERE relnamespace = 'usermgmt'::regnamespace AND relkind = 'r')))
	{
		push @found, $table if one("SELECT count(*) FROM $table AS t WHERE t::text ~* '(eva.leaver|192\\.0\\.2\\.77|evabrowser|shoe size|spain)'");
	}
	return "@found";
}
is(traces(), '', 'B16, D25: no table has her address, name, network address, browser, metadata or reasons any more');
cmp_ok(one("SELECT count(*) FROM usermgmt.audit_event WHERE actor_user_id = '$eva' OR object_id = '$eva'"), '>', 5, 'B16: her id is the pseudonym that stays');
is(one("$kept$last'"), $before, 'B16: who did what when to which object is as it was');
is(one("SELECT count(*) FROM usermgmt.audit_event WHERE new ->> 'name' = 'Ivo' AND actor_user_id = '$eva'"), 1, 'B16: what she did to others stays');
is(one("SELECT reason FROM usermgmt.audit_event WHERE action = 'person.erased'"), 'asked for it', 'B16: the erasure is an event');
is(problems(), 0, 'B16: the trail is intact');
is(one("SELECT count(*) FROM usermgmt.audit_verify_checkpoint('$checkpoint')"), 0, 'B16: and fits the checkpoint from before');
one("SELECT usermgmt.audit_seal()");
is(problems(), 0, 'B16: also once the erasure is sealed');
is(ask($eraser, "SELECT usermgmt.erase_person('$eva')"), 0, 'B16: a second time there is nothing left');
is(sqlstate($eraser, "UPDATE usermgmt.audit_event SET reason = NULL"), '42501', 'B5: the trail is locked again');

# D25: who writes after that keeps only what is left.
acme("SELECT usermgmt.link_previous_account('$eva', '$bob')");
is(one("SELECT subject_email FROM usermgmt.audit_event WHERE action = 'account.linked'"), "erased-$eva\@erased.invalid", 'D25: a later event has the pseudonym');

# The same events hold another person, who is erased later.
acme("SELECT account_closed FROM usermgmt.remove_user('$bob', confirm => true)");
one("SELECT usermgmt.audit_seal()");
cmp_ok(one("SELECT usermgmt.erase_person('$bob')"), '>', 5, 'B16: another person is erased');
is(problems(), 0, 'B16: the trail is intact');

# What is no lawful erasure is found.
my %forgery = (
	'an erasure that was never recorded' => "UPDATE usermgmt.audit_event SET reason = 'erased', salt = gen_random_uuid() WHERE event_id = (SELECT event_id FROM usermgmt.audit_event WHERE action = 'tenant.created')",
	'an erased event changed again' => "UPDATE usermgmt.audit_event SET new = '{\"role\": \"owner\"}' WHERE event_id = (SELECT event_id FROM usermgmt.audit_erasure ORDER BY 1 LIMIT 1)",
	'a record of an erasure removed' => 'DELETE FROM usermgmt.audit_erasure WHERE event_id = (SELECT event_id FROM usermgmt.audit_erasure ORDER BY 1 LIMIT 1)',
	'every record removed' => 'DELETE FROM usermgmt.audit_erasure',
	'a record changed' => "UPDATE usermgmt.audit_erasure SET after = set_byte(after, 3, (get_byte(after, 3) + 1) % 256) WHERE event_id = (SELECT event_id FROM usermgmt.audit_erasure ORDER BY 1 LIMIT 1)",
	'the event of an erasure removed' => "DELETE FROM usermgmt.audit_event WHERE action = 'person.erased' AND event_id IN (SELECT erasure_id FROM usermgmt.audit_erasure)",
	'a record added to an erasure' => q(INSERT INTO usermgmt.audit_erasure SELECT r.erasure_id, e.tenant_id, e.event_id, r.before, r.after FROM usermgmt.audit_event AS e, usermgmt.audit_erasure AS r WHERE e.action = 'tenant.created' LIMIT 1));
foreach my $what (sort keys %forgery)
{
	cmp_ok((split /\n/, one("BEGIN; SET LOCAL session_replication_role = replica; $forgery{$what}; SELECT count(*) FROM usermgmt.audit_verify(); ROLLBACK"))[-1],
		'>', 0, "B16: found: $what");
}
is(problems(), 0, 'B16: undone, the trail is intact');

# Retention: whole seals go, with what they hold of erasures, and only if intact.
one("SELECT usermgmt.audit_seal()");
my $unsealed_from = one('SELECT max(seal_no) FROM usermgmt.audit_seal');
my $old = one("SELECT sealed_at + interval '1 microsecond' FROM usermgmt.audit_seal WHERE seal_no = 2");
my $held = one("SELECT sum(event_count) FROM usermgmt.audit_seal WHERE seal_no <= 2");
$checkpoint = one('SELECT usermgmt.audit_checkpoint()');
is((split /\n/, one("\\set ON_ERROR_STOP 0\n\\set ON_ERROR_ROLLBACK on\nBEGIN; SET LOCAL session_replication_role = replica; UPDATE usermgmt.audit_event SET action = 'x' WHERE action = 'tenant.created';
	SELECT usermgmt.audit_retire('$old');\n\\echo :SQLSTATE\nROLLBACK"))[-1], '55000', 'R17: what does not verify is not retired');
is(one("SELECT usermgmt.audit_retire('2000-01-01')"), 0, 'R17: nothing is older than the first seal');
is(one("SELECT usermgmt.audit_retire('$old', 'retention')"), $held, 'R17: the events of two seals are retired');
is(problems(), 0, 'R17: the rest is intact');
is(one("SELECT count(*) FROM usermgmt.audit_verify_checkpoint('$checkpoint')"), 0, 'R17: and fits the checkpoint from before');
is(one("SELECT concat_ws(' ', new ->> 'first_seal', new ->> 'last_seal', new ->> 'events', reason) FROM usermgmt.audit_event WHERE action = 'audit.retired'"),
	"1 2 $held retention", 'R17: a tombstone says what went');
one("SELECT usermgmt.audit_seal()");
is(one("SELECT usermgmt.audit_retire(clock_timestamp()) > 0"), 't', 'R17: everything sealed can go');
is(one("SELECT string_agg(action, ' ' ORDER BY event_id) FROM usermgmt.audit_event"), 'audit.retired', 'R17: the tombstone stays, being not sealed yet');
is(one("SELECT count(*) FROM usermgmt.audit_erasure"), 0, 'R17: records of erasures go with their events');
is(problems(), 0, 'R17: the seals are intact');
is(one('SELECT usermgmt.audit_seal()'), 1, 'R17: the tombstone is sealed');
is(one("SELECT count(*) FROM usermgmt.audit_verify_checkpoint('$checkpoint')"), 0, 'R17: the checkpoint still fits');
foreach my $forged ("DELETE FROM usermgmt.audit_event WHERE action = 'audit.retired'", "UPDATE usermgmt.audit_seal SET members = NULL, retired_by = (SELECT event_id FROM usermgmt.audit_event) WHERE members IS NOT NULL",
	"INSERT INTO usermgmt.audit_event (tenant_id, event_id, occurred_at, actor_db_role, action, object_type, transaction_id, epoch) SELECT gen_random_uuid(), gen_random_uuid(), now(), 'x', 'x', 'x', last_transaction_id, 0 FROM usermgmt.audit_seal WHERE seal_no = 1")
{
	cmp_ok((split /\n/, one("BEGIN; SET LOCAL session_replication_role = replica; $forged; SELECT count(*) FROM usermgmt.audit_verify(); ROLLBACK"))[-1],
		'>', 0, 'R17: found after retirement: ' . substr $forged, 0, 40);
}

# Restored, it verifies and is as empty of her.
my $dump = PostgreSQL::Test::Utils::tempdir . '/dump';
run_log([ 'pg_dump', '-f', $dump, '-d', $node->connstr('app') ]) or die;
unlike(slurp_file($dump), qr/eva\.leaver/i, 'B16: a dump has no trace of her');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE template0');
run_log([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('copy'), '-f', $dump ]) or die;
is($node->safe_psql('copy', 'SELECT count(*) FROM usermgmt.audit_verify()'), 0, 'B16, R19: the restored trail is intact');
$_->quit foreach $session, $eraser;
$node->stop;
done_testing();
