# Who may do what, as docs/permissions.md prints it: every public function and
# relation of the catalog, tried by everybody who could call. And what one tenant
# could learn about another by ids, addresses and cheap functions.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $published = "$FindBin::Bin/../../docs/permissions.md";
my @actors    = ('no session', 'member', 'admin', 'owner', 'other owner', 'operator', 'relay', 'auditor');
my @app       = @actors[ 0 .. 4 ];
my $node      = start_node('permissions');
$node->safe_psql('app', slurp_file("$FindBin::Bin/lib/permissions.sql"));

# The rows of a query of the actor's own connection, each a list.
my %connection;

sub rows
{
	my ($who, $sql) = @_;
	my $role = (grep { $_ eq $who } @app) ? 'application' : $who;

	if (!$connection{$role})
	{
		$connection{$role} = connection($node, 'app', '-U', $role);
		ask($connection{$role}, "SELECT usermgmt.use_tenant('acme')") if $role eq 'operator';
	}
	my $out = ask($connection{$role}, sprintf $sql, $who);
	is($connection{$role}{stderr}, '', "the cells of $who are asked for without an error") if $connection{$role}{stderr};
	return map { [ split /\|/, $_, -1 ] } split /\n/, $out;
}

# What can not be tried.
is($node->safe_psql('app', 'SELECT string_agg(name, \', \') FROM probe.public_function WHERE name NOT IN (SELECT function FROM probe.call)'),
	'', 'R10: every public function has plausible arguments in probe.call of test/t/lib/permissions.sql (add those of a new one there)');
is($node->safe_psql('app', <<'SQL'), '0', 'R10: what access_privilege does not list is given to nobody');
SELECT count(*) FROM unnest(ARRAY['application', 'operator', 'relay', 'auditor']) AS r, (
	SELECT p.oid, 'f' AS kind FROM pg_proc AS p WHERE p.pronamespace = 'usermgmt'::regnamespace AND p.oid NOT IN (SELECT oid FROM probe.public_function)
	UNION ALL SELECT c.oid, 'r' FROM pg_class AS c WHERE c.relnamespace = 'usermgmt'::regnamespace AND c.relkind IN ('r', 'v', 'S', 'm', 'p', 'f') AND c.oid NOT IN (SELECT oid FROM probe.public_relation)
) AS o WHERE CASE kind WHEN 'f' THEN has_function_privilege(r, o.oid, 'execute') WHEN 'r' THEN has_table_privilege(r, o.oid, 'select, insert, update, delete, truncate, references, trigger')
	OR has_any_column_privilege(r, o.oid, 'select, insert, update, references') END
SQL

# The matrix.
my (%cell, @names);
foreach my $kind ('function', 'relation')
{
	foreach my $who (@actors)
	{
		$cell{$kind}{ $$_[0] }{$who} = $$_[1] foreach rows($who, "SELECT * FROM probe.${kind}_cells('%s')");
	}
}

sub table
{
	my ($kind) = @_;
	my @lines = ("| $kind | " . join(' | ', @actors) . ' |', '| --- ' x (@actors + 1) . '|');

	foreach my $name (sort keys %{ $cell{$kind} })
	{
		push @lines, "| `$name` | " . join(' | ', map { $cell{$kind}{$name}{$_} // 'untried' } @actors) . ' |';
	}
	return join "\n", @lines;
}
my $head = <<'END';
# Who may do what

Made by `make matrix` from what each call really answers, and compared by every run of the tests (R10): do not edit it.

The world: the tenant *acme*, which the calls are about, and another one, *beta*. *No session*, *member*, *admin* and *owner* (of acme) and *other owner* (of beta) are on a connection with `application` access; *operator* has selected acme by
`use_tenant()`; *relay* and *auditor* have that access and nothing else. Each function is called with valid arguments that name an object of acme: a member (an admin, where an ordinary member would make no sense), an open invitation, a workspace.
Tokens and passwords are right ones, and whoever has them may use them. Sign-up is on.

`ok` is a call that did what it is for, `true` and `false` are answers, `nothing` is an answer without any value (NULL, no row), and everything else the SQLSTATE: 42501 not permitted, UM001 no session, UM002 not found in this tenant, UM036 not in a state for it (acme is not suspended). An outcome of a sign-in other than `ok` stands as it is.

END
my $text = $head . "## Functions\n\n" . table('function') . "\n\n## Views and tables\n\n"
  . "Rows of acme / rows of beta that are shown; one number where rows belong to no tenant; `some` where the number grows with what people do.\n\n"
  . table('relation') . "\n";

# The cells of a published table, by 'name, actor'.
sub cells_of
{
	my ($markdown) = @_;
	my %found;

	foreach my $line ($markdown =~ /^\| `(.*)$/mg)
	{
		my ($name, @values) = split /`? \| | \|$/, $line;
		$found{"$name, $actors[$_]"} = $values[$_] foreach 0 .. $#actors;
	}
	return %found;
}
my $now       = -e $published ? slurp_file($published) : '';
my %expected  = cells_of($now);
my %got       = cells_of($text);
my @differing = grep { ($expected{$_} // 'not there') ne ($got{$_} // 'not there') } sort keys %{ { %expected, %got } };
is(scalar @differing, 0, 'R10: no cell differs from docs/permissions.md (make matrix renews it; read the difference)');
diag("  $_: published " . ($expected{$_} // 'not there') . ', now ' . ($got{$_} // 'not there')) foreach @differing;
ok($now eq $text, 'R10: docs/permissions.md is current');
append_to_file("$PostgreSQL::Test::Utils::log_path/permissions.md", $text) if $now ne $text;

# Nothing of another tenant.
my @strange;
foreach my $name (keys %{ $cell{relation} })
{
	foreach my $who (grep { !/^(?:operator|auditor)$/ } @actors)
	{
		my ($acme, $beta) = ($cell{relation}{$name}{$who} // '') =~ m{^(\S+) / (\S+)$} or next;
		my $foreign = $who eq 'other owner' ? $acme : $beta;
		push @strange, "$name for $who" if $foreign ne '0';
	}
}
is("@strange", '', 'R10: no view shows anybody a row of another tenant, operators and auditors apart');

# count WHAT FUNCTION CONDITION ACTORS: how many cells there are, and how many are bad.
sub count
{
	my ($what, $function, $bad, @who) = @_;
	my ($all, @bad) = (0);

	foreach my $who (@who)
	{
		my @cells = rows($who, "SELECT * FROM probe.$function('%s')");
		$all += @cells;
		push @bad, map { join ': ', @$_ } grep { $bad->(@$_) } @cells;
	}
	is(join("\n", @bad), '', "R10: $what");
	cmp_ok($all, '>', 50, 'there are such cells');
	return scalar(@bad) . " of $all";
}
my @members = ('member', 'admin', 'owner');
my $ids = count('the id of another tenant, of another kind and of nothing are answered alike, to the letter, and write no row', 'id_cells', sub { $_[1] ne '' }, @members);
my $names = count('an address, slug or domain that is taken in another tenant is answered as one that nobody has', 'twin_cells', sub { $_[1] ne '' }, @app[ 0 .. 3 ]);
my $leaks = count('a cheap function in a query is shown no row that a view hides', 'leak_cells', sub { $_[1] < 0 || $_[1] != $_[2] }, @app);

diag('R10: ' . @differing . ' of ' . keys(%got) . " cells differ from the published matrix; $ids answers about foreign ids and $names about foreign names differ; $leaks queries with a spying function are shown a hidden row");
$_->quit foreach values %connection;
$node->stop;
done_testing();
