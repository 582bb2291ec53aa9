# A tenant always has an owner, whatever happens: ten thousand random operations
# on sixteen connections, by sessions, by operators and by plain SQL; and a
# transfer at the very moment of what would spoil it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use UsermgmtTest;

my $clients = 16;
my $each    = 625;
my $seed    = $ENV{OWNERS_SEED} // 8;    # of the random operations; their interleaving stays the server's
my @homes   = qw(acme beta gamma delta);
my @levels  = ('READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE');
my @roles   = qw(owner admin member);
my $node    = start_node('owners', conf => "max_connections = 40\ndeadlock_timeout = 10ms\n");

# Everybody's session is added by plain SQL with the hash, and so the secret, of
# this stranger's: a sign-in would take longer than all that is tried here.
$node->safe_psql('app', q(SELECT usermgmt.create_tenant('elsewhere', 'Elsewhere', 'founder@elsewhere.example')));
my ($stranger, $token) = join_tenant($node, 'app', 'elsewhere', 'stranger@elsewhere.example');
$node->safe_psql('app', <<"SQL");
CREATE ROLE web;
CREATE ROLE dba;
SELECT usermgmt.grant_access('web', 'application'), usermgmt.grant_access('dba', 'operator');

-- Whom a tenant may have: by their addresses, members or not.
CREATE VIEW resident AS
	SELECT slug, tenant_id, user_id, email
	FROM usermgmt.account JOIN usermgmt.tenant ON email LIKE 'person%\@' || slug || '.example';

-- What must hold, a row for each tenant.
CREATE VIEW ownership AS
	SELECT slug, owner_count, count(*) FILTER (WHERE role = 'owner' AND status = 'active') AS owners,
		count(*) FILTER (WHERE is_primary_owner) AS primaries,
		count(*) FILTER (WHERE is_primary_owner AND role = 'owner' AND status = 'active') AS sound_primaries
	FROM usermgmt.tenant AS t LEFT JOIN usermgmt.membership AS m USING (tenant_id)
	GROUP BY t.tenant_id;

-- A tenant of its founder, who is the primary owner, and one person for each of these roles.
CREATE FUNCTION make_home(home text, roles text[]) RETURNS void LANGUAGE sql AS \$\$
	SELECT usermgmt.create_tenant(home, home, 'person0\@' || home || '.example');
	INSERT INTO usermgmt.account (user_id, email, canonical_email)
		SELECT gen_random_uuid(), 'person' || n || '\@' || home || '.example', '' FROM generate_subscripts(roles, 1) AS n;
	INSERT INTO usermgmt.membership (tenant_id, user_id, role)
		SELECT tenant_id, user_id, roles[substring(email FROM '\\d+')::integer] FROM resident
		WHERE slug = home AND email NOT LIKE 'person0%';
\$\$;

-- One of the tenant's people, of this kind if there is any.
CREATE FUNCTION person(home text, kind text, dice integer) RETURNS uuid STABLE SECURITY DEFINER LANGUAGE sql AS \$\$
	SELECT user_id FROM usermgmt.membership JOIN usermgmt.tenant USING (tenant_id) WHERE slug = home
	ORDER BY kind IN (CASE status WHEN 'active' THEN role ELSE status END, CASE WHEN is_primary_owner THEN 'primary' ELSE '' END) DESC,
		md5(user_id::text || dice)
	LIMIT 1
\$\$;

-- The token of a session of such a person, as src/token makes it.
CREATE FUNCTION session_of(home text, kind text, dice integer) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE
	bytes bytea := decode(translate(substr('$token', 5), '-_', '+/') || '=', 'base64');
	m usermgmt.membership;
	id uuid;
