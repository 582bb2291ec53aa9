# F14: the server's queue of notifications is full, 8 GB of it: whoever notifies
# fails, and whoever queues mail does not.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

plan skip_all => 'it writes 8 GB; run by ./run soak' unless $ENV{USERMGMT_SOAK};
my ($free) = (split /\n/, qx(df --output=avail -BG "$PostgreSQL::Test::Utils::tmp_check"))[1] =~ /(\d+)/;
plan skip_all => "it needs 12 GB of disk, and $free GB are free" if $free < 12;

$PostgreSQL::Test::Utils::timeout_default = 900;
my $node   = start_node('full');
my $writer = connection($node, 'app');
my $relay  = connection($node, 'app');
my $stuck  = connection($node, 'app');
my $number = 0;
ask($writer, q(SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example')));
ask($writer, q(SELECT usermgmt.use_tenant('acme')));
ask($relay,  'LISTEN usermgmt_outbox');

sub claimed { return ask($relay, q(SELECT count(*) FROM usermgmt.outbox_claim('relay', 1000))) }

# The relay sleeps, and somebody is invited: the SQLSTATE of it.
sub invited
{
	claimed();
	ask($relay, 'SELECT usermgmt.outbox_next_due()');
	notifications($relay);
	return sqlstate($writer, 'SELECT FROM usermgmt.invite_user(\'p' . ++$number . '@acme.example\')');
}

sub usage { return ask($writer, 'SELECT notify_queue_usage FROM usermgmt.server_statistics') }

is(invited(), 'none', 'a mail is queued');
is_deeply([ notifications($relay) ], ['usermgmt_outbox'], 'and the relay is woken');

ask($stuck, 'LISTEN junk; BEGIN; SELECT');
my ($rounds, $state) = (0, 'none');
my $fill = "SELECT count(pg_notify('junk', repeat('x', 7980) || n)) FROM generate_series(1, 10000) AS n";
while ($state eq 'none' && $rounds++ < 200)
{
	$state = sqlstate($writer, $fill);
}
is($state, '54000', 'F14: the queue of notifications is full, and who notifies fails');
is(sqlstate($writer, 'NOTIFY junk'), '54000', 'F14: even with little');
cmp_ok(usage(), '>', 0.99, 'R29: server_statistics shows it');

is(invited(), 'none', 'F14: inviting does not fail because of it');
is_deeply([ notifications($relay) ], [], 'F14: nobody is notified');
is(claimed(), 1, 'F14: and a poll finds the mail');
ask($writer, 'SET usermgmt.notify_events = on');
is(invited(), 'none', 'F14: nor does it with an event for outside listeners');
is(claimed(), 1, 'F14: whose mail is found, too');
ask($writer, 'RESET usermgmt.notify_events');

$stuck->quit;
cmp_ok(usage(), '<', 0.01, 'F14: when the listener is gone the queue is empty');
is(invited(), 'none', 'F14: the next mail is queued');
is_deeply([ notifications($relay) ], ['usermgmt_outbox'], 'F14: and wakes the relay again');
diag("F14: 0 of 2 commits failed with a queue that $rounds times 10,000 notifications had filled");

$_->quit foreach $writer, $relay;
$node->stop;
done_testing();
