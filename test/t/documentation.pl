# The documents agree with the catalog, with each other, and link to what is there.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Basename;
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $top = "$FindBin::Bin/../..";
my $node = start_node('documentation');
my $manual = slurp_file("$top/docs/manual.md");

# There is nothing in the list; if there is, all of it is shown.
sub none
{
	my ($list, $description) = @_;
	is(join('; ', @$list), '', $description);
}

# The SQLSTATEs that a sentence names; read-only is said once for all.
sub codes
{
	my ($text) = @_;
	my %found;
	$text =~ s/UM0(\d\d) to UM0(\d\d)/join ' ', map { sprintf 'UM0%02d', $_ } $1 .. $2/ge;
	$found{$1} = 1 while $text =~ /\b(UM0\d\d|[0-9][0-9A-Z]{4}|F0000)\b/g;
	delete $found{25006};
	return join ' ', sort keys %found;
}

sub rows
{
	my ($sql) = @_;
	return map { [ split /\x1f/, $_, -1 ] } split /\x1e/, $node->safe_psql('app', $sql, extra_params => [ '-F', "\x1f", '-R', "\x1e" ]);
}

# The anchors that GitHub makes of a page's headings.
sub anchors
{
	my ($page) = @_;
	my %anchor;
	foreach my $line (split /\n/, $page)
	{
		next unless $line =~ /^#+ (.*)/;
		my $heading = lc $1;
		$heading =~ s/[^a-z0-9_ -]//g;
		$heading =~ s/ /-/g;
		$anchor{$heading} = 1;
	}
	return \%anchor;
}

# Functions: each row of a table that begins with a declaration.
my %row;
my @twice;
foreach my $line (split /\n/, $manual)
{
	next unless $line =~ /^\| `([a-z_]+)\(([^`]*)\)` \|/;
	my ($name, $arguments) = ($1, $2);
	push @twice, $name if $row{$name};
	$row{$name} = { arguments => $arguments, cells => [ split /(?<!\\)\s*\|\s*/, $line ] };
}
none(\@twice, 'no function is described twice');

my @functions = rows(
	q(SELECT p.proname, regexp_replace(replace(pg_get_function_arguments(p.oid), 'timestamp with time zone', 'timestamptz'), 'DEFAULT NULL::[a-z ]+(\[\])?', 'DEFAULT NULL', 'g'),
	replace(replace(pg_get_function_result(p.oid), 'usermgmt.', ''), 'timestamp with time zone', 'timestamptz'), obj_description(p.oid, 'pg_proc'),
	(SELECT coalesce(string_agg(CASE access WHEN 'application' THEN 'A' WHEN 'auditor' THEN 'U' WHEN 'operator' THEN 'O' ELSE 'R' END, ''), '') FROM usermgmt.access_privilege WHERE object_kind = 'function' AND object_name = p.proname)
	FROM pg_proc AS p WHERE pronamespace = 'usermgmt'::regnamespace AND prorettype <> 'trigger'::regtype
	AND NOT obj_description(p.oid, 'pg_proc') LIKE 'Internal:%' ORDER BY 1));
my (%has, @missing, @arguments, @results, @who, @codes_differ);
foreach my $function (@functions)
{
	my ($name, $arguments, $result, $comment, $access) = @$function;
	my $described = $row{$name};
	$has{$name} = 1;
	if (!$described)
	{
		push @missing, $name;
		next;
	}
	my (undef, undef, $said, $who, @rest) = @{ $described->{cells} };
	$said =~ s/`//g;
	$result =~ s/^TABLE\((.*)\)$/'SETOF (' . join(', ', map { (split)[0] } split(m{, }, $1)) . ')'/e;
	push @arguments, "$name($arguments)" if $described->{arguments} ne $arguments;
	push @results, "$name: $said, not $result" if $said ne $result;

	# An operator has what an application has.
	my $letters = join '', sort $who =~ /\b([AORU])\b/g;
	$letters =~ s/O// if $access =~ /A/ && $access !~ /O/;
	push @who, "$name: $letters, not $access" if $letters ne join '', sort split //, $access;
	push @codes_differ, "$name: manual " . codes("@rest") . ', comment ' . codes($comment) if codes("@rest") ne codes($comment);
}
none(\@missing, 'the manual has every function that is not internal');
none([ grep { !$has{$_} } sort keys %row ], 'and no other');
none(\@arguments, 'with its arguments');
none(\@results, 'with its result');
none(\@who, 'with who may call it');
none(\@codes_differ, 'with the SQLSTATEs that its comment in the catalog names');

