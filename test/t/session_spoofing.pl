# Nobody acts as somebody without that person's live session token: a list of
# attacks by a database role of the application, who knows every id, owns a
# schema, shares pooled connections, and has a token of an own session.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('spoofing', conf => "max_prepared_transactions = 2\n");
$node->safe_psql('app', slurp_file("$FindBin::Bin/lib/spoofing.sql") . <<'SQL');
CREATE ROLE reader LOGIN IN ROLE pg_read_all_data;
SELECT usermgmt.grant_access('reader', 'application');
SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example');
SELECT usermgmt.create_tenant('beta', 'Beta', 'founder@beta.example');
CREATE TABLE many AS SELECT g FROM generate_series(1, 5000) AS g;
GRANT SELECT ON many TO PUBLIC;
ANALYZE many;
SQL
my ($ann, $ann_token)         = join_tenant($node, 'app', 'acme', 'ann@acme.example', 'admin');
my ($mallory, $mallory_token) = join_tenant($node, 'app', 'acme', 'mallory@acme.example');
my ($eve, $eve_token)         = join_tenant($node, 'app', 'beta', 'eve@beta.example', 'admin');
my ($ann_session, $acme) = split /\|/, $node->safe_psql('app', "SELECT session_id, tenant_id FROM usermgmt.session WHERE user_id = '$ann'");
my $operator = connection($node, 'app');
ask($operator, "SELECT usermgmt.use_tenant('acme')");
my ($attacks, $successes) = (0, 0);

# Who acts, with which role, whether that is one, and what is shown.
my $probe = q{SELECT concat_ws(' ', usermgmt.current_user_id(), usermgmt.current_member_role(), usermgmt.has_role('member'), (SELECT count(*) FROM usermgmt.members), (SELECT count(*) FROM usermgmt.my_sessions))};
my $nobody = 'f 0 0';
my $self   = "$mallory member t 0 1";

# count NAME GOT EXPECTED: one attack.
sub count
{
	my ($name, $got, $expected) = @_;

	$attacks++;
	is($got, $expected, "R9: $name") or $successes++;
	return;
}

sub mallory { return connection($node, 'app', '-U', 'mallory', @_) }
sub by { return "SELECT FROM usermgmt.use_session('$_[0]'" . ($_[1] ? ", '$_[1]'" : '') . ') \g /dev/null' . "\n" }
sub set_to { return "SELECT set_config('usermgmt.session_token', '$_[0]', true) \\g /dev/null\n" }

# attack NAME SQL [CONNECTION]: after these statements nobody acts (or, with
# `as', mallory), and nothing can be done as somebody.
sub attack
{
	my ($name, $sql, %option) = @_;
	my $client = $option{in} // mallory();
	my $expected = $option{as} // $nobody;

	ask($client, $sql);
	ask($client, 'ROLLBACK') if $client->{stderr} =~ /ERROR/ && !$option{as};
	my $out = ask($client, $probe);
	my $state = sqlstate($client, "SELECT usermgmt.invite_user('friend$attacks\@acme.example')");
	count($name, (split /\n/, $out)[-1] . " $state", $expected . ($option{as} ? ' 42501' : ' UM001'));
	ask($client, 'ROLLBACK');
	$option{in} ? ask($client, 'DISCARD ALL') : $client->quit;
	return;
}

# Claims, by every name and every way of setting one.
my %claim = (
	(map { ("usermgmt.$_" => $ann) } qw(user_id current_user_id actor actor_id acting_user)),
	(map { ("usermgmt.$_" => $acme) } qw(tenant_id current_tenant_id tenant)),
	(map { ("usermgmt.$_" => $ann_session) } qw(session session_id session_token)),
	(map { ("usermgmt.$_" => 'owner') } qw(role member_role current_member_role)),
	'usermgmt.is_operator' => 'on', 'request.jwt.claims' => qq({"sub": "$ann"}), 'request.jwt.claim.sub' => $ann, 'app.user_id' => $ann, 'jwt.claims.user_id' => $ann);
my @claims = sort keys %claim;