BEGIN
	SELECT * INTO m FROM usermgmt.membership
		WHERE tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = home) AND user_id = person(home, kind, dice) AND status = 'active' FOR SHARE;
	SELECT session_id INTO id FROM usermgmt.session WHERE user_id = m.user_id AND tenant_id = m.tenant_id AND state = 'open' LIMIT 1;
	IF id IS NULL AND m.user_id IS NOT NULL THEN
		id := gen_random_uuid();
		INSERT INTO usermgmt.session (session_id, tenant_id, user_id, token_hash, role, email, state, created_at, last_used_at, expires_at)
			SELECT id, m.tenant_id, m.user_id, token_hash, m.role, email, state, now(), now(), expires_at
			FROM usermgmt.session WHERE user_id = '$stranger';
	END IF;
	bytes := substr(bytes, 1, 1) || uuid_send(m.tenant_id) || uuid_send(id) || substr(bytes, 34);
	RETURN coalesce('ums_' || translate(encode(bytes, 'base64'), E'+/=\\n', '-_'), 'nobody');
END
\$\$;
SQL
$node->safe_psql('app', "SELECT make_home('$_', array_cat('{owner,owner,owner,admin,admin,admin,admin}', array_fill('member'::text, '{4}')))")
  foreach @homes;

# They all belong to another tenant as well, so that whoever is removed keeps the
# account and can be added again.
$node->safe_psql('app', <<'SQL');
INSERT INTO usermgmt.membership (tenant_id, user_id, role)
	SELECT t.tenant_id, r.user_id, 'member' FROM resident AS r, usermgmt.tenant AS t
	WHERE t.slug = 'elsewhere' AND r.slug <> 'elsewhere'
SQL

# Which SQLSTATEs an operation may end with. Plain SQL may run into a constraint,
# and PostgreSQL does not let one statement give the mark to two that had it in turn.
sub is_documented
{
	my ($name, $state) = @_;

	return 1 if $state =~ /^(?:00000|UM0\d\d|42501|22023|40001|40P01)$/;
	return 1 if $name =~ /^plain/ && $state =~ /^23/;
	return $name =~ /^plain mark of several/ && $state eq '27000';
}

sub pick
{
	return $_[ int rand @_ ];
}

sub dice
{
	return int rand 1_000_000;
}

# The tenant of the operation, as the rest of it is made up.
my $home;

# Now and then, somebody of another tenant.
sub person
{
	return "(SELECT person('" . (rand() < 0.04 ? pick(@homes) : $home) . "', '" . pick(@_) . "', " . dice() . '))';
}

sub one
{
	return 'user_id = ' . person(@_);
}

# About this share of the tenant's people.
sub some
{
	my ($share) = @_;

	return "tenant_id = (SELECT tenant_id FROM usermgmt.tenant WHERE slug = '$home')"
	  . ($share < 1 ? sprintf " AND md5(user_id::text || %d) < '%x'", dice(), 16 * $share : '');
}

my %call = (
	change_role        => sub { 'change_role(' . person(qw(owner owner primary any)) . ", '" . pick(@roles) . "')" },
	transfer_ownership => sub { 'transfer_ownership(' . person(qw(owner admin member any)) . ')' },
	deactivate_user    => sub { 'deactivate_user(' . person(qw(owner admin member any)) . ')' },
	reactivate_user    => sub { 'reactivate_user(' . person(qw(deactivated deactivated any)) . ')' });
