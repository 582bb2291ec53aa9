# The server is stopped at once, at any moment: after the restart every mail has
# its change and every change its mail, and nothing needs repair.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use UsermgmtTest;

my $rounds = $ENV{USERMGMT_SOAK} ? 20 : 6;
my $node   = start_node('crash');
$node->safe_psql('app', q(SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example')));

sub value
{
	return $node->safe_psql('app', $_[0]);
}

sub crash
{
	$node->stop('immediate');
	$node->start;
}

# Open transactions, one of them a relay's claim; and a claim that is committed.
{
	my $holder = connection($node, 'app');
	is(ask($holder, q(SELECT count(*) FROM usermgmt.outbox_claim('holder', 1))), 1, 'a relay holds a claim');

	value("SELECT usermgmt.use_tenant('acme'); SELECT FROM usermgmt.invite_user('kept\@acme.example')");
	my @open = map { connection($node, 'app') } 1 .. 4;
	ask($_, "SELECT usermgmt.use_tenant('acme'); BEGIN") foreach @open;
	ask($open[0], q(SELECT FROM usermgmt.invite_user('lost@acme.example')));
	ask($open[1], q(SELECT FROM usermgmt.create_tenant('lost', 'Lost', 'founder@lost.example')));
	ask($open[2], q(SELECT FROM usermgmt.request_password_reset('founder@acme.example')));
	is(ask($open[3], q(SELECT count(*) FROM usermgmt.outbox_claim('claimer'))), 1, 'another is claiming');
	is(join('', map { $_->{stderr} } @open), '', 'transactions are open');
	crash();
	eval { $_->quit } foreach @open, $holder;

	is(value('SELECT string_agg(recipient, \' \' ORDER BY recipient) FROM usermgmt.outbox'),
		'founder@acme.example kept@acme.example', 'B4, R18: no mail of uncommitted work is there after a crash');
	is(value(q(SELECT count(*) FROM usermgmt.invitation WHERE email LIKE 'lost@%')) . value(q(SELECT count(*) FROM usermgmt.tenant)),
		'01', 'R18: nor is the work itself');
	is(value(q(SELECT string_agg(state || ' by ' || coalesce(worker, 'nobody'), ', ' ORDER BY recipient) FROM usermgmt.outbox)),
		'claimed by holder, queued by nobody', 'R18: a committed claim is there, one that was not committed is not');
	is(value(q(SELECT string_agg(recipient || ' ' || fence, ' ' ORDER BY recipient) FROM usermgmt.outbox_claim('next'))),
		'founder@acme.example 2 kept@acme.example 1', 'R2, R18: the next relay takes over at once what the dead one had claimed');
}

# Transactions under way from four clients, a third of them rolled back, also to
# a savepoint, when the server stops.
my $script = "$PostgreSQL::Test::Utils::tmp_check/load.sql";
append_to_file($script, <<'SQL');
\set n random(1, 1000000000)
\set dice random(1, 6)
BEGIN;
SELECT usermgmt.use_tenant('acme');
SELECT FROM usermgmt.invite_user('user' || :n || '@acme.example') AS i, usermgmt.revoke_invitation(i.invitation_id) WHERE :dice = 6;
SELECT FROM usermgmt.invite_user('user' || :n || 'a@acme.example');
\if :dice < 3
SAVEPOINT s;
SELECT FROM usermgmt.invite_user('user' || :n || 'b@acme.example');
ROLLBACK TO s;
SELECT FROM usermgmt.invite_user('user' || :n || 'c@acme.example');
\endif
\if :dice = 3
ROLLBACK;
\else
COMMIT;
\endif
SQL

my ($missing, $orphan, $wrong, $changed) = (0, 0, 0, 0);
foreach my $round (1 .. $rounds)
{
	my ($out, $err) = ('', '');
	my $before = value('SELECT count(*) FROM usermgmt.invitation');
	my $load = IPC::Run::start(
		[ 'pgbench', '-n', '-c', 4, '-T', 60, '-f', $script, '-d', $node->connstr('app') ],
		'>', \$out, '2>', \$err);
	$node->poll_query_until('app', "SELECT count(*) > $before FROM usermgmt.invitation");
	usleep(rand 250_000);
	crash();
	$load->finish;

	$missing += value(<<'SQL');
SELECT count(*) FROM usermgmt.invitation AS i
WHERE (SELECT count(*) FROM usermgmt.outbox AS o WHERE o.subject_id = i.invitation_id AND o.tenant_id = i.tenant_id) <> 1
SQL
	$orphan += value(<<'SQL');
SELECT count(*) FROM usermgmt.outbox AS o WHERE kind = 'invitation'
AND NOT EXISTS (SELECT FROM usermgmt.invitation AS i WHERE o.subject_id = i.invitation_id AND o.tenant_id = i.tenant_id)
SQL
	$wrong += value(<<'SQL');
SELECT (SELECT count(*) FROM usermgmt.invitation AS i
		WHERE (SELECT count(*) FROM usermgmt.audit_event AS e WHERE e.object_id = i.invitation_id::text)
			<> CASE state WHEN 'pending' THEN 1 ELSE 2 END
			OR (SELECT o.state = 'cancelled' FROM usermgmt.outbox AS o WHERE o.subject_id = i.invitation_id) <> (state = 'revoked'))
	+ (SELECT count(*) FROM usermgmt.invitation WHERE email LIKE '%b@acme.example')
	+ (SELECT count(*) FROM usermgmt.tenant AS t WHERE owner_count <>
		(SELECT count(*) FROM usermgmt.membership AS m WHERE m.tenant_id = t.tenant_id AND role = 'owner' AND status = 'active'))
SQL
	$changed = value('SELECT count(*) FROM usermgmt.invitation');
	cmp_ok($changed, '>', $before, "round $round: work was under way when the server stopped");
}
is($missing, 0, 'R1, B4: after each crash every committed invitation has its one mail');
is($orphan,  0, 'R1, B4: and every mail its invitation');
is($wrong,   0, 'R18: and the trail, the states and the owner counts agree');
value("SELECT FROM usermgmt.outbox_claim('last', 1000)");
is(value("SELECT count(*) FROM usermgmt.outbox WHERE state = 'claimed' AND worker <> 'last'"),
	0, 'R18: the next claim needs no repair before it');
diag("R1, R18: $missing missing, $orphan orphan of $changed committed, $rounds immediate stops under load");

$node->stop;
done_testing();