# SET in each manner, of these names.
sub manners
{
	my @names = @_;
	my $each  = sub { my ($format) = @_; return join ';', map { sprintf $format, $_, $claim{$_} } @names };

	return (
		[ 'SET', $each->(q{SET %s = '%s'}) ],
		[ 'SET LOCAL', 'BEGIN;' . $each->(q{SET LOCAL %s = '%s'}) ],
		[ 'set_config() for the transaction', 'BEGIN;' . $each->(q{SELECT set_config('%s', '%s', true)}) ],
		[ 'set_config() for good', $each->(q{SELECT set_config('%s', '%s', false)}) ],
		[ 'SET and RESET ALL',   $each->(q{SET %s = '%s'}) . '; RESET ALL' ],
		[ 'SET and DISCARD ALL', $each->(q{SET %s = '%s'}) . '; DISCARD ALL' ],
		[ 'SET, and SET again in a savepoint that is rolled back', $each->(q{SET %s = '%s'}) . '; BEGIN; SAVEPOINT s;' . $each->(q{SET LOCAL %s = '%s'}) . '; ROLLBACK TO s' ]);
}
{
	my $client = mallory();
	# The library refuses names of its own once it is loaded.
	my @accepted = grep { !/^usermgmt\.(?!session_token)/ } @claims;

	attack("$$_[0] of every name that could be a claim, before the library is loaded", $$_[1]) foreach manners(@claims);
	ask($client, $probe);
	attack("$$_[0] of every name that could be a claim", $$_[1], in => $client) foreach manners(@accepted);
	ask($operator, 'CREATE FUNCTION evil.claimed() RETURNS text LANGUAGE sql ' . join(' ', map { "SET $_ = '$claim{$_}'" } @accepted) . " AS \$\$ $probe \$\$");
	count('claims of a function that carries settings', ask($client, 'SELECT evil.claimed()'), $nobody);
	$client->quit;
}
{
	local $ENV{PGOPTIONS} = join ' ', map { my $v = $claim{$_} =~ s/[ "]/\\$&/gr; "-c $_=$v" } @claims;
	attack('claims in the options of the connection', 'SELECT 1');
}
foreach my $place ('ROLE mallory', 'DATABASE app', 'ROLE mallory IN DATABASE app')
{
	ask($operator, "ALTER $place SET $_ = '$claim{$_}'") foreach @claims;
	attack("claims of ALTER $place SET", 'SELECT 1');
	attack("claims of ALTER $place SET, after RESET ALL", 'RESET ALL');
	ask($operator, "ALTER $place RESET ALL");
}
{
	my $client = mallory();

	# Another database role.
	attack("SET $_", "SET $_", in => $client) foreach 'ROLE postgres', 'ROLE reader', 'ROLE NONE', 'SESSION AUTHORIZATION postgres', 'SESSION AUTHORIZATION reader', 'SESSION AUTHORIZATION mallory';
	ask($operator, 'GRANT reader TO mallory');
	attack('SET ROLE to a role that reads everything', 'SET ROLE reader', in => $client);
	ask($operator, 'REVOKE reader FROM mallory');

	# Replication, triggers, the catalog, the library, the tables.
	my @refused = (
		'SET session_replication_role = replica', 'CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION evil.claimed()', 'CREATE FUNCTION usermgmt.f() RETURNS int LANGUAGE sql AS \'SELECT 1\'',
		"CREATE OR REPLACE FUNCTION usermgmt.current_user_id() RETURNS uuid LANGUAGE sql AS 'SELECT ''$ann''::uuid'", 'ALTER FUNCTION usermgmt.has_role(text) OWNER TO mallory', "ALTER FUNCTION usermgmt.has_role(text) SET search_path = evil",
		"CREATE FUNCTION evil.c() RETURNS void LANGUAGE c AS 'usermgmt', 'end_use'", "LOAD '\$libdir/usermgmt'", 'ALTER EXTENSION usermgmt DROP FUNCTION usermgmt.has_role(text)', 'DROP EXTENSION usermgmt',
		'CREATE CAST (uuid AS text) WITH INOUT', 'CREATE TRIGGER t BEFORE UPDATE ON usermgmt.session EXECUTE FUNCTION suppress_redundant_updates_trigger()', 'CREATE RULE r AS ON SELECT TO usermgmt.session DO INSTEAD SELECT 1',
		'CREATE POLICY p ON usermgmt.session', 'ALTER TABLE usermgmt.session DISABLE TRIGGER ALL', 'TABLE usermgmt.session', 'TABLE usermgmt.signing_key', 'COPY usermgmt.session TO STDOUT', 'BEGIN; LOCK TABLE usermgmt.session',
		'INSERT INTO usermgmt.session SELECT', "UPDATE usermgmt.session SET user_id = '$mallory'", "UPDATE usermgmt.members SET role = 'owner'", 'SELECT usermgmt.use_tenant(\'acme\')', "SELECT usermgmt.start_session('$ann')",
		"SELECT usermgmt.session_move_last_use('$ann_session', '$acme', now())", "SELECT usermgmt.grant_access('mallory', 'operator')", 'GRANT postgres TO mallory', 'ALTER SYSTEM SET usermgmt.allow_sign_up = on', 'ALTER DATABASE app SET usermgmt.key_file = \'/dev/null\'');
	count("$_ is refused", sqlstate($client, "ROLLBACK; $_") =~ /^(?:42501|42P01|42809|42601|55000)$/ ? 'refused' : "not refused: $client->{stderr}", 'refused') foreach @refused;
	ask($client, 'ROLLBACK');

	# Names that lie in the way.
	my $lies = 'CREATE TEMP TABLE session (LIKE evil.session); CREATE TEMP TABLE membership (LIKE evil.membership); CREATE TEMP TABLE tenant (tenant_id uuid, slug text, suspended_at timestamptz);'
	  . "INSERT INTO session VALUES ('$ann_session', '$acme', '$ann', '', 'owner', 'x', 'open', 'infinity'); INSERT INTO membership VALUES ('$acme', '$mallory', 'owner', 'active');"
	  . "INSERT INTO evil.session TABLE session; INSERT INTO evil.membership TABLE membership;";
	my $path = 'SET search_path = pg_temp, evil, pg_catalog, usermgmt;';
	my $forged = substr($ann_token, 0, 60) . substr($mallory_token, 60);
	attack('shadowing tables, functions and operators, nobody bound', "$lies $path SELECT usermgmt.current_user_id()", in => $client);
	attack('a forged token among shadowing operators', "$lies $path SELECT usermgmt.use_session('$forged', 'connection')", in => $client);
	attack('a forged token in the setting among shadowing operators', "$path BEGIN;" . set_to($forged) . 'SELECT usermgmt.current_user_id()', in => $client);
	attack('shadowing while a session is bound', "$lies $path" . 'BEGIN;' . by($mallory_token), in => $client, as => $self);
	$client->quit;
}

# Settings of the superuser, planted before the library loads.
{
	my @names = split /\n/, $node->safe_psql('app', q{LOAD 'usermgmt'; SELECT name FROM pg_settings WHERE name LIKE 'usermgmt.%' AND context <> 'user' ORDER BY 1});
	my $all = q{SELECT string_agg(name || setting, ' ' ORDER BY name) FROM pg_settings WHERE name LIKE 'usermgmt.%' AND context <> 'user'};
	my ($clean, $client) = (mallory(), mallory());
	my $load = q{SELECT usermgmt.current_user_id() \g /dev/null} . "\n";
	my $expected = ask($clean, $load . $all);

	cmp_ok(scalar @names, '>', 15, 'there are settings of the superuser');
	ask($client, "SET $_ = '1'") foreach @names;
	ask($client, "SET usermgmt.key_file = '/etc/hostname'");
	count('settings of the superuser, planted before the library loads', ask($client, $load . $all), $expected);
	count('and each is refused afterwards', join(' ', grep { sqlstate($client, "SET $_ = '1'") ne '42501' } @names), '');
	count('nobody signs up by such a setting', sqlstate($client, "SELECT usermgmt.sign_up('evil', 'Evil', 'm\@evil.example', 'seven quiet lanterns')"), '42501');
	$_->quit foreach $clean, $client;
}

# What another client of a pooled connection leaves behind.
my %left = (
	'COMMIT' => 'COMMIT', 'ROLLBACK' => 'ROLLBACK', 'an error' => 'SELECT 1/0; ROLLBACK', 'a released savepoint' => 'SAVEPOINT s; RELEASE s; COMMIT', 'a rollback to a savepoint' => 'SAVEPOINT s; SELECT usermgmt.end_use(); ROLLBACK TO s; COMMIT',
	'COMMIT AND CHAIN' => 'COMMIT AND CHAIN', 'PREPARE TRANSACTION' => "PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'", 'a held cursor' => 'DECLARE held CURSOR WITH HOLD FOR SELECT usermgmt.current_user_id() FROM many; COMMIT; FETCH held',
	'a prepared statement' => 'PREPARE p AS SELECT usermgmt.current_user_id(); EXECUTE p; COMMIT', 'a temporary table' => 'CREATE TEMP TABLE t AS SELECT usermgmt.current_user_id(); COMMIT', 'DISCARD ALL' => 'COMMIT; DISCARD ALL',
	'RESET ALL and SET SESSION AUTHORIZATION DEFAULT' => 'COMMIT; RESET ALL; SET SESSION AUTHORIZATION DEFAULT', 'a statement timeout' => "SET LOCAL statement_timeout = '5ms'; SELECT pg_sleep(1); ROLLBACK");
{
	my $pool = mallory();

	foreach my $how (sort keys %left)
	{
		foreach my $bound ([ 'bound', by($ann_token) ], [ 'in the setting', set_to($ann_token) . "SELECT usermgmt.current_user_id() \\g /dev/null\n" ])
		{
			attack("a pooled connection after $how of somebody who was $$bound[0]", "BEGIN;$$bound[1] $left{$how}", in => $pool);
		}
	}
	attack('a cursor that was held', 'BEGIN; ' . by($ann_token) . 'DECLARE held CURSOR WITH HOLD FOR SELECT usermgmt.current_user_id() FROM many; COMMIT; FETCH ALL IN held', in => $pool);
	ask($pool, 'BEGIN; ' . by($ann_token) . 'PREPARE mine AS SELECT usermgmt.current_user_id(), usermgmt.has_role(\'admin\'); EXECUTE mine;' . 'EXECUTE mine;' x 6 . ' COMMIT');
	count('a prepared statement that somebody executed often enough for a generic plan', ask($pool, 'EXECUTE mine'), '|f');
	ask($pool, 'DISCARD ALL; CREATE FUNCTION evil.known() RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN concat_ws(\' \', usermgmt.current_user_id(), usermgmt.has_role(\'admin\')); END $$');
	ask($pool, 'BEGIN; ' . by($ann_token) . 'SELECT evil.known() FROM generate_series(1, 10); COMMIT');
	count('a function whose plan somebody made', ask($pool, 'SELECT evil.known()'), 'f');
	ask($pool, 'BEGIN; ' . by($ann_token) . 'SET LOCAL role = mallory; COMMIT');
	attack('parallel workers after somebody', 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET force_parallel_mode = on; SELECT count(*), usermgmt.current_user_id() FROM many', in => $pool);
	ask($pool, by($ann_token, 'connection') . 'SELECT usermgmt.end_use()');
	attack('a connection whose session ended with end_use()', 'SELECT 1', in => $pool);
	attack('a savepoint before end_use(), in the next transaction', 'BEGIN; ROLLBACK', in => $pool);
	$pool->quit;
}

# Beside one's own session.
{
	my $client = mallory();

	attack('claims beside an own session', 'BEGIN;' . by($mallory_token) . join(';', map { "SET LOCAL $_ = '$claim{$_}'" } grep { !/^usermgmt/ } @claims), in => $client, as => $self);
	attack('another\'s id as the token, beside an own session', 'BEGIN;' . by($mallory_token) . "SAVEPOINT s; SELECT usermgmt.use_session('$ann_session'); ROLLBACK TO s", in => $client, as => $self);
	attack('a savepoint around another\'s session that failed', 'BEGIN;' . by($mallory_token) . "SAVEPOINT s; SELECT usermgmt.use_session('${ann_token}A'); ROLLBACK TO s; RELEASE s", in => $client, as => $self);
	attack('SET ROLE beside an own session', 'BEGIN;' . by($mallory_token) . 'SET LOCAL ROLE mallory', in => $client, as => $self);
	attack('parallel workers beside an own session', 'SET force_parallel_mode = on; BEGIN;' . by($mallory_token) . 'SELECT count(*) FROM many', in => $client, as => $self);
	$client->quit;
}

# The way round, by a connection of the server to itself.
{
	$node->safe_psql('app', 'CREATE EXTENSION dblink');
	my $self_sql = "SELECT * FROM dblink('host=@{[ $node->host ]} port=@{[ $node->port ]} dbname=app user=%s', \$\$ $probe \$\$) AS t (x text)";
	my $bound = connection($node, 'app');
	ask($bound, "SELECT usermgmt.use_session('$ann_token', 'connection')");
	foreach my $role ('mallory', 'reader')
	{
		count("a loop-back connection as $role of somebody who acts", ask($bound, sprintf $self_sql, $role), $nobody);
	}
	$bound->quit;
	my $client = mallory();
	count('a loop-back connection as the superuser', sqlstate($client, sprintf $self_sql, 'postgres'), '2F003');
	$client->quit;
}

# tried CALL FORGERIES: forged tokens, by the thousand.
sub tried
{
	my ($name, $call, $forgeries, $in) = @_;
	my $client = connection($node, $in // 'app', '-U', 'mallory');
	my ($opened, $all) = split /\|/, ask($client, "SELECT opened, all_of_them FROM forge.tried(\$\$$call\$\$, ARRAY($forgeries))");

	$client->quit;
	cmp_ok($all // 0, '>', 0, "there are forgeries for $name");
	is($opened, 0, "R9: $name") or diag($client->{stderr});
	$attacks   += $all // 0;
	$successes += $opened // 1;
	return;
}
my $use = 'SELECT usermgmt.use_session(%L)';
tried('no bit of a session token may differ', $use, "SELECT f FROM forge.flipped(substr('$ann_token', 5)) AS g, concat('ums_', g) AS f WHERE f <> '$ann_token'");
tried('no session token is spelt otherwise',  $use, "SELECT f FROM forge.misspelt('$ann_token') AS f");
tried('no part of a session token is taken from another', $use, "SELECT f FROM forge.spliced('$ann_token', '$$_[1]') AS f UNION ALL SELECT f FROM forge.spliced('$$_[1]', '$ann_token') AS f") foreach [ 'colleague', $mallory_token ], [ 'stranger', $eve_token ];
tried('a session has no token that can be guessed', $use, "SELECT left('$ann_token', -43) || translate(left(encode(sha256(g::text::bytea), 'base64'), 43), '+/', '-_') FROM generate_series(1, 500) AS g");
{
	my $hash = $node->safe_psql('app', "SELECT translate(rtrim(encode(token_hash, 'base64'), '='), '+/', '-_') FROM usermgmt.session WHERE user_id = '$ann'");
	tried('who reads the hash of a token has no token', $use, "SELECT left('$ann_token', -43) || '$hash'");
}

# Links, of every purpose.
$node->safe_psql('app', "SELECT usermgmt.request_password_reset('$_')") foreach 'ann@acme.example', 'eve@beta.example';
my $claimed = $node->safe_psql('app', q{SELECT string_agg(concat_ws(' ', kind, recipient, substring(text_body FROM 'token=([A-Za-z0-9_-]+)')), ',') FROM usermgmt.outbox_claim('spoof', 1000)});
my %mailed = map { /^(\S+) (\S+) (\S+)$/ ? ("$1 $2" => $3) : () } split /,/, $claimed;
my ($ida, $ike) = (invite($node, 'app', 'acme', 'ida@acme.example'), invite($node, 'app', 'beta', 'ike@beta.example'));
my %link = (
	'an invitation\'s link' => [ 'SELECT usermgmt.preview_invitation(%L)', link_of($node, 'app', 'acme', $ida), link_of($node, 'app', 'beta', $ike) ],
	'a password reset\'s link' => [ 'SELECT usermgmt.preview_password_reset(%L)', $mailed{'password_reset ann@acme.example'}, $mailed{'password_reset eve@beta.example'} ],
	'a welcome\'s link' => [ 'SELECT usermgmt.preview_password_reset(%L)', $mailed{'welcome founder@acme.example'}, $mailed{'welcome founder@beta.example'} ]);
my $mails = $node->safe_psql('app', q{SELECT string_agg(concat_ws(' ', kind, recipient, substring(text_body FROM 'token=([A-Za-z0-9_-]+)')), ',') FROM usermgmt.outbox_claim('spoof', 1000)});
$mails =~ /invitation ida\@acme.example (\S+?)(?:,|$)/ or die "no mail to ida: $mails";
$link{'a mailed invitation\'s link'} = [ $link{'an invitation\'s link'}[0], $1, $link{'an invitation\'s link'}[2] ];
if ($node->safe_psql('app', q{SELECT to_regproc('usermgmt.request_email_change') IS NOT NULL}) eq 't')
{
	my @tokens;

	foreach my $who ([ $ann_token, 'ann2@acme.example' ], [ $eve_token, 'eve2@beta.example' ])
	{
		push @tokens, $node->safe_psql('app', "SELECT FROM usermgmt.use_session('$$who[0]', 'connection'); SELECT FROM usermgmt.request_email_change('$$who[1]', '$password'); SELECT usermgmt.end_use();
			SELECT substring(text_body FROM 'token=([A-Za-z0-9_-]+)') FROM usermgmt.outbox_claim('spoof', 1000) WHERE recipient = '$$who[1]'") =~ /(\S{40,})/;
	}
	is(scalar @tokens, 2, 'links of email changes are mailed');
	$link{'an email change\'s link'} = [ 'SELECT usermgmt.preview_email_change(%L)', @tokens ] if @tokens == 2;
}
my %consume = ('preview_invitation' => 'accept_invitation(%L, \'seven quiet lanterns\')', 'preview_password_reset' => 'reset_password(%L, \'seven quiet lanterns\')', 'preview_email_change' => 'confirm_email_change(%L)');
foreach my $what (sort keys %link)
{
	my ($call, $token, $other) = @{ $link{$what} };
	my ($preview) = $call =~ /usermgmt\.(\w+)/;

	is(sqlstate($operator, sprintf($call =~ s/%L/'%s'/r, $token)), 'none', "$what opens");
	tried("no bit of $what may differ", $call, "SELECT f FROM forge.flipped('$token') AS f WHERE f <> '$token'");
	tried("no bit of $what may differ when it is used", "SELECT usermgmt.$consume{$preview}", "SELECT f FROM forge.flipped('$token') AS f WHERE f <> '$token'");
	tried("$what is not spelt otherwise", $call, "SELECT f FROM forge.misspelt('$token') AS f");
	tried("no part of $what is taken from another tenant's", $call, "SELECT f FROM forge.spliced('$token', '$other') AS f UNION ALL SELECT f FROM forge.spliced('$other', '$token') AS f");
	tried("$what is no session token", $use, "SELECT unnest(ARRAY['$token', 'ums_' || '$token'])");
	foreach my $purpose (grep { $_ ne $what } sort keys %link)
	{
		my ($other_call, $another) = @{ $link{$purpose} };
		my ($other_preview) = $other_call =~ /usermgmt\.(\w+)/;

		tried("no part of $what is taken from $purpose", $call, "SELECT f FROM forge.spliced('$token', '$another') AS f");
		next if $other_preview eq $preview || !$node->safe_psql('app', "SELECT to_regproc('usermgmt.$other_preview') IS NOT NULL");
		tried("$what is not taken for $purpose", "SELECT usermgmt.$_", "SELECT '$token'") foreach "$other_preview(%L)", $consume{$other_preview};
	}
	tried("a session token is not taken for $what", "SELECT usermgmt.$_", "SELECT unnest(ARRAY['$ann_token', substr('$ann_token', 5)])") foreach "$preview(%L)", $consume{$preview};
}

# Another installation, and a copy of this one.
{
	my @links = map { [ $link{$_}[0], $link{$_}[1] ] } sort keys %link;

	make_database($node, 'elsewhere');
	$node->safe_psql('elsewhere', slurp_file("$FindBin::Bin/lib/spoofing.sql") =~ s/^CREATE ROLE.*$//mr . 'SELECT usermgmt.activate()');
	$operator->quit;
	$node->safe_psql('app', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app' AND pid <> pg_backend_pid()});
	$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE app');
	foreach my $database ('elsewhere', 'copy')
	{
		tried("a session token of this installation in another: $database", $use, "SELECT '$ann_token'", $database);
		tried("a link of this installation in another: $database", $$_[0], "SELECT '$$_[1]'", $database) foreach @links;
	}
	$node->safe_psql('copy', 'SELECT usermgmt.activate()');
	tried('a session token in a copy that was adopted', $use, "SELECT '$ann_token'", 'copy');
	tried('a link in a copy that was adopted', $$_[0], "SELECT '$$_[1]'", 'copy') foreach @links;
}

# Replay.
{
	my $client = mallory();

	is(sqlstate($client, sprintf $use =~ s/%L/'%s'/r, $ann_token), 'none', 'the token is live');
	attack('a token after log_out()', 'BEGIN;' . by($ann_token) . "SELECT usermgmt.log_out(); COMMIT; SELECT usermgmt.use_session('$ann_token', 'connection')", in => $client);
	attack('a token after log_out(), in the setting', 'BEGIN;' . set_to($ann_token) . 'SELECT 1', in => $client);
	my ($new) = ask($client, 'BEGIN;' . by($mallory_token) . 'SELECT session_token FROM usermgmt.rotate_session(); COMMIT') =~ /(ums_\S+)/;
	attack('a token after its rotation', "SELECT usermgmt.use_session('$mallory_token', 'connection')", in => $client);
	attack('the new one is live', 'BEGIN;' . by($new), in => $client, as => "$mallory member t 0 1");
	$attacks--;
	$client->quit;
}

diag("R9: $successes of $attacks attacks succeed");
$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|terminated by signal/, 'no backend died');
done_testing();