# Views and tables, settings, mails, errors, audit actions.
my @relations = map { $_->[0] } rows(q(SELECT DISTINCT object_name FROM usermgmt.access_privilege WHERE object_kind = 'relation' ORDER BY 1));
none([ grep { $manual !~ /`$_`/ } @relations ], 'the manual has every view and table that somebody may read');
my @columns = map { $_->[0] } rows(
	q(SELECT DISTINCT a.attname FROM usermgmt.access_privilege AS p JOIN pg_attribute AS a ON a.attrelid = ('usermgmt.' || p.object_name)::regclass AND a.attnum > 0
	JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'v' WHERE p.object_kind = 'relation' ORDER BY 1));
none([ grep { $manual !~ /`$_`/ } @columns ], 'and every column of these views');

my $settings = slurp_file("$top/docs/settings.md");
my %name = map { $_->[0] => 1 } rows(q(LOAD 'usermgmt'; SELECT name FROM pg_settings WHERE name LIKE 'usermgmt.%'));
is_deeply([ sort $settings =~ /^## (usermgmt\..*)$/mg ], [ sort keys %name, 'usermgmt.key_file', 'usermgmt.session_token' ], 'settings.md has every setting and no other');

my @kinds = map { $_->[0] } rows(q(SELECT DISTINCT kind FROM usermgmt.email_template ORDER BY 1));
my ($mails) = $manual =~ /\n\| kind \| when [^\n]*\n[^\n]*\n((?:\|[^\n]*\n)+)/;
is_deeply([ sort map { /`([a-z_]+)`/g } map { (split /\|/, $_)[1] } split /\n/, $mails ], \@kinds, 'S2.26: the manual says when each kind of mail is sent');

my ($errors) = $manual =~ /\n\| SQLSTATE [^\n]*\n[^\n]*\n((?:\|[^\n]*\n)+)/;
my @documented = map { my @cells = split /\|/, $_; $cells[1] =~ /([0-9A-Z]{5})/g } split /\n/, $errors;
my $source = slurp_file("$top/src/core/errors.h");
my %raised;
$raised{"UM$1$2$3"} = 1 while $source =~ /\tUM_STATE\('(\d)', '(\d)', '(\d)'\)/g;
cmp_ok(scalar keys %raised, '>', 20, 'the codes are read from errors.h');
$raised{$_} = 1 foreach map { split / /, codes("@{ $_->{cells} }") } values %row;
none([ grep { my $code = $_; !grep { $_ eq $code } @documented } sort keys %raised ], 'the manual explains every code');

my $architecture = slurp_file("$top/docs/architecture.md");
my @unknown;
foreach my $file (glob "$top/src/*/*.c")
{
	my ($room, $stem) = $file =~ m{/src/([a-z]+)/([a-z_]+)\.c$};
	push @unknown, "$room/$stem" if $room ne 'relay' && $architecture !~ /^\| $room \| [^|]*`$stem`/m;
}
none(\@unknown, 'architecture.md places every C file of a room');

# Headings that requirements name, and the sizes that were promised.
my $anchors = anchors($manual);
none([ grep { !$anchors->{$_} } qw(permissions workspaces removal invitations sessions members templates) ], 'S1.18, S4.17: the permission matrix, workspaces and removal have their sections');
cmp_ok(scalar(split /\n/, slurp_file("$top/README.md")), '<', 150, 'the README is short');

# Every feature is tested and in the changelog (S0.21).
my $changelog = slurp_file("$top/docs/changelog.md");
my @sections = grep { !/^(Concepts|Calling|Errors|Audit actions)$/ } $manual =~ /^## (.*)$/mg;
none([ grep { $changelog !~ /^- \*\*\Q$_\E\.\*\* /m } @sections ], 'S0.21: each section has its line in the changelog');
my $tests = join "\n", map { slurp_file($_) } grep { !/documentation|pgtap\/api/ } glob "$top/sql/*.sql $top/test/pgtap/*.sql $top/test/t/*.pl";
none([ grep { $tests !~ /\b$_\(/ } sort keys %has ], 'S0.21: each function is called by a test');
none([ grep { $tests !~ /'$_'/ } sort grep { /^UM/ } keys %raised ], 'S0.21: each error is provoked by one');

# The tour of the README, in an empty database, shows what it says.
$node->safe_psql('postgres', 'CREATE DATABASE tour TEMPLATE template0');
my $readme = slurp_file("$top/README.md");
my ($tour) = $readme =~ /\n## A tour [^\n]*\n(.*?)\n## /s;
my $statements = join "\n", $tour =~ /```sql\n(.*?)```/sg;
my ($code, $shown, $refused) = $node->psql('tour', $statements, on_error_stop => 0, extra_params => [ '--no-align', '--field-separator', ' | ' ]);
my @promised = grep { / \| / && !/[-]{4}/ } map { s/ +\| +/ | /gr =~ s/^ +| +$//gr } map { split /\n/ } $tour =~ /```\n( .*?)```/sg;
cmp_ok(scalar @promised, '>', 5, 'the README shows results');
none([ grep { my $line = $_; $shown !~ /^\Q$line\E ?$/m && $line !~ /^(email|action) / } @promised ], 'the tour of the README is what happens');
like($refused, qr/not authenticated.*log in again/s, 'with the refusal that it shows');

# The benchmark calls every public function and view, or says why not.
my $calls = slurp_file("$top/test/bench/calls.py");
my ($excuses) = $calls =~ /\nREADS_ALL = \{\n(.*?)\n\}/s;
my @excused = $excuses =~ /^    "(\w+)": "[^"]+"/mg;
my @public = map { $_->[0] } rows(q{SELECT DISTINCT p.object_name FROM usermgmt.access_privilege AS p
	WHERE p.object_kind = 'function' OR EXISTS (SELECT FROM pg_class AS c WHERE c.relname = p.object_name AND c.relkind = 'v' AND c.relnamespace = 'usermgmt'::regnamespace) ORDER BY 1});
none([ grep { my $name = $_; $calls !~ /usermgmt\.\Q$name\E\b/ && !grep { $name eq $_ || /_$/ && index($name, $_) == 0 } @excused } @public ],
	'every public function and view is measured by test/bench/calls.py');

# Links.
my @broken;
foreach my $page ("$top/README.md", glob "$top/docs/*.md")
{
	my $text = slurp_file($page);
	while ($text =~ /\]\(([^)\s]+)\)/g)
	{
		my $link = $1;
		next if $link =~ /^https?:/;
		my ($file, $anchor) = split /#/, $link, 2;
		my $target = $file eq '' ? $page : dirname($page) . "/$file";
		push @broken, basename($page) . ": $link" if !-e $target || (defined $anchor && !anchors(slurp_file($target))->{$anchor});
	}
}
none(\@broken, 'every link leads somewhere');
my ($contents) = $manual =~ /\nContents: (.*?)\n\n/s;
is_deeply([ $contents =~ /\[([^\]]+)\]/g ], [ $manual =~ /^## (.*)$/mg ], 'the contents are the sections, in their order');

$node->stop;
done_testing();