my $update = 'UPDATE usermgmt.membership SET';
my $delete = 'DELETE FROM usermgmt.membership WHERE';
my %plain  = (
	'DELETE'               => sub { "$delete " . one(qw(owner primary any)) },
	'DELETE of several'    => sub { "$delete " . some(1 / 6) },
	'DELETE of all owners' => sub { "$delete role = 'owner' AND " . some(1) },
	'role'                 => sub { "$update role = '" . pick(@roles) . "' WHERE " . one(qw(owner primary any)) },
	'role of several'      => sub { "$update role = '" . pick(@roles) . "' WHERE " . some(1 / 3) },
	'role of all owners'   => sub { "$update role = 'admin' WHERE role = 'owner' AND " . some(1) },
	'roles exchanged'      => sub { "$update role = CASE role WHEN 'owner' THEN 'admin' ELSE 'owner' END WHERE " . some(1 / 2) },
	'roles everywhere'     => sub { "$update role = 'member' WHERE role <> 'member' AND md5(user_id::text || " . dice() . ") < '4'" },
	'status'               => sub { "$update status = 'deactivated' WHERE " . one(qw(owner primary any)) },
	'status of several'    => sub { "$update status = 'deactivated' WHERE " . some(1 / 4) },
	'status back'          => sub {
		"$update status = 'active', deactivated_at = NULL, deactivated_by = NULL, deactivation_reason = NULL WHERE " . some(1 / 2);
	},
	'mark'            => sub { "$update is_primary_owner = true WHERE " . one(qw(owner any)) },
	'mark off'        => sub { "$update is_primary_owner = false WHERE " . one('primary') },
	'mark of several' => sub { "$update is_primary_owner = " . pick('true', 'NOT is_primary_owner') . ' WHERE ' . some(pick(1 / 4, 1)) },
	'INSERT'          => sub {
		'INSERT INTO usermgmt.membership (tenant_id, user_id, role, is_primary_owner)'
		  . " SELECT tenant_id, user_id, '" . pick(@roles) . "', " . (rand() < 0.1 ? 'true' : 'false')
		  . " FROM resident WHERE slug = '$home' AND user_id NOT IN (SELECT user_id FROM usermgmt.membership) LIMIT " . pick(1, 2, 4);
	});

# Operation $n of a transaction: what signs its actor in beforehand, and itself as
# one message to the server, followed by its name and outcome.
sub operation
{
	my ($n)   = @_;
	my $by    = rand();
	my $call  = pick(sort keys %call);
	my $plain = pick((sort keys %plain), 'INSERT', 'INSERT');
	my $as    = 'RESET ROLE \; SELECT usermgmt.end_use() \; ' . (rand() < 0.5 ? 'SELECT FROM usermgmt.membership \; ' : '');

	return ('', $as . $plain{$plain}->() . ";\n\\echo did plain $plain: :SQLSTATE\n") if $by < 0.4;
	return ('', "${as}SET LOCAL ROLE dba \\; SELECT usermgmt.use_tenant('$home') \\; SELECT FROM usermgmt."
		  . $call{$call}->() . ";\n\\echo did $call by operator: :SQLSTATE\n")
	  if $by < 0.6;
	my $kind = $call eq 'transfer_ownership' ? 'primary' : pick(qw(owner owner admin any));
	return ("SELECT session_of('$home', '$kind', " . dice() . ") AS token$n \\gset\n\\echo end sign-in: :SQLSTATE\n",
		"${as}SET LOCAL ROLE web \\; SELECT FROM usermgmt.use_session(:'token$n') \\; SELECT FROM usermgmt."
		  . $call{$call}->() . ";\n\\echo did $call by session: :SQLSTATE\n");
}

# What one client does: so many operations, in transactions of one or two. When
# the first fails, the second has a transaction of its own.
sub script
{
	my ($left) = @_;
	my $script = "\\set token1 nobody\n\\set token2 nobody\nSELECT FROM pg_advisory_lock_shared(8);\n";

	while ($left-- > 0)
	{
		my $begin = 'BEGIN ISOLATION LEVEL ' . pick(@levels) . ";\n";
		$home = pick(@homes);
		my ($sign_in, $first) = operation(1);
		my ($sign_in_too, $second) = ('', '');
		if ($left > 0 && rand() < 0.3)
		{
			$home = pick(@homes) if rand() < 0.5;
			($sign_in_too, $second) = operation(2);
			$second = "\\if :ERROR\nROLLBACK;\n$begin\\endif\n$second";
			$left--;
		}
		$script .= "$sign_in$sign_in_too$begin$first$second";
		$script .= rand() < 0.15 ? "ROLLBACK;\n" : "COMMIT;\n\\echo end COMMIT: :SQLSTATE\n";
	}
	return $script;
}

