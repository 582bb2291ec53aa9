# Whom a request for a new password concerns is looked up by the relay: that
# waits for nobody, and holds up no other mail.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use UsermgmtTest;

my $node = start_node('request');
$node->safe_psql('app', q(SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example')));
my ($ann) = join_tenant($node, 'app', 'acme', 'ann@acme.example');
my ($bob) = join_tenant($node, 'app', 'acme', 'bob@acme.example');
my $relay  = connection($node, 'app');
my $holder = connection($node, 'app');
my $claim  = q(SELECT string_agg(kind || ' ' || recipient, ', ' ORDER BY message_id) FROM usermgmt.outbox_claim('relay', 1000));
my $state  = q(SELECT string_agg(state || coalesce(' ' || reply, ''), ', ' ORDER BY message_id)
	FROM usermgmt.mail_queue WHERE kind = 'password_reset' AND recipient = 'ann@acme.example');

ask($relay, $claim);
foreach my $lock ('account', 'membership')
{
	ask($relay, q(UPDATE usermgmt.password_reset SET created_at = created_at - interval '1 hour'));
	ask($holder, "BEGIN; SELECT FROM usermgmt.$lock WHERE user_id = (SELECT user_id FROM usermgmt.account WHERE email = 'ann\@acme.example') FOR UPDATE");
	ask($relay, q(SELECT usermgmt.request_password_reset('ann@acme.example'), usermgmt.request_password_reset('bob@acme.example')));
	is($relay->{stderr}, '', "R14: a person whose $lock is locked is asked for without waiting");
	is(ask($relay, $claim), 'password_reset bob@acme.example', "R5: a locked $lock holds up no other mail");
	like(ask($relay, $state), qr/queued$/, 'R2: and the request is not lost');
	is(ask($relay, 'SHOW lock_timeout'), '0', "the relay's own lock_timeout is as it was");
	ask($holder, 'ROLLBACK');
	ask($relay, q(UPDATE usermgmt.outbox SET due_at = clock_timestamp() WHERE state = 'queued'));
	is(ask($relay, $claim), 'password_reset ann@acme.example', 'R2: it is answered later');
}

# A relay that dies between the look-up and its commit leaves the request.
ask($relay, q(UPDATE usermgmt.password_reset SET created_at = created_at - interval '1 hour'));
ask($relay, q(SELECT usermgmt.request_password_reset('ann@acme.example')));
ask($relay, "BEGIN; $claim");
$relay->quit;
$relay = connection($node, 'app');
like(ask($relay, $claim), qr/password_reset ann\@acme\.example/, 'R2: a look-up that was not committed is made again');
is(ask($relay, q(SELECT count(*) FROM usermgmt.password_reset AS r JOIN usermgmt.account AS a USING (user_id)
	WHERE a.email = 'ann@acme.example' AND r.state = 'open')), 1, 'D7: and one link is open');

$_->quit foreach $relay, $holder;
$node->stop;
done_testing();
