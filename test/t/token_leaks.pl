# The whole story is played, every token and password that was issued or typed
# is kept, and then all that the server has written is searched for them.

use strict;
use warnings;
use File::Find;
use FindBin;
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(decode_base64url);
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $people = 12;
my $node   = start_node('leaks',
	streaming => 1,
	conf      => <<'END');
wal_keep_size = 256MB
usermgmt.notify_events = on
usermgmt.log_events = on
shared_preload_libraries = 'usermgmt, pg_stat_statements, auto_explain'
pg_stat_statements.track = all
auto_explain.log_min_duration = 0
log_statement = all
log_min_duration_statement = 0
log_min_error_statement = debug5
END
$node->safe_psql('app', 'CREATE EXTENSION pg_stat_statements SCHEMA public');
my $listener = connection($node, 'app');
ask($listener, 'LISTEN usermgmt_event; LISTEN usermgmt_outbox; SELECT usermgmt.outbox_next_due();');

# run SQL [NAME => VALUE...]: the output; the values are variables of psql.
my $stderr = '';

sub run
{
	my ($sql, %variable) = @_;
	my ($out, $err) = ('', '');

	$node->psql(
		'app', $sql,
		stdout        => \$out,
		stderr        => \$err,
		on_error_stop => 0,
		extra_params  => [ map { ('-v', "$_=$variable{$_}") } %variable ? keys %variable : () ]);
	$stderr .= $err;
	return $out;
}

my %issued;    # secret => what it is

sub keep
{
	my ($what, $secret) = @_;

	$issued{$secret} //= $what . ' no. ' . keys %issued;
	return $secret;
}

# The tokens in the mails that are due now, by recipient; each mail is sent, or
# fails once and is claimed again.
sub mailed
{
	my %link;

	foreach (split /\n/, run(<<'SQL'))
CREATE TEMP TABLE claimed AS SELECT * FROM usermgmt.outbox_claim('leaks', 1000);
SELECT recipient || ' ' || coalesce(substring(text_body FROM 'token=([A-Za-z0-9_-]+)'), '-')
	|| ' ' || coalesce(substring(html_body FROM 'token=([A-Za-z0-9_-]+)'), '-') FROM claimed;
SELECT FROM claimed WHERE usermgmt.outbox_failed(message_id, fence, NULL, 'not now');
CREATE TEMP TABLE again AS SELECT * FROM usermgmt.outbox_claim('leaks', 1000);
SELECT FROM again WHERE usermgmt.outbox_sending(message_id, fence) AND usermgmt.outbox_sent(message_id, fence, '250 ok');
DROP TABLE claimed, again;
SQL
	{
		my ($recipient, $text, $html) = split / /;
		next if !defined $html || $text eq '-';
		die "text and html disagree" if $text ne $html;
		$link{$recipient} = keep("link mailed to $recipient", $text);
	}
	return %link;
}

sub random_password
{
	return keep('password', 'pw-' . join '', map { ('a' .. 'z')[ rand 26 ] } 1 .. 20);
}

# A tenant and its owner.
run(q(SELECT FROM usermgmt.create_tenant('acme', 'Acme', 'owner@acme.example')));
my %link  = mailed();
my $owner = random_password();
run(q(SELECT usermgmt.reset_password(:'token', :'password')), token => $link{'owner@acme.example'}, password => $owner);
my $acting = keep('session of the owner',
	run(q(SELECT session_token FROM usermgmt.log_in('owner@acme.example', :'password')), password => $owner));

