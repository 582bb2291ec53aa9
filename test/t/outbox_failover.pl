# F19: the server fails over to its standby while relays send; what was reported
# stays reported, the rest goes on there, and nothing is lost.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
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
$standby->stop;

done_testing();
