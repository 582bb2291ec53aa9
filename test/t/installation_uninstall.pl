# make uninstall takes away every file that make install makes.

use strict;
use warnings;
use File::Basename;
use File::Find;
use File::Path qw(make_path);
use File::Spec;
use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::Bin/../..";
my $pg_config = "$ENV{PG_BIN}/pg_config";
my $root = File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir());
my ($docs, $share, $library) = map { chomp(my $directory = `$pg_config --$_`); $directory } qw(docdir sharedir pkglibdir);
my ($version) = slurp_file("$top/usermgmt.control") =~ /^default_version = '(.*)'/m;

# What make install is about to do, as files that it would write.
my @installed = (
	"$share/extension/usermgmt.control", "$share/extension/usermgmt--$version.sql", "$library/usermgmt.so",
	"$docs/extension/psqlrc", '/usr/local/bin/usermgmt-relay', '/usr/local/share/man/man1/usermgmt-relay.1',
	'/usr/local/lib/systemd/system/usermgmt-relay.service');
my $plan = `make -n -C '$top' install DESTDIR='$root' PG_CONFIG='$pg_config' with_llvm=no 2>&1`;
foreach my $file (@installed)
{
	my $name = basename($file);
	like($plan, qr/install.*\b\Q$name\E|>.*\b\Q$name\E/, "make install makes $name");
	make_path($root . dirname($file));
	append_to_file("$root$file", '');
}
command_ok([ 'make', '-s', '-C', $top, 'uninstall', "DESTDIR=$root", "PG_CONFIG=$pg_config", 'with_llvm=no' ], 'make uninstall');
my @left;
find(sub { push @left, $File::Find::name if -f }, $root);
is(join("\n", @left), '', 'and nothing is left');

done_testing();
