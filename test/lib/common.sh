# shellcheck shell=sh disable=SC2154
# What every command shares: messages, the temporary directory, the
# unprivileged account, children and the clean-up.

# The caller's libpq, Perl, Python and make settings would change what runs.
for name in $(env | sed -n 's/^\(PG[A-Z_]*\)=.*/\1/p'); do
	[ "$name" = PG_CONFIG ] || unset "$name"
done
unset PERL5LIB PERL5OPT PYTHONPATH PYTHONHOME MAKEFLAGS MAKELEVEL MFLAGS CDPATH
export LC_ALL=C.UTF-8 TZ=UTC PYTHONDONTWRITEBYTECODE=1
unset LANGUAGE

# die MESSAGE…: a test run keeps its promise to end with the sum.
die()
{
	[ ! -s "${work-}/pg/log" ] || tail -n 20 "$work/pg/log" >&2
	printf './run: %s\n' "$*" >&2
	[ -z "${passed-}" ] || printf '%d passed, %d failed\n' "$passed" $((failed + 1))
	exit 1
}

# Milliseconds, for durations.
now()
{
	date +%s%3N
}

# seconds_since START: "1.2 s"
seconds_since()
{
	elapsed=$(($(now) - $1))
	printf '%d.%d s' $((elapsed / 1000)) $((elapsed % 1000 / 100))
}

# choose_account: the server refuses to run as root, so root lends it the
# package's account; $drop is the prefix that changes to it.
choose_account()
{
	drop=
	account=$(id -un)
	[ "$(id -u)" = 0 ] || return 0
	account=postgres
	id "$account" >/dev/null 2>&1 || die "there is no account \"$account\" to run the server as"
	drop='setpriv --reuid postgres --regid postgres --clear-groups --'
}

# as_account COMMAND…: run it unprivileged, from a directory that it may enter.
as_account()
{
	# shellcheck disable=SC2086
	(cd / && exec $drop "$@")
}

# make_work: $work, a new directory that the account can reach and whose name
# leaves room for a socket's (107 bytes); removed on any exit.
make_work()
{
	choose_account
	work=$(mktemp -d "${TMPDIR:-/tmp}/usermgmt.XXXXXX")
	chmod 755 "$work"
	if [ ${#work} -gt 50 ] || ! as_account test -x "$work"; then
		rmdir "$work"
		work=$(mktemp -d /tmp/usermgmt.XXXXXX)
		chmod 755 "$work"
	fi
	children=
	trap clean_up EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

# account_directory DIR: make it, readable by the account alone.
account_directory()
{
	mkdir "$1"
	chmod 700 "$1"
	[ -z "$drop" ] || chown "$account:" "$1"
}

# start_child LOG COMMAND…: run it as the account in the background, in a
# session of its own so that Ctrl-C reaches only this script; its id is $child.
start_child()
{
	child_log=$1
	shift
	# shellcheck disable=SC2086
	(cd / && exec setsid ${child_drop-$drop} "$@") >"$child_log" 2>&1 </dev/null &
	child=$!
	children="$children $child"
}

# lend_root COMMAND…: the children that it starts stay root, if we are.
lend_root()
{
	child_drop=
	"$@"
	unset child_drop
}

# is_running ID: a child of ours that has not ended. The shell may have reaped
# it and the id be somebody else's by now, so the parent is looked at.
is_running()
{
	case $(cat "/proc/$1/status" 2>/dev/null) in
		*"State:	Z"*) return 1 ;;
		*"PPid:	$$
"*) return 0 ;;
	esac
	return 1
}

stop_children()
{
	for child in $children; do
		! is_running "$child" || kill "$child" 2>/dev/null || :
	done
	for child in $children; do
		patience=150
		while is_running "$child"; do
			[ $patience -gt 0 ] || kill -KILL "$child" 2>/dev/null || :
			patience=$((patience - 1))
			sleep 0.1
		done
	done
	children=
}

# A test that was interrupted leaves its own cluster behind; all are below $work.
stop_servers()
{
	find "$work" -name postmaster.pid 2>/dev/null | while read -r pidfile; do
		as_account "$bindir/pg_ctl" -D "${pidfile%/*}" -m immediate -t 20 stop >/dev/null 2>&1 || :
	done
}

# Those that root lent itself to may have left a mail server and file systems.
take_root_back()
{
	find "$work" -path '*/queue/pid/master.pid' 2>/dev/null | while read -r pidfile; do
		read -r pid <"$pidfile"
		case $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in
			*"$work"*) kill "$pid" 2>/dev/null || : ;;
		esac
	done
	sed -n "s,^[^ ]* \\($work/[^ ]*\\) .*,\\1,p" /proc/mounts | while read -r mounted; do
		umount -l "$mounted"
	done
}

clean_up()
{
	status=$?
	trap - EXIT
	trap '' HUP INT TERM
	stop_children
	stop_servers
	[ -z "$drop" ] || take_root_back
	cd /
	rm -rf "$work"
	exit "$status"
}
