# shellcheck shell=sh disable=SC2154
# A throw-away cluster: a socket in a directory that only its account (and
# root) can enter, so trust is safe; the extension comes from the stage.

# server_settings: lines that let a server find the staged extension. Up to 17
# by a patch of Debian, which covers $libdir/usermgmt too; dynamic_library_path
# covers LOAD and shared_preload_libraries.
server_settings()
{
	if [ "$major" -ge 18 ]; then
		printf "extension_control_path = '%s:\$system'\n" "$stage$("$pg_config" --sharedir)"
	else
		printf "extension_destdir = '%s'\n" "$stage"
	fi
	printf "dynamic_library_path = '%s:\$libdir'\n" "$stage$("$pg_config" --pkglibdir)"
}

# start_cluster on|off: with that fsync; sets PGHOST, PGPORT, PGUSER, PGDATA.
start_cluster()
{
	account_directory "$work/pg"
	export PGHOST="$work/pg" PGPORT=5432 PGUSER=postgres PGDATA="$work/pg/data" PGCONNECT_TIMEOUT=10
	as_account "$bindir/initdb" -D "$PGDATA" -U postgres -E UTF8 --locale=C.UTF-8 -A trust \
		--no-sync --no-instructions >"$work/initdb.log" 2>&1 || {
		cat "$work/initdb.log" >&2
		die "initdb failed"
	}
	{
		server_settings
		printf "listen_addresses = ''\nunix_socket_directories = '%s'\n" "$PGHOST"
		printf "fsync = %s\nlc_messages = 'C'\n" "$1"
	} >"$work/server.conf"
	cat "$work/server.conf" >>"$PGDATA/postgresql.conf"
	as_account "$bindir/pg_ctl" -D "$PGDATA" -l "$work/pg/log" -w -t 60 start \
		>"$work/start.log" 2>&1 || {
		cat "$work/start.log" "$work/pg/log" >&2
		die "the server did not start"
	}
}

psql()
{
	"$bindir/psql" -X -q -v ON_ERROR_STOP=1 "$@"
}

# check_stage DATABASE: the library that the server loads is the one just built.
check_stage()
{
	maps=$(psql -At -d "$1" -c 'SELECT usermgmt.current_user_id()' \
		-c "SELECT pg_read_file('/proc/self/maps')") || die "the extension does not answer"
	case $maps in
		*"$stage"*usermgmt.so*) ;;
		*) die "the server loads another usermgmt.so than the staged one" ;;
	esac
}