srand $seed;
my $directory = $PostgreSQL::Test::Utils::tmp_check;
my $observer  = connection($node, 'app');
my $began     = time;
my @running;
ask($observer, <<'SQL');
CREATE TABLE seen (looks integer, ownerless integer, unsound integer, miscounted integer, single integer);
SELECT pg_advisory_lock(8);
SQL
foreach my $i (1 .. $clients)
{
	append_to_file("$directory/$i.sql", script($each));
	push @running,
	  IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'VERBOSITY=sqlstate', '-d', $node->connstr('app') . ' application_name=client', '-f', "$directory/$i.sql" ],
		'>', "$directory/$i.out", '2>', "$directory/$i.err");
}

# The observer lets all go at once, and looks until the last has left. A look is
# at one tenant, in what is committed at that moment.
ask($observer, <<"SQL");
DO \$\$
DECLARE
	new seen;
	sum seen := (0, 0, 0, 0, 0);
BEGIN
	WHILE $clients > (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
	PERFORM pg_advisory_unlock(8);
	WHILE EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'client') LOOP
		COMMIT;
		SELECT count(*), count(*) FILTER (WHERE owners = 0), count(*) FILTER (WHERE primaries <> 1 OR sound_primaries <> 1),
			count(*) FILTER (WHERE owners <> owner_count), count(*) FILTER (WHERE owners = 1)
			INTO new FROM ownership WHERE slug <> 'elsewhere';
		sum := (sum.looks + new.looks, sum.ownerless + new.ownerless, sum.unsound + new.unsound,
			sum.miscounted + new.miscounted, sum.single + new.single);
		PERFORM pg_sleep(0.001);
	END LOOP;
	INSERT INTO seen SELECT sum.*;
END
\$\$;
SQL
is($observer->{stderr}, '', 'the observer looked on until all had left');
is(scalar(grep { !$_->finish } @running), 0, 'and none had been cut off');
my $seconds = time - $began;

# What each operation came to, and what went wrong anywhere.
my ($done, %outcome, %counted, %raised) = (0);
foreach my $i (1 .. $clients)
{
	foreach (split /\n/, slurp_file("$directory/$i.out"))
	{
		next unless /^(did|end) (.+): (\w{5})$/;
		$done++ if $1 eq 'did';
		$outcome{$2}{$3}++;
		$counted{$3}++;
	}
	$raised{$_}++ foreach slurp_file("$directory/$i.err") =~ /(?:ERROR|FATAL|PANIC):\s+(\w{5})/g;
}
foreach my $name (sort keys %outcome)
{
	note(sprintf '%-30s %s', $name, join ', ', map { "$_ $outcome{$name}{$_}" } sort keys %{ $outcome{$name} });
}
my ($looks, $ownerless, $unsound, $miscounted, $single) = split /\|/, $node->safe_psql('app', 'TABLE seen');
my $successes = delete $counted{'00000'};
is($done, $clients * $each, 'R8: every operation was carried out');
is_deeply(\%raised, \%counted, 'R8: and nothing but operations and commits failed');
is_deeply([ map { my $name = $_; map { "$name: $_" } grep { !is_documented($name, $_) } keys %{ $outcome{$name} } } sort keys %outcome ],
	[], 'R8: whatever failed says why with a documented SQLSTATE');
