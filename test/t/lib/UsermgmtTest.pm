# What the Perl tests share: a cluster with the extension, people in it, and
# connections that stay open.

package UsermgmtTest;

use strict;
use warnings;
use Exporter qw(import);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

our @EXPORT = qw(start_node make_database invite link_of token_in join_tenant
  connection ask sqlstate notifications $password);

our $password = 'correct horse';

# A running cluster with cheap hashes and the database app in it; of another
# installation, whose settings are in a file, if asked to.
sub start_node
{
	my ($name, %option) = @_;
	local $ENV{TEMP_CONFIG} = $option{settings} // $ENV{TEMP_CONFIG};
	my $node = PostgreSQL::Test::Cluster->new($name, install_path => $option{install_path});

	$node->init(allows_streaming => $option{streaming}, extra => $option{initdb});
	$node->append_conf('postgresql.conf', <<'END' . ($option{conf} // ''));
lc_messages = 'C'
log_statement = none
usermgmt.hash_memory = 19456
usermgmt.hash_passes = 2
usermgmt.hash_wait = 60s
END
	$node->start;
	make_database($node, 'app') unless $option{empty};
	return $node;
}

sub make_database
{
	my ($node, $database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
	$node->safe_psql($database, 'CREATE EXTENSION usermgmt');
}

# Invite that address as an operator; the id of the invitation.
sub invite
{
	my ($node, $database, $tenant, $email, $role) = @_;

	$role //= 'member';
	my $out = $node->safe_psql($database, <<"END");
SELECT usermgmt.use_tenant('$tenant');
SELECT invitation_id FROM usermgmt.invite_user('$email', '$role');
END
	return (split /\n/, $out)[-1];
}

# The token in a mail's text or a link.
sub token_in
{
	my ($text) = @_;

	return $text =~ /token=([A-Za-z0-9_-]+)/ ? $1 : die "no token in: $text";
}

sub link_of
{
	my ($node, $database, $tenant, $invitation_id) = @_;

	return token_in(
		$node->safe_psql($database,
			"SELECT usermgmt.use_tenant('$tenant'); SELECT usermgmt.invitation_link('$invitation_id')"));
}

# Invite and accept: the id and the session token of the new member.
sub join_tenant
{
	my ($node, $database, $tenant, $email, $role) = @_;
	my $token = link_of($node, $database, $tenant, invite($node, $database, $tenant, $email, $role));

	return split /\|/,
	  $node->safe_psql($database,
		"SELECT user_id, session_token FROM usermgmt.accept_invitation('$token', '$password')");
}

# A psql that stays open and goes on after errors.
sub connection
{
	my ($node, $database, @psql_options) = @_;
	my $connection = $node->background_psql(
		$database,
		on_error_stop => 0,
		extra_params  => [ '-v', 'VERBOSITY=verbose', @psql_options ]);

	# The time limit is each query's, not the connection's.
	$connection->set_query_timer_restart;
	return $connection;
}

# The output of these statements; what they wrote to standard error is in
# $connection->{stderr} until the next call.
sub ask
{
	my ($connection, $sql) = @_;

	$connection->{stderr} = '';
	return scalar $connection->query($sql);
}

# The SQLSTATE that these statements raise, or 'none'.
sub sqlstate
{
	my ($connection, $sql) = @_;

	ask($connection, $sql);
	return $connection->{stderr} =~ /^(?:psql:\S+ )?(?:ERROR|FATAL):\s+(\w{5}):/m ? $1 : 'none';
}

# The notifications that have come to a connection since the last call, as
# channel or channel:payload. psql shows them after a statement.
sub notifications
{
	my ($connection) = @_;
	my $out = ask($connection, 'SELECT');
	my @found;

	while ($out =~ /^Asynchronous notification "(\w+)" (?:with payload "([^"]*)" )?received/mg)
	{
		push @found, defined $2 ? "$1:$2" : $1;
	}
	return @found;
}

1;