# People are invited, look at their links, join, and log in.
my (%password, %session);
foreach my $n (1 .. $people)
{
	my $id = run(q(SELECT FROM usermgmt.use_session(:'token', 'connection');
		SELECT invitation_id FROM usermgmt.invite_user(:'email', message => 'Welcome')),
		token => $acting, email => "user$n\@acme.example");
	$id =~ s/\s//g;
	keep("link shown for user$n", token_in(run(
		q(SELECT FROM usermgmt.use_session(:'token', 'connection'); SELECT usermgmt.invitation_link(:'id')),
		token => $acting, id => $id)));
}
%link = mailed();
foreach my $n (1 .. $people)
{
	my $email  = "user$n\@acme.example";
	my %secret = (token => $link{$email}, password => $password{$n} = random_password());

	run(q(SELECT FROM usermgmt.preview_invitation(:'token')), %secret);
	# Some give up the first time: an aborted transaction is in the WAL too.
	keep("session rolled back", $_) foreach grep { /^ums_/ } split /\s+/,
	  run(q(BEGIN; SELECT session_token FROM usermgmt.accept_invitation(:'token', :'password'); ROLLBACK), %secret);
	keep("session of $email", $_) foreach grep { /^ums_/ } split /\s+/,
	  run(q(SELECT session_token FROM usermgmt.accept_invitation(:'token', :'password', ip => '192.0.2.7', user_agent => 'test')), %secret);
	# The second use fails, and its error goes to the log.
	run(q(SELECT FROM usermgmt.accept_invitation(:'token', :'password')), %secret);
	$session{$n} = keep("session of $email",
		run(q(SELECT session_token FROM usermgmt.log_in(:'email', :'password')), email => $email, password => $password{$n}));
	run(q(SELECT FROM usermgmt.log_in(:'email', :'password')), email => $email, password => random_password());
}

# Passwords are reset by the people and by the owner; sessions end in every way.
foreach my $n (1 .. $people)
{
	my $email = "user$n\@acme.example";

	run(q(SELECT usermgmt.request_password_reset(:'email')), email => $email) if $n % 2;
	run(q(SELECT FROM usermgmt.use_session(:'token', 'connection');
		SELECT usermgmt.send_password_reset(user_id) FROM usermgmt.members WHERE email = :'email'),
		token => $acting, email => $email) if !($n % 2);
}
%link = mailed();
foreach my $n (1 .. $people)
{
	my $email  = "user$n\@acme.example";
	my %secret = (token => $link{$email}, password => random_password(), old => $session{$n});

	next if $n % 3 == 0;    # these links stay unused
	run(q(SELECT usermgmt.reset_password(:'token', 'short')), %secret);
	run(q(SELECT usermgmt.reset_password(:'token', :'password')), %secret);
	run(q(SELECT usermgmt.reset_password(:'token', :'password')), %secret);
	run(q(SELECT FROM usermgmt.use_session(:'old')),              %secret);
	$session{$n} = keep("session of $email",
		run(q(SELECT session_token FROM usermgmt.log_in(:'email', :'password')), email => $email, %secret));
	run(q(BEGIN; SELECT FROM usermgmt.use_session(:'token'); SELECT usermgmt.log_out(); COMMIT;
		SELECT FROM usermgmt.use_session(:'token')), token => $session{$n}) if $n % 2;
	run(q(SELECT FROM usermgmt.use_session(:'token', 'connection');
		SELECT FROM usermgmt.members AS m, usermgmt.deactivate_user(m.user_id, 'left') WHERE m.email = :'email'),
		token => $acting, email => $email) if !($n % 2);
}

# Bad tokens: altered, of another purpose, of an unknown scope.
run(q(SELECT FROM usermgmt.accept_invitation(:'token' || 'A', :'password')), token => $link{'user3@acme.example'}, password => $password{3});
run(q(SELECT FROM usermgmt.accept_invitation(:'token', :'password')), token => $link{'user3@acme.example'}, password => $password{3});
run(q(SELECT FROM usermgmt.use_session(:'token', 'for ever')), token => $acting);
run(q(SELECT FROM usermgmt.use_session(:'token')), token => "x$acting");
my $notified = ask($listener, 'SELECT 1');