is_deeply([ grep { !/all owners/ && !$outcome{$_}{'00000'} } sort keys %outcome ], [], 'R8: every kind of operation also succeeded');
cmp_ok($counted{UM030} // 0, '>', 100, 'R8, C8: the last owner was asked to go time and again');
cmp_ok($counted{40001} // 0, '>', 100, 'D1: and transactions met');
cmp_ok($single, '>', $looks / 100, 'R8: tenants were seen with one owner only');
is($ownerless,  0, 'R8, complaint 8: no tenant was ever seen without an active owner');
is($unsound,    0, 'R8, C8: exactly one owner was the primary one, and active, at each look');
is($miscounted, 0, 'R8: the count of owners was right at each look');
is($node->safe_psql('app', <<'SQL'), '', 'R8, complaint 8: at the end every tenant has its owners, one primary among them, and their count');
SELECT * FROM ownership WHERE owners < 1 OR primaries <> 1 OR sound_primaries <> 1 OR owner_count <> owners
SQL
diag(sprintf 'R8: %d tenants without an owner in %d operations on %d connections, %d looks; seed %s, %.1f s',
	$ownerless, $done, $clients, $looks, $seed, $seconds);
diag('R8: refused were ' . join ', ', map { "$counted{$_} with $_" } sort keys %counted);

# What is done to the first of two people in an open transaction; what then waits
# for it, and to whom; what this is told in READ COMMITTED, for at the other
# levels the two can not be serialized; and who is the primary owner in the end.
my $session;
my $transfer   = sub { "SELECT FROM usermgmt.use_session('$session'); SELECT FROM usermgmt.transfer_ownership($_[0])" };
my $give_mark  = sub { "$update is_primary_owner = true WHERE user_id = $_[0]" };
my $deactivate = sub { "$update status = 'deactivated' WHERE user_id = $_[0]" };
my $remove     = sub { "$delete user_id = $_[0]" };
my @races      = (
	[ 'two transfers by one owner',                      $transfer,   $transfer,   2, 'UM001', 1 ],
	[ 'a transfer, and the removal of the new owner',    $transfer,   $remove,     1, 'UM030', 1 ],
	[ 'a transfer, and deactivation of the new owner',   $transfer,   $deactivate, 1, 'UM030', 1 ],
	[ 'a deactivation, and a transfer to the person',    $deactivate, $transfer,   1, 'UM037', 0 ],
	[ 'a removal, and a transfer to the person',         $remove,     $transfer,   1, 'UM002', 0 ],
	[ 'two marks of the primary owner set by plain SQL', $give_mark,  $give_mark,  2, 'none', 1 ]);
my ($one, $other) = map { connection($node, 'app') } 1 .. 2;

foreach my $race (@races)
{
	my ($what, $first, $second, $target, $told, $primary) = @$race;
	my $role = $first == $give_mark ? 'owner' : 'member';

	foreach my $level (@levels)
	{
		$home = 'race' . dice();
		$node->safe_psql('app', "SELECT make_home('$home', '{$role,$role}')");
		$session = $node->safe_psql('app', "SELECT session_of('$home', 'primary', 0)");
		my @person = map { "(SELECT user_id FROM usermgmt.account WHERE email = 'person$_\@$home.example')" } 0 .. 2;

		# Both have seen the tenant as it was.
		ask($_, "BEGIN ISOLATION LEVEL $level; SELECT FROM usermgmt.membership") foreach $one, $other;
		my $states = sqlstate($one, $first->($person[1]));
		$other->query_until(qr/sent/, "\\echo sent\n" . $second->($person[$target]) . ";\n");
		$node->poll_query_until('app', "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'");
		$states .= ' ' . sqlstate($_, 'COMMIT') foreach $one, $other;

		$told = '40001' if $level ne 'READ COMMITTED';
		my ($winner, $how) = $told eq 'none' ? ($target, 'one after the other') : ($primary, 'the first wins');
		is("$states " . $node->safe_psql('app', <<"SQL"), "none none $told t|t", "C8, D1, S3.35, complaint 8: $what: $how, $level");
SELECT owner_count = owners AND primaries = 1 AND sound_primaries = 1,
	(SELECT is_primary_owner FROM usermgmt.membership WHERE user_id = $person[$winner])
FROM ownership WHERE slug = '$home'
SQL
	}
}

$_->quit foreach $observer, $one, $other;
$node->stop;
done_testing();
