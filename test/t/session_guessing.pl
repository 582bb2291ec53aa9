# Guessing is limited, and nobody is locked out by it: 64 clients guess at one
# address at once, for an hour of moved clocks.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $clients = 64;
my $hour    = 3600;
my $node    = start_node('guessing', conf => "max_connections = 90\n");
my $directory = $PostgreSQL::Test::Utils::tmp_check;
$node->safe_psql('app', <<'SQL');
CREATE ROLE web LOGIN;
SELECT usermgmt.grant_access('web', 'application');
SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example');
CREATE TABLE guess (outcome text);
GRANT INSERT ON guess TO web;

-- As if that much time had passed: the wait that is left, taken away.
CREATE TABLE moved (seconds double precision);
CREATE FUNCTION move_clock(address text) RETURNS void LANGUAGE sql AS $$
	WITH t AS (
		SELECT t.address, extract(epoch FROM t.next_try_at - clock_timestamp()) AS seconds FROM usermgmt.login_throttle AS t WHERE t.address = $1 AND t.next_try_at > clock_timestamp()
	), past AS (
		UPDATE usermgmt.login_throttle AS u SET next_try_at = u.next_try_at - make_interval(secs => t.seconds), last_failure_at = u.last_failure_at - make_interval(secs => t.seconds)
		FROM t WHERE u.address = t.address RETURNING t.seconds
	)
	INSERT INTO moved SELECT seconds FROM past
$$;
SQL
my ($ann, $ann_token) = join_tenant($node, 'app', 'acme', 'ann@acme.example');
my ($owner, $operator) = map { connection($node, 'app') } 1 .. 2;
my $log_in = "SELECT outcome FROM usermgmt.log_in('ann\@acme.example', '%s')";

sub all_of { return ask($operator, "SELECT $_[0]") }

# attack WHILE: 64 clients guess, and the clock is moved, as long as that is true.
sub attack
{
	my ($while) = @_;
	my $script = "$directory/guess.sql";
	open my $file, '>', $script or die $!;
	print $file "INSERT INTO guess SELECT outcome FROM usermgmt.log_in('ann\@acme.example', 'guess ' || random());\n\\sleep 60 ms\n";
	close $file;
	my ($out, $err) = ('', '');
	my $guessers = IPC::Run::start([ 'pgbench', '-n', '-c', $clients, '-j', 2, '-T', 120, '-U', 'web', '-f', $script, '-h', $node->host, '-p', $node->port, 'app' ], '>', \$out, '2>', \$err);
	my $rounds = 0;

	while ($rounds++ < 6000 && $while->())
	{
		ask($operator, "SELECT move_clock('ann\@acme.example')");
		select undef, undef, undef, 0.01;
	}
	$guessers->signal('INT');
	$guessers->finish;
	$node->poll_query_until('app', "SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'web'") or die 'guessers stay';
	return;
}
my $began = time;
my $simulated = sub { return all_of('coalesce(sum(seconds), 0) FROM moved') + time - $began };
attack(sub { $simulated->() < $hour });
my ($evaluated, $refused, $others) = split /\|/, all_of(q{count(*) FILTER (WHERE outcome = 'invalid_credentials'), count(*) FILTER (WHERE outcome = 'try_later'), count(*) FILTER (WHERE outcome NOT IN ('invalid_credentials', 'try_later')) FROM guess});
my $seconds = $simulated->();
is($others, 0, 'every guess is evaluated or refused');
cmp_ok($seconds, '>=', $hour, 'an hour passes');
cmp_ok($evaluated, '>=', 40, 'R15: guesses are evaluated now and then');
cmp_ok($evaluated / $seconds * $hour, '<=', 100, "R15, D24: at most 100 guesses an hour are evaluated under $clients parallel clients");
cmp_ok($refused, '>=', $clients, 'and the others are refused');

# The owner, after it, with a wait that has just begun.
for (1 .. 3)
{
	last if ask($owner, sprintf $log_in, 'x') eq 'try_later';
}
my $wait = all_of(q{extract(epoch FROM max(next_try_at) - clock_timestamp()) FROM usermgmt.login_throttle});
cmp_ok($wait, '<=', 60, 'R15: the longest wait is a minute');
is(ask($owner, sprintf $log_in, $password), 'try_later', 'R15: within it the right password waits as well');
like(ask($owner, "SELECT detail FROM usermgmt.log_in('ann\@acme.example', 'x')"), qr/"retry_after": (?:[1-9]|[1-5]\d|6[01])}/, 'R15: and the answer says how long');
is(ask($owner, "SELECT usermgmt.use_session('$ann_token') IS NOT NULL"), 't', 'R15: a session that is open goes on');
all_of("move_clock('ann\@acme.example')");
is(ask($owner, sprintf $log_in, $password), 'ok', 'R15: after it the right password gets in, at the first try');

