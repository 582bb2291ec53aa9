# Expiry is decided by the wall clock at the moment of use, also in a transaction
# that began before it and whose now() stands still, at every isolation level.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('expiry');
$node->safe_psql('app', <<'SQL');
CREATE ROLE web LOGIN;
SELECT usermgmt.grant_access('web', 'application');
SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example');
SQL
my @levels = ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');
my ($accepted, $tried) = (0, 0);
my $operator = connection($node, 'app');
ask($operator, "SELECT usermgmt.use_tenant('acme')");

# What was used before its end, or first after it, in a transaction of each level.
sub person { return join_tenant($node, 'app', 'acme', $_[0] . '@acme.example', 'admin') }
my %world;
foreach my $n (0 .. $#levels)
{
	my %of = map { $_ => [ person("$_$n") ] } 'bound', 'late', 'set', 'idle', 'reset';
	my $invitation = invite($node, 'app', 'acme', "guest$n\@acme.example");
	$of{link} = link_of($node, 'app', 'acme', $invitation);
	$node->safe_psql('app', "SELECT usermgmt.request_password_reset('reset$n\@acme.example')");
	$of{reset_link} = token_in($node->safe_psql('app', "SELECT text_body FROM usermgmt.outbox_claim('expiry', 1000) WHERE kind = 'password_reset' AND recipient = 'reset$n\@acme.example'"));
	$world{ $levels[$n] } = \%of;
}
my %running;
my $who = 'SELECT usermgmt.current_user_id()';
foreach my $level (@levels)
{
	foreach my $name ('bound', 'late', 'set', 'idle', 'link')
	{
		ask($running{$level}{$name} = connection($node, 'app', '-U', 'web'), $who);
	}
}
# Everything lives for a moment more; the transactions begin before its end.
my $life = "INTERVAL '2.5 s'";
$node->safe_psql('app', <<"SQL");
UPDATE usermgmt.session SET expires_at = clock_timestamp() + $life WHERE email NOT LIKE 'idle%';
UPDATE usermgmt.session SET idle_seconds = 3, last_used_at = clock_timestamp() WHERE email LIKE 'idle%';
UPDATE usermgmt.invitation SET expires_at = clock_timestamp() + $life WHERE state = 'pending';
UPDATE usermgmt.password_reset SET expires_at = clock_timestamp() + $life WHERE finished_at IS NULL;
SQL
foreach my $level (@levels)
{
	my $of = $world{$level};

	ask($_, "BEGIN ISOLATION LEVEL $level; SELECT count(*) FROM usermgmt.members") foreach values %{ $running{$level} };
	ask($running{$level}{$_}, "SELECT FROM usermgmt.use_session('$$of{$_}[1]')") foreach 'bound', 'idle';
	ask($running{$level}{set}, "SELECT set_config('usermgmt.session_token', '$$of{set}[1]', true)");
	is(ask($running{$level}{$_}, $who), $$of{$_}[0], "a session is live, $level, $_") foreach 'bound', 'set', 'idle';
	is(ask($running{$level}{link}, "SELECT i.status, r.status FROM usermgmt.preview_invitation('$$of{link}') AS i, usermgmt.preview_password_reset('$$of{reset_link}') AS r"), 'pending|pending', "links are live, $level");
}
$node->poll_query_until('app', q{SELECT bool_and(clock_timestamp() > expires_at) AND (SELECT bool_and(clock_timestamp() > last_used_at + INTERVAL '3.1 s') FROM usermgmt.session WHERE email LIKE 'idle%') FROM (
	SELECT expires_at FROM usermgmt.session WHERE email NOT LIKE 'idle%' UNION ALL SELECT expires_at FROM usermgmt.invitation WHERE state = 'pending' UNION ALL SELECT expires_at FROM usermgmt.password_reset WHERE finished_at IS NULL) AS e}) or die 'nothing expires';

# dead NAME GOT EXPECTED: one thing that must have ended.
sub dead
{
	my ($name, $got, $expected) = @_;

	$tried++;
	is($got, $expected, "R26, D18: $name") or $accepted++;
	return;
}

# The SQLSTATE, and the transaction goes on.
sub refused
{
	my ($client, $sql) = @_;
	ask($client, 'SAVEPOINT s');
	my $state = sqlstate($client, $sql);
	ask($client, 'ROLLBACK TO s');
	return $state;
}
foreach my $level (@levels)
{
	my $of = $world{$level};
	my $in = $running{$level};

	is(ask($$in{$_}, q{SELECT now() < clock_timestamp() - INTERVAL '2 s'}), 't', "now() stands still, $level, $_") foreach sort keys %$in;
	foreach my $name ('bound', 'set', 'idle')
	{
		dead("a session that was $name ends in the transaction, $level", ask($$in{$name}, "$who IS NULL AND NOT usermgmt.has_role('member') AND usermgmt.current_tenant_id() IS NULL"), 't');
		dead("no view shows it anything, $level, $name", ask($$in{$name}, 'SELECT count(*) FROM usermgmt.members'), '0');
		dead("functions refuse it, $level, $name", refused($$in{$name}, "SELECT usermgmt.update_profile('x')"), 'UM001');
		dead("nor is it rotated, $level, $name", refused($$in{$name}, 'SELECT usermgmt.rotate_session()'), 'UM001');
		dead("nor bound again, $level, $name", refused($$in{$name}, "SELECT usermgmt.use_session('$$of{$name}[1]')"), 'UM001');
	}
	dead("a session that is first used after its end is not bound, $level", refused($$in{late}, "SELECT usermgmt.use_session('$$of{late}[1]')"), 'UM001');
	dead("nor by the setting, $level", ask($$in{late}, "SELECT set_config('usermgmt.session_token', '$$of{late}[1]', true) \\g /dev/null\n$who IS NULL"), 't');
	dead("previews tell, $level", ask($$in{link}, "SELECT i.status, r.status FROM usermgmt.preview_invitation('$$of{link}') AS i, usermgmt.preview_password_reset('$$of{reset_link}') AS r"), 'expired|expired');
	dead("an invitation is not accepted, $level", refused($$in{link}, "SELECT usermgmt.accept_invitation('$$of{link}', 'seven quiet lanterns')"), 'UM011');
	dead("a password is not reset, $level", refused($$in{link}, "SELECT usermgmt.reset_password('$$of{reset_link}', 'seven quiet lanterns')"), 'UM011');
	ask($$in{$_}, 'COMMIT') foreach keys %$in;
	$$in{$_}->quit foreach keys %$in;
}
is($node->safe_psql('app', q{SELECT count(*) FROM usermgmt.membership AS m JOIN usermgmt.account AS a USING (user_id) WHERE a.email LIKE 'guest%'}), '0', 'nobody joined');
is(ask($operator, 'SELECT usermgmt.run_maintenance() IS NOT NULL'), 't', 'and what is over is swept');

# A link that ends while the call, which has looked at it, waits for somebody.
my $slow_link = link_of($node, 'app', 'acme', invite($node, 'app', 'acme', 'slow@acme.example'));
my ($slow_id, $slow_session) = person('slowreset');
my ($moving_id, $moving_session) = person('moving');
$node->safe_psql('app', <<"SQL");
SELECT usermgmt.request_password_reset('slowreset\@acme.example');
SELECT FROM usermgmt.use_session('$moving_session', 'connection');
SELECT usermgmt.request_email_change('moved\@acme.example', '$password');
SQL
my %mailed = map { my ($kind, $text) = split /\t/; $kind => token_in($text) } split /\n/,
  $node->safe_psql('app', q{SELECT kind || E'\t' || replace(text_body, E'\n', ' ') FROM usermgmt.outbox_claim('expiry', 1000) WHERE recipient IN ('slowreset@acme.example', 'moved@acme.example')});
my $holder = connection($node, 'app');
foreach my $case (
	[ 'invitation', 'tenant FOR NO KEY UPDATE', "accept_invitation('$slow_link', 'seven quiet lanterns')", "state = 'pending'" ],
	[ 'password_reset', "account WHERE user_id = '$slow_id' FOR UPDATE", "reset_password('$mailed{password_reset}', 'seven quiet lanterns')", "state = 'open'" ],
	[ 'email_change', "account WHERE user_id = '$moving_id' FOR UPDATE", "confirm_email_change('$mailed{email_change}')", "state = 'open'" ])
{
	my ($table, $lock, $call, $open) = @$case;
	my ($out, $err) = ('', '');

	ask($holder, "BEGIN; SELECT FROM usermgmt.$lock");
	my $waiting = IPC::Run::start([ 'psql', '-XAtq', '-v', 'VERBOSITY=sqlstate', '-c', "SELECT FROM usermgmt.use_session('$moving_session', 'connection')", '-c', "SELECT 'done' FROM usermgmt.$call", '-d', $node->connstr('app') . ' application_name=slow' ], '>', \$out, '2>', \$err);
	$node->poll_query_until('app', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'slow')") or die 'nobody waits';
	ask($holder, "UPDATE usermgmt.$table SET expires_at = clock_timestamp() WHERE $open");
	ask($holder, 'COMMIT');
	$waiting->finish;
	dead("a link that ended while its use waited: $table", $err =~ /ERROR:  (\w+)/ ? $1 : $out, 'UM011');
}
$holder->quit;

diag("R26, D18: $accepted of $tried uses after the end were accepted");
$operator->quit;
$node->stop;
done_testing();