# Every way to send a secret, in one connection that lives on.
{
	my $client = connection($node, 'app');
	my $wrong  = random_password();
	my $seen   = 'SELECT query FROM pg_stat_activity WHERE pid = ' . ask($client, 'SELECT pg_backend_pid()');

	foreach my $statement (
		qq(SELECT usermgmt.log_in('owner\@acme.example', '$wrong')),
		qq(SELECT usermgmt.log_in('owner\@acme.example', \$\$$wrong\$\$)),
		qq(SELECT "usermgmt"."log_in"('owner\@acme.example', E'$wrong')),
		qq(WITH given AS (SELECT \$tag\$$wrong\$tag\$ AS p) SELECT USERMGMT.LOG_IN('owner\@acme.example', p) FROM given),
		qq(PREPARE p AS SELECT usermgmt.log_in(\$1, \$2); EXECUTE p('owner\@acme.example', '$wrong')),
		qq(SET pg_stat_statements.track_utility = off; DO \$do\$ BEGIN PERFORM usermgmt.log_in('owner\@acme.example', '$wrong'); END \$do\$),
		qq(SELECT usermgmt.log_in('owner\@acme.example', '$wrong' || 1/0)),
		qq(SELECT usermgmt.log_in('owner\@acme.example', '$wrong', nonsense)),
		qq(SELECT usermgmt.log_in('owner\@acme.example', '$wrong') AND),
		qq(EXECUTE nobody('owner\@acme.example', '$wrong')),
		qq(EXECUTE p('owner\@acme.example', '$wrong', 'more')),
		qq(EXECUTE p('owner\@acme.example', '$wrong'::integer::text)),
		qq(EXPLAIN EXECUTE "no body"('owner\@acme.example', '$wrong')),
		qq(PREPARE "a plan" AS SELECT usermgmt.log_in(\$1, \$2), 1/0; ),
		qq(EXECUTE "a plan"('owner\@acme.example', '$wrong')),
		qq(SELECT usermgmt.U&"l\\006fg_in"('owner\@acme.example', '$wrong')),
		qq(SELECT usermgmt.log_in('owner\@acme.example', '$wrong'::json::text)),
		qq(SELECT usermgmt.log_in('owner\@acme.example', '$wrong'::timestamptz::text)),
		qq(SET debug_print_plan = on; SELECT usermgmt.log_in('owner\@acme.example', '$wrong')),
		qq(RESET debug_print_plan),
		qq(SELECT usermgmt.sign_up('a', 'A', 'a\@a.example', '$wrong')),
		qq(SELECT usermgmt.accept_invitation('x', '$wrong')),
		qq(SELECT usermgmt.reset_password('x', '$wrong')),
		qq(SELECT usermgmt.change_password('$wrong', '$wrong')),
		qq(SELECT usermgmt.request_email_change('a\@a.example', '$wrong')),
		qq(SELECT usermgmt.confirm_email_change('$link{'user3@acme.example'}')),
		qq(SELECT usermgmt.preview_email_change('$link{'user3@acme.example'}')),
		qq(SELECT usermgmt.preview_password_reset('$link{'user3@acme.example'}')),
		qq(SELECT usermgmt.decline_invitation('$link{'user3@acme.example'}')),
		qq(BEGIN; SELECT set_config('usermgmt.session_token', '$acting', true); SELECT count(*) FROM usermgmt.members; COMMIT),
		qq(SELECT usermgmt.use_session('$acting')))
	{
		ask($client, $statement);
	}
	foreach my $call (qq(usermgmt.log_in('owner\@acme.example', '$wrong')), qq(usermgmt.use_session('$acting')))
	{
		ask($client, "SELECT $call");
		unlike(run($seen), qr/\Q$wrong\E|\Q$acting\E/, "R11: pg_stat_activity shows no secret after a call in a connection that lives on");
	}
	is(run(q(SELECT string_agg(DISTINCT p.proname, ' ' ORDER BY p.proname) FROM pg_proc AS p, unnest(p.proargnames) AS a
		WHERE p.pronamespace = 'usermgmt'::regnamespace AND a LIKE '%password')) =~ s/\s+\z//r,
		'accept_invitation change_password log_in request_email_change reset_password sign_up',
		'R11: every function that takes a password was called');
	$client->quit;
}

# The application's own wrapper, which only the setting can know.
{
	my $client = connection($node, 'app');
	my $hidden = random_password();

	ask($client, q(SET usermgmt.redact_calls = 'other, app_login';
		CREATE FUNCTION public.app_login(text, text) RETURNS void LANGUAGE sql
		AS 'SELECT usermgmt.log_in($1, $2)'));
	ask($client, "SELECT app_login('owner\@acme.example', '$hidden')");
	$client->quit;
}

my @kinds = sort values %issued;
my $count = keys %issued;
cmp_ok(scalar(grep { /^link/ } @kinds),    '>=', 2 * $people, 'the story issued links');
cmp_ok(scalar(grep { /^session/ } @kinds), '>=', 3 * $people, 'the story issued sessions');
is(run('SELECT count(*) FROM usermgmt.session') + 0, 2 * $people + 1 + int($people * 2 / 3), 'the story was played');
like($stderr, qr/already been used|used already/, 'the story had its refusals');
like($notified, qr/usermgmt_event/, 'the story was notified of');

