# Notifications: a sleeping relay is woken at commit, outside listeners hear of
# events, and neither stands in anybody's way.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('notify', conf => "max_prepared_transactions = 5\n");
$node->safe_psql('app', q(SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example')));

my $writer = connection($node, 'app');
my $relay  = connection($node, 'app');
ask($writer, q(SELECT usermgmt.use_tenant('acme')));
ask($relay,  'LISTEN usermgmt_outbox');

my $number = 0;

# The statement that invites one more person.
sub inviting
{
	return 'SELECT FROM usermgmt.invite_user(\'user' . ++$number . '@acme.example\');';
}

# The relay goes to sleep: it polls, finds nothing more, and asks how long.
sub fall_asleep
{
	ask($relay, q(SELECT count(*) FROM usermgmt.outbox_claim('relay', 1000)));
	ask($relay, 'SELECT usermgmt.outbox_next_due()');
	return scalar notifications($relay);
}

sub wakes
{
	my ($times, $sql, $name) = @_;

	fall_asleep();
	ask($writer, $sql);
	is($writer->{stderr}, '', "$name: without an error");
	is_deeply([ notifications($relay) ], [ ('usermgmt_outbox') x $times ], $name);
}

is(ask($writer, inviting()) . $writer->{stderr}, '', 'a mail is queued while no relay sleeps');
is_deeply([ notifications($relay) ], [], 'S2.12: a relay that has not gone to sleep is not notified');
wakes(1, inviting(), 'S2.12: a relay that sleeps is notified at commit');
wakes(1, 'BEGIN; ' . inviting() . inviting() . inviting() . 'COMMIT', 'S2.12: once for a whole transaction');
wakes(0, 'BEGIN; ' . inviting() . 'ROLLBACK', 'B4: not after a rollback');
wakes(0, 'BEGIN; SELECT; COMMIT', 'S2.12: not for a transaction that queues nothing');

fall_asleep();
ask($writer, 'BEGIN; ' . inviting());
is_deeply([ notifications($relay) ], [], 'B4: not before the commit');
ask($writer, 'COMMIT');
is_deeply([ notifications($relay) ], ['usermgmt_outbox'], 'S2.12: but at it');
ask($relay, q(SELECT count(*) FROM usermgmt.outbox_claim('relay', 1000)));
ask($writer, inviting());
is_deeply([ notifications($relay) ], [], 'S2.12: a relay that claims is awake again, and not notified');

ask($writer, 'SET usermgmt.notify = off');
wakes(0, inviting(), 'F14: with usermgmt.notify off nobody is notified');
is(ask($relay, q(SELECT count(*) FROM usermgmt.outbox_claim('relay', 1000))), 1, 'F14: and a poll finds the mail');
ask($writer, 'RESET usermgmt.notify');

wakes(0, 'BEGIN; ' . inviting() . "PREPARE TRANSACTION 'invited'; COMMIT PREPARED 'invited'",
	'F14: two-phase commit works after invite_user(), without a notification');
is(ask($relay, q(SELECT count(*) FROM usermgmt.outbox_claim('relay', 1000))), 1, 'B4: and a poll finds the mail');
wakes(0, 'BEGIN; ' . inviting() . "PREPARE TRANSACTION 'invited'; ROLLBACK PREPARED 'invited'",
	'F14: two-phase rollback works too');
is(ask($relay, q(SELECT count(*) FROM usermgmt.outbox_claim('relay', 1000))), 0, 'B4: and leaves no mail');

wakes(1, inviting(), 'S2.12: the next one is notified of again');
$relay->quit;
$relay = connection($node, 'app');
ask($relay, 'LISTEN usermgmt_outbox');
ask($writer, inviting());
is_deeply([ notifications($relay) ], [], 'S2.12: a relay that is gone counts as asleep no more');

# A full queue, or a channel that nobody hears, does not fail the issue.
{
	my $stuck = connection($node, 'app');
	ask($stuck, 'LISTEN usermgmt_outbox; BEGIN; SELECT');
	wakes(1, inviting(), 'F14: a listener that is stuck in a transaction delays nobody');
	$stuck->quit;
}

# Events for outside listeners.
my $listener = connection($node, 'app');
ask($listener, 'LISTEN usermgmt_event');
ask($writer, inviting());
is_deeply([ notifications($listener) ], [], 'S2.12: usermgmt.notify_events is off by default');
ask($writer, 'SET usermgmt.notify_events = on');
ask($writer, 'BEGIN; ' . inviting() . 'ROLLBACK');
is_deeply([ notifications($listener) ], [], 'S2.12: what was rolled back is no event');
ask($writer, inviting());
my $created = ask($writer,
	"SELECT event_id FROM usermgmt.audit_event WHERE subject_email = 'user$number\@acme.example' AND action = 'invitation.created'");
like($created, qr/^[0-9a-f-]{36}$/, 'an invitation leaves its event');
is_deeply([ notifications($listener) ], ["usermgmt_event:$created"],
	'S2.12: usermgmt_event carries the id of InvitationCreated and nothing else');
my $token = token_in(ask($writer, "SELECT usermgmt.invitation_link(invitation_id) FROM usermgmt.invitations WHERE email = 'user$number\@acme.example'"));
notifications($listener);
ask($writer, "SELECT FROM usermgmt.accept_invitation('$token', '$password')");
my $accepted = ask($writer,
	"SELECT event_id FROM usermgmt.audit_event WHERE subject_email = 'user$number\@acme.example' AND action = 'invitation.accepted'");
ok((grep { $_ eq "usermgmt_event:$accepted" } notifications($listener)),
	'S2.12: InvitationAccepted is notified of as well');
ask($writer, 'RESET usermgmt.notify_events');

# Events in the log.
sub logged
{
	my ($sql) = @_;
	my $from = -s $node->logfile;

	ask($writer, $sql);
	return join "\n", grep { /usermgmt event/ } split /\n/, slurp_file($node->logfile, $from);
}

is(logged(inviting()), '', 'S2.13: usermgmt.log_events is off by default');
ask($writer, 'SET usermgmt.log_events = on');
my $line = logged(inviting());
my $invited = $number;
my ($tenant, $invitation) = split /\|/,
  ask($writer, "SELECT tenant_id, invitation_id FROM usermgmt.invitations WHERE email = 'user$invited\@acme.example'");
like($line, qr/LOG:  usermgmt event: action=invitation\.created tenant=$tenant invitation=$invitation$/,
	'S2.13: InvitationCreated is one line of the log: action, tenant, object');
unlike($line, qr/\@|acme\.example/, 'S2.13: the line has no address');
$token = token_in(ask($writer, "SELECT usermgmt.invitation_link('$invitation')"));
my $lines = logged("SELECT FROM usermgmt.accept_invitation('$token', '$password', ip => '192.0.2.7')");
like($lines, qr/action=invitation\.accepted tenant=$tenant invitation=$invitation$/m, 'S2.13: so is InvitationAccepted');
unlike($lines, qr/\@|acme\.example|192\.0\.2|\Q$token\E|\Q$password\E|ums_/, 'S2.13: its lines have no address and no secret');
is(logged('BEGIN; ' . inviting() . 'ROLLBACK'), '', 'S2.13: what was rolled back is not in the log');

$_->quit foreach $writer, $relay, $listener;
$node->stop;
done_testing();
