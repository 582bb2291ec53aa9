# F19: the server fails over to its standby while relays send; what was reported
# stays reported, the rest goes on there, and nothing is lost. A standby that was
# behind has lost the tail, of mails and changes alike, and repeats what it does
# not know to be sent under the same Message-ID.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $primary = start_node('first', streaming => 1);
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('second');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
$primary->safe_psql('postgres', q(ALTER SYSTEM SET synchronous_standby_names = '*'));
$primary->safe_psql('postgres', q(ALTER SYSTEM SET synchronous_commit = 'remote_apply'));
$primary->reload;

$primary->safe_psql('app', q(SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example')));
$primary->safe_psql('app', "SELECT usermgmt.use_tenant('acme');"
	  . " SELECT FROM generate_series(1, 30) AS n, LATERAL usermgmt.invite_user('p' || n || '\@acme.example')");

my $relay = connection($primary, 'app');
ask($relay, q(CREATE TEMP TABLE mine AS SELECT * FROM usermgmt.outbox_claim('relay', 20)));
is(ask($relay, q(SELECT count(*) FROM mine)), 20, 'F19: a relay holds 20 of 31 mails');
is( ask(
		$relay,
		q(SELECT count(*) FROM (SELECT * FROM mine ORDER BY message_id LIMIT 10) AS m
			WHERE usermgmt.outbox_sending(message_id, fence) AND usermgmt.outbox_sent(message_id, fence, '250'))),
	10,
	'F19: and reports 10 as sent');
is( ask($relay, q(SELECT usermgmt.outbox_sending(message_id, fence) FROM mine ORDER BY message_id DESC LIMIT 1)),
	't', 'F19: one is at its final dot');

is( $standby->safe_psql('app', 'SELECT count(*) FROM usermgmt.outbox'), 31, 'F19: the standby has them all');
my ($code, undef, $words) = $standby->psql('app', q(SELECT usermgmt.outbox_claim('early')));
isnt($code, 0, 'F19: a relay at the standby claims nothing');
like($words, qr/read-only|recovery/, 'F19: and is told why');

$primary->stop('immediate');
eval { $relay->quit };
$standby->promote;

is( $standby->safe_psql('app', q(SELECT count(*) FILTER (WHERE state = 'sent') || ' ' || count(*) FROM usermgmt.outbox)),
	'10 31', 'F19: what was reported stays reported after the failover');
is( $standby->safe_psql('app', q(SELECT count(*) FROM usermgmt.outbox_claim('next', 1000))),
	21, 'F19: and all the rest is claimed at the new primary at once, with nobody to wait for');

# A relay that knows both machines; the standby is behind when it takes over.
my $third = PostgreSQL::Test::Cluster->new('third');
$standby->backup('again');
$third->init_from_backup($standby, 'again', has_streaming => 1);
$third->start;

my $mails = "$PostgreSQL::Test::Utils::tmp_check/mails";
my $log   = '';
mkdir $mails;
my $both = sprintf 'host=%s,%s port=%d,%d dbname=app target_session_attrs=read-write', map({ $_->host } $standby, $third), map({ $_->port } $standby, $third);
my @relay = ($ENV{RELAY} // 'usermgmt-relay', '--verbose', '--poll-interval', 1, '--transport', "dir:$mails", '-d', $both);

sub inviting
{
	my ($name, $count) = @_;

	$standby->safe_psql('app', "SELECT usermgmt.use_tenant('acme');"
		  . " SELECT FROM generate_series(1, $count) AS n, LATERAL usermgmt.invite_user('$name' || n || '\@acme.example')");
}

# The header of each mail, by its file.
sub message_ids
{
	return map { slurp_file($_) =~ /^(Message-ID: \S+)/m; $_ => $1 } glob "$mails/*.eml";
}

inviting('q', 10);
$standby->wait_for_catchup($third);
$third->stop;
inviting('tail', 3);
my $running = IPC::Run::start(\@relay, '2>', \$log);
ok($standby->poll_query_until('app', q(SELECT count(*) = 44 FROM usermgmt.outbox WHERE state = 'sent')), 'F19: a relay sends 21 + 10 + 3 mails');
my %first = message_ids();
$standby->stop('immediate');
$third->start;
is($third->safe_psql('app', q(SELECT string_agg(DISTINCT state, ' ') FROM usermgmt.outbox WHERE recipient LIKE 'q%')), 'queued', 'F19: the standby does not know that 10 were sent');
$third->promote;
ok($third->poll_query_until('app', q(SELECT count(*) = 41 FROM usermgmt.outbox WHERE state = 'sent')), 'F19: after the failover the same relay goes on there by itself');
$running->signal('TERM');
$running->finish;
my %second = message_ids();
my $repeated = grep { my ($id) = m{([^/]+)\.eml$}; 2 == (() = $log =~ /message=$id .*outcome=sent/g) } keys %second;
is($repeated, 31, 'F19: what was sent in the lost tail, and no more, is sent again');
is_deeply(\%second, \%first, 'F19: under the same Message-IDs');
is( $third->safe_psql('app', q(SELECT (SELECT count(*) FROM usermgmt.outbox WHERE recipient LIKE 'tail%') || ' ' || (SELECT count(*) FROM usermgmt.invitation WHERE email LIKE 'tail%'))),
	'0 0', 'F19: the lost tail is lost whole, invitations and mails');
is($third->safe_psql('app', q(SELECT count(*) FROM usermgmt.check() WHERE severity = 'error')), 0, 'R18, F19: and nothing is out of order');
diag("F19: 0 lost of 41 that the standby had, $repeated of 31 that it did not know to be sent were repeated");
$third->stop;

done_testing();