# What to look for: each secret as text, its last 32 bytes raw and as hex. For
# a token those are the secret part or the MAC.
my %needle;
foreach my $secret (keys %issued)
{
	$needle{$secret} = "$issued{$secret} as text";
	$needle{ join ' ', map { ord } split //, $secret } = "$issued{$secret} as bytes" if $issued{$secret} =~ /^password/;
	next if $issued{$secret} =~ /^password/;
	(my $encoded = $secret) =~ s/^ums_//;
	my $raw = substr decode_base64url($encoded), -32;
	$needle{$raw} = "$issued{$secret} raw";
	$needle{ unpack 'H*', $raw } = "$issued{$secret} as hex";
}
my $any = join '|', map { quotemeta } keys %needle;
$any = qr/($any)/;

# found TEXT: what of it is a secret, each once.
sub found
{
	my %hit;

	$hit{ $needle{$1} } = 1 while $_[0] =~ /$any/g;
	return sort keys %hit;
}

my %hits;

sub search
{
	my ($place, $text, $promise) = @_;
	my @found = found($text);

	$hits{$_} = $place foreach @found;
	is_deeply(\@found, [], "R11, complaint 3: no secret is in $place");
}

my @all = found(join "\n", keys %needle);
is(scalar @all, scalar(keys %needle), 'the search finds what it looks for');

my ($dump, $error);
IPC::Run::run([ 'pg_dump', '-Fp', '-d', $node->connstr('app') ], '>', \$dump, '2>', \$error);
like($dump, qr/COPY usermgmt\.session /, 'the dump holds the sessions');
search('a dump', $dump);

my @tables = split /\n/, run(<<'SQL');
SELECT c.oid::regclass FROM pg_class AS c
WHERE relkind IN ('r', 'm') AND relpersistence <> 't' AND has_table_privilege(c.oid, 'select')
SQL
cmp_ok(scalar @tables, '>', 70, 'there are tables to search');
search('any column of any table', join "\n",
	map { run(qq(SELECT t::text FROM $_ AS t)) } @tables);
search('the outbox', run('SELECT * FROM usermgmt.outbox; SELECT * FROM usermgmt.outbox_attempt; TABLE usermgmt.mail_queue'));
search('the views', join "\n",
	map { run(qq(SELECT usermgmt.use_tenant('acme') \\g /dev/null
		SELECT t::text FROM usermgmt.$_ AS t)) } qw(invitations members member_statistics audit_trail tenants outbox_statistics));
search('the notifications', $notified);
search('the statistics views', run('SELECT * FROM pg_stat_activity WHERE pid <> pg_backend_pid(); SELECT * FROM pg_prepared_statements'));
my $statements = run('SELECT query FROM pg_stat_statements');
like($statements, qr/log_in\(\$1/, 'pg_stat_statements has the calls');
search('pg_stat_statements', $statements);
$node->backup('stolen');

$node->safe_psql('app', 'CHECKPOINT');
$listener->quit;
$node->stop;

my ($wal, $wal_files, $heap, $heap_files) = ('', 0, '', 0);
my %hit;
my $backup = $node->backup_dir . '/stolen';
find(
	{
		no_chdir => 1,
		wanted   => sub {
			return unless -f $_;
			my $is_wal = m{/pg_wal/};
			$is_wal ? $wal_files++ : $heap_files++;
			$hit{ m{^\Q$backup\E/} ? 'backup' : $is_wal ? 'wal' : 'data' }{$_} = 1 foreach found(slurp_file($_));
		}
	},
	$node->data_dir, $backup);
cmp_ok($wal_files,  '>', 0,   'there is WAL to search');
cmp_ok($heap_files, '>', 900, 'there are data files to search');
is_deeply([ sort keys %{ $hit{wal} // {} } ],  [], 'R11, complaint 3: no secret is in pg_wal');
is_deeply([ sort keys %{ $hit{data} // {} } ], [], 'R11, complaint 3: no secret is in any other file of the data directory');
is_deeply([ sort keys %{ $hit{backup} // {} } ], [], 'R11: no secret is in a base backup');
my $log = slurp_file($node->logfile);
cmp_ok(scalar(() = $log =~ /log_in\(\[redacted\]/g), '>', 2 * $people, 'the log has the calls, without their arguments');
search('the server log at log_statement = all, with the library preloaded', $log);
@hits{ keys %$_ } = values %$_ foreach values %hit;
diag('R11: ' . scalar(keys %hits) . " hits of $count secrets, each as text, raw and as hex");

done_testing();
