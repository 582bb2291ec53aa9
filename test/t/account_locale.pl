# The same address is the same person in every database, whatever its locale: 200
# pairs of addresses, under C, C.UTF-8 and ICU in English and Turkish.

use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my %locale = (
	c       => "LOCALE 'C'",
	c_utf8  => "LOCALE 'C.UTF-8'",
	icu_en  => "LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C.UTF-8'",
	icu_tr  => "LOCALE_PROVIDER icu ICU_LOCALE 'tr' LOCALE 'C.UTF-8'",
	icu_az  => "LOCALE_PROVIDER icu ICU_LOCALE 'az-u-ks-level1' LOCALE 'C.UTF-8'");
my $node = start_node('locale', empty => 1);

# Pairs: whether they must be the same person, and the two. What is no address is
# nobody's.
my @pairs;
my @names = qw(ann Ibis ADMIN i I info MIT titi istanbul.i I.I-I_I x+I I123 ii.Ii straße kate office);
foreach my $name (@names)
{
	foreach my $domain (qw(x.example MINI.example i.IT Iii-I.Info))
	{
		my $address = "$name\@$domain";
		my $plain = $name =~ /^[\x00-\x7f]+$/;

		push @pairs, [ $plain, $address, "\U$address" ], [ $plain, "\L$address", "  $address " ];
		push @pairs, [ 0, $address, "$name.other\@$domain" ];
	}
}
# Letters that one locale or another takes for each other.
foreach my $letters ([ 'i', 'ı' ], [ 'I', 'İ' ], [ 'i', "i\x{307}" ], [ 'k', "\x{212a}" ], [ 's', 'ſ' ], [ 'ss', 'ß' ], [ 'a', "\x{e0}" ], [ 'e', "\x{435}" ], [ 'fi', 'ﬁ' ], [ 'a', 'ａ' ])
{
	push @pairs, [ 0, "p$$letters[0]q\@x.example", "p$$letters[1]q\@x.example" ], [ 0, "pq\@d$$letters[0].example", "pq\@d$$letters[1].example" ];
}
splice @pairs, 200;
is(scalar @pairs, 200, 'there are 200 pairs');

my (%verdict, $different);
foreach my $database (sort keys %locale)
{
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0 ENCODING 'UTF8' $locale{$database}");
	$node->safe_psql($database, <<'SQL');
CREATE EXTENSION usermgmt;
SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example');
CREATE TABLE pair (n integer, one text, other text);

-- What comes of inviting one, and then the other: UM033 is the same person.
CREATE FUNCTION verdict(one text, other text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	answer text := 'nobody';
BEGIN
	PERFORM usermgmt.invite_user(one);
	answer := 'two people';
	PERFORM usermgmt.invite_user(other);
	RAISE SQLSTATE 'XX999';
EXCEPTION WHEN OTHERS THEN
	RETURN concat_ws(' ', answer, replace(SQLSTATE, 'XX999', ''));
END $$;
SQL
	my $values = join ', ', map { my ($one, $other) = @{ $pairs[$_] }[ 1, 2 ]; utf8::encode($_) foreach $one, $other; "($_, '$one', '$other')" } 0 .. $#pairs;
	$node->safe_psql($database, "INSERT INTO pair VALUES $values");
	my @got = split /\n/, $node->safe_psql($database, "SELECT usermgmt.use_tenant('acme') \\g /dev/null\nSELECT n || ' ' || verdict(one, other) FROM pair ORDER BY n");
	$verdict{$database} = { map { /^(\d+) (.*)$/ } @got };
	is(keys %{ $verdict{$database} }, 200, "every pair has a verdict, $database");
}
# Where bytes have no meaning, one name that is no text would hold up all mail.
$node->safe_psql('postgres', "CREATE DATABASE meaningless TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'");
my ($code, $out, $err) = $node->psql('meaningless', q(CREATE EXTENSION usermgmt; SELECT usermgmt.create_tenant('acme', E'Acm\xff', 'o@acme.example')), extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
like($err, qr/0A000/, 'R21: a database of the encoding SQL_ASCII is refused');
# Of the others, those that have the letters of the shipped mails.
$node->safe_psql('postgres', "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
is($node->safe_psql('latin', q(SET client_encoding = 'UTF8'; CREATE EXTENSION usermgmt; SELECT usermgmt.create_tenant('acme', U&'\00C4cme', 'o@acme.example') \g /dev/null
SELECT subject = U&'Welcome to \00C4cme' FROM usermgmt.outbox_claim('test'))), 't', 'R27: one of the encoding LATIN1 is as good');

my $turkish = $node->safe_psql('icu_tr', q{SELECT upper('i') <> 'I' AND lower('I') <> 'i'});
is($turkish, 't', 'the Turkish one has an I of its own');

my @wrong;
foreach my $n (0 .. $#pairs)
{
	my ($same, $one, $other) = @{ $pairs[$n] };
	my $first = $verdict{c}{$n};
	my $must = $same ? qr/^two people UM033$/ : qr/^(?:two people |two people 22023|nobody 22023)$/;

	utf8::encode($_) foreach $one, $other;
	push @wrong, "$one and $other: $first" if $first !~ $must;
	foreach my $database (grep { $verdict{$_}{$n} ne $first } sort keys %locale)
	{
		$different++;
		diag("$one and $other: $first, but $verdict{$database}{$n} in $database");
	}
}
is(join("\n", @wrong), '', 'R27: letter case and spaces around make nobody somebody else, and nothing else makes two people one');
is($different // 0, 0, 'R27: the verdict is the same in every locale');
my %count;
$count{$_}++ foreach values %{ $verdict{c} };
diag('R27: ' . ($different // 0) . ' of ' . 200 * keys(%locale) . ' verdicts differ between ' . keys(%locale) . ' locales; ' . join ', ', map { s/ $//r . ": $count{$_}" } sort keys %count);
$node->stop;
done_testing();