# The way by mail, in the middle of another attack.
all_of("usermgmt.set_tenant_setting('password_reset_ttl', '1 h') FROM usermgmt.use_tenant('acme')");
my ($step, $result) = (0, '');
attack(sub {
	return 1 if $step++ < 20;
	ask($owner, "SELECT usermgmt.request_password_reset('ann\@acme.example')");
	my $token = token_in(ask($owner, "SELECT text_body FROM usermgmt.outbox_claim('guessing', 1000) WHERE kind = 'password_reset'"));
	$result = sqlstate($owner, "SELECT usermgmt.reset_password('$token', 'seven quiet lanterns')");
	return 0;
});
is($result, 'none', 'R15: a reset works in the middle of an attack');
all_of("move_clock('ann\@acme.example')");
is(ask($owner, sprintf $log_in, 'seven quiet lanterns'), 'ok', 'R15: and the new password gets in');

# All at once, at an address that nobody has.
{
	my $script = "$directory/burst.sql";
	append_to_file($script, "INSERT INTO guess SELECT 'burst ' || outcome FROM usermgmt.log_in('ghost\@acme.example', 'guess ' || random());\n");
	command_ok([ 'pgbench', '-n', '-c', $clients, '-j', 2, '-t', 2, '-U', 'web', '-f', $script, '-h', $node->host, '-p', $node->port, 'app' ], 'a burst');
	my ($in_row, $seen) = split /\|/, all_of(q{(SELECT failures FROM usermgmt.login_throttle WHERE address = 'ghost@acme.example'), count(*) FROM guess WHERE outcome = 'burst invalid_credentials'});
	is($in_row, $seen, 'R15, D24: no failure of a burst is lost');
	cmp_ok($seen, '<=', 12, 'R15: and few of it are evaluated');
}

# Whoever owns the account signs in again and again, and so gives nobody guesses.
{
	my $guesser = connection($node, 'app', '-U', 'web');
	my $got = 0;

	ask($operator, "DELETE FROM usermgmt.login_throttle; TRUNCATE moved");
	for my $minute (1 .. 60)
	{
		my $until = $minute * 60;

		while (all_of('coalesce(sum(seconds), 0) FROM moved') < $until)
		{
			$got++ if ask($guesser, sprintf $log_in, 'a guess') eq 'invalid_credentials';
			all_of("move_clock('ann\@acme.example')");
		}
		ask($owner, sprintf $log_in, 'seven quiet lanterns');
	}
	cmp_ok($got, '<=', 100, 'R15: at most 100 guesses an hour also at the address of somebody who signs in every minute');
	diag("R15: $got guesses in an hour in which the owner signs in every minute");
	$guesser->quit;
}

# A wrong present password is an error, which takes back everything but this.
{
	my $token = ask($operator, "SELECT session_token FROM usermgmt.log_in('ann\@acme.example', 'seven quiet lanterns')");
	my %answer;

	ask($operator, 'DELETE FROM usermgmt.login_throttle');
	foreach my $call (map { (q(change_password('a guess', 'another long one')), q(request_email_change('x@acme.example', 'a guess'))) } 1 .. 10)
	{
		my $thief = connection($node, 'app', '-U', 'web');

		ask($thief, "SELECT FROM usermgmt.use_session('$token', 'connection')");
		$answer{ sqlstate($thief, "SELECT usermgmt.$call") }++;
		$thief->quit;
	}
	is(join(' ', sort keys %answer), 'UM020 UM022', 'R15: who has stolen a session is throttled too');
	cmp_ok($answer{UM020}, '<=', 12, "R15: with a new connection for every guess at its password: $answer{UM020} of 20 evaluated");
	cmp_ok(ask($operator, "SELECT failures FROM usermgmt.login_throttle WHERE address = 'ann\@acme.example'"), '>', 5, 'R15: the failures are written down');

	# Nor do the settings of the database, with which the worker that counts begins.
	ask($operator, 'DELETE FROM usermgmt.login_throttle');
	ask($operator, "ALTER DATABASE app SET default_transaction_read_only = on; ALTER DATABASE app SET default_transaction_isolation = 'serializable'");
	my $thief = connection($node, 'app', '-U', 'web');
	ask($thief, "SELECT FROM usermgmt.use_session('$token', 'connection')");
	ask($thief, "BEGIN READ WRITE; SELECT usermgmt.change_password('a guess', 'another long one')");
	$thief->quit;
	is(ask($operator, 'SELECT failures FROM usermgmt.login_throttle'), '1', 'R15: also where transactions of the database only read by default');
	ask($operator, 'ALTER DATABASE app RESET ALL');
}

diag(sprintf 'R15, D24: %d of %d guesses by %d clients were evaluated in %d s of moved clock; longest wait %d s', $evaluated, $evaluated + $refused, $clients, $seconds, $wait);
$_->quit foreach $owner, $operator;
$node->stop;
done_testing();
