# Keys of links in a file: rotation in mid-queue, and files that are no key.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use PostgreSQL::Test::Utils;
use Test::More;
use UsermgmtTest;

my $node = start_node('keys');
my $file = $node->basedir . '/usermgmt.key';
my @key  = map { unpack 'H*', pack 'C*', map { int rand 256 } 1 .. 32 } 0 .. 2;

# Write the file and have the server read it.
sub keys_are
{
	my ($mode, @lines) = @_;

	unlink $file;
	open my $out, '>', $file or die "$file: $!";
	print $out map { "$_\n" } @lines;
	close $out;
	chmod $mode, $file;
}

$node->safe_psql('app', q(SELECT usermgmt.create_tenant('acme', 'Acme', 'founder@acme.example')));
my $operator = connection($node, 'app');
ask($operator, q(SELECT usermgmt.use_tenant('acme')));

sub link_for
{
	my ($name) = @_;

	return ask($operator, "SELECT substring(usermgmt.invitation_link(invitation_id) FROM 'token=(.*)') FROM usermgmt.invite_user('$name\@acme.example')");
}
sub verdict { return sqlstate($operator, "SELECT usermgmt.preview_invitation('$_[0]')") }

my $from_table = link_for('table');
is(verdict($from_table), 'none', 'a link by the key of the table works');
is(ask($operator, 'SELECT count(*) FROM usermgmt.signing_key'), 1, 'whose key was made at first use');

keys_are(0600, $key[0]);
$node->append_conf('postgresql.conf', "usermgmt.key_file = '$file'");
$node->reload;
$node->poll_query_until('app', "SELECT usermgmt.current_user_id() IS NULL AND current_setting('usermgmt.key_file') = '$file'") or die 'not reloaded';
ask($operator, 'SELECT 1');
my $first = link_for('first');
is(verdict($first), 'none', 'ASVS 13.3.4: a link by a key file works');
is(verdict($from_table), 'UM010', 'and one by the key of the table does not any more');
my $table_key = $node->safe_psql('app', q(SELECT encode(key, 'hex') FROM usermgmt.signing_key));
keys_are(0600, $key[0], $table_key);
is(verdict($from_table), 'none', 'but with that key in the second line');

# F21: the key is changed while a mail waits.
ask($operator, q(SELECT FROM usermgmt.invite_user('queued@acme.example')));
keys_are(0640, $key[1], $key[0]);
is(verdict($first), 'none', 'F21: links by the old key still open');
my ($mailed) = ask($operator, q(SELECT substring(text_body FROM 'token=([A-Za-z0-9_-]+)') FROM usermgmt.outbox_claim('relay', 1000) WHERE recipient = 'queued@acme.example')) =~ /(\S+)/;
my $second = link_for('second');
is(verdict($mailed), 'none', 'F21: a mail that waited meanwhile has a link that works');
keys_are(0600, $key[1]);
is(verdict($first), 'UM010', 'F21: without the old key its links are void');
is(join(' ', verdict($mailed), verdict($second)), 'none none', "F21: and those by the new one, the mail's included, are not");
keys_are(0600, $key[2], $key[1]);
is(verdict($second), 'none', 'F21: twice over');
is(sqlstate($operator, 'SELECT usermgmt.audit_seal()'), 'none', 'R17: events are sealed after the change');
is(ask($operator, 'SELECT count(*) FROM usermgmt.audit_verify()'), 0, 'R17: and the trail verifies');
is(ask($operator, q(SELECT count(*) FROM usermgmt.signing_key)), 1, 'the table has no other key than before');

# No key.
my %bad = (
	'is not there'      => sub { unlink $file },
	'anybody can read'  => sub { keys_are(0644, $key[2]) },
	'anybody can write' => sub { keys_are(0602, $key[2]) },
	'is empty'          => sub { keys_are(0600) },
	'is too short'      => sub { keys_are(0600, substr $key[2], 2) },
	'is too long'       => sub { keys_are(0600, "$key[2]00") },
	'is no hexadecimal' => sub { keys_are(0600, 'g' x 64) },
	'has a bad second line' => sub { keys_are(0600, $key[2], 'old key') },
	'is a directory'    => sub { unlink $file; mkdir $file });
foreach my $what (sort keys %bad)
{
	$bad{$what}->();
	is(sqlstate($operator, "SELECT usermgmt.invitation_link(invitation_id) FROM usermgmt.invitations WHERE email = 'second\@acme.example'"),
		'F0000', "a key file that $what signs nothing");
	isnt(verdict($second), 'none', 'and verifies nothing');
	unlike($operator->{stderr}, qr/$key[2]/, 'and is not shown');
	rmdir $file;
}
keys_are(0600, $key[2], $key[1]);
is(verdict($second), 'none', 'mended, it works again at once');

$operator->quit;
$node->stop;
done_testing();
