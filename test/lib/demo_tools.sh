# shellcheck shell=sh disable=SC2034,SC2154
# What the demo plays its story with: narration, the database roles and sessions,
# the mail server, the relay, and a connection that stays open.

# step TITLE … ok: one line; what a step shows stands below it.
step()
{
	number=$((number + 1))
	step_began=$(now)
	printf '[%2d/%d] %s …' "$number" "$steps" "$1"
}

ok()
{
	printf ' ok (%s)\n' "$(seconds_since "$step_began")"
}

show()
{
	sed 's/^/        /'
}

# expect WHAT WANTED GOT
expect()
{
	[ "$2" = "$3" ] || fail "$1: expected \"$2\", got \"$3\""
}

# fail MESSAGE: also in a subshell, whose caller ends with it.
fail()
{
	{
		printf ' FAILED\n%s\n' "$1"
		for log in "$work/demo/relay.log" "$work/demo/smtp.log" "$work/pg/log"; do
			[ ! -s "$log" ] || printf '%s\n' "--- the end of ${log##*/}" "$(tail -n 15 "$log")"
		done
	} >&2
	exit 1
}

# call ROLE ARGUMENT…: SQL from -c or standard input, as that database role; a
# secret reaches psql by \getenv, since every local user can read arguments.
call()
{
	call_role=$1
	shift
	psql -At -d demo -U "$call_role" "$@" 2>"$work/demo/error" || fail "$(cat "$work/demo/error")"
}

operator()
{
	call postgres "$@"
}

application()
{
	call demo_app
}

# as_owner: SQL from standard input in one transaction of Olivia's session.
as_owner()
{
	{
		printf '%s\n' '\getenv token owner_session' 'BEGIN;' \
			"SELECT email AS acting FROM usermgmt.use_session(:'token') \\gset"
		cat
		printf 'COMMIT;\n'
	} | application
}

# sqlstate: of the error that SQL from standard input ends in.
sqlstate()
{
	psql -At -v VERBOSITY=sqlstate -d demo -U demo_app 2>&1 | sed -n 's/^.*ERROR:  //p'
}

# split ROW NAME…: the fields of a row of unaligned output into variables.
split()
{
	row=$1
	shift
	IFS='|' read -r "$@" <<-END
		$row
	END
}

# log_in ADDRESS PASSWORD-VARIABLE: sets $outcome, $session and $role.
log_in()
{
	got=$(application <<-END
		\\getenv password $2
		SELECT outcome, session_token, role FROM usermgmt.log_in('$1', :'password');
	END
	)
	split "$got" outcome session role
}

preview()
{
	psql -d demo -U demo_app -P footer=off "$@" <<-'END'
		\getenv token zoe_link
		SELECT tenant_name, email, role, inviter_name, status, account_exists
		FROM usermgmt.preview_invitation(:'token');
	END
}

invitation_state()
{
	as_owner <<-'END'
		SELECT status, expires_at, accepted_at, accepted_by, (SELECT count(*) FROM usermgmt.audit_trail)
		FROM usermgmt.invitations;
	END
}

# receive full|brief ADDRESS PAGE: waits; sets $mail and the link's $token.
receive()
{
	mail=$(show_mail "$@") || fail "$mail"
	shift
	token=$(show_mail token "$@") || fail "$token"
}

show_mail()
{
	form=$1
	shift
	/usr/bin/python3 "$root/test/lib/show_mail.py" "$form" "$work/mail/inbox" "$@" 2>&1
}

# start_mail_server: Debian's aiosmtpd as it comes: it speaks real SMTP, is kept
# and packaged, needs no privilege and touches no system configuration. Another
# program may take the free port first, hence the attempts.
start_mail_server()
{
	account_directory "$work/mail"
	for attempt in 1 2 3 4 5; do
		port=$(/usr/bin/python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
		start_child "$work/demo/smtp.log" /usr/bin/python3 -m aiosmtpd -n \
			-c aiosmtpd.handlers.Mailbox "$work/mail/inbox" -l "127.0.0.1:$port"
		patience=100
		while [ $patience -gt 0 ] && is_running "$child"; do
			if mail_server_answers && is_running "$child"; then
				kept_children=$child
				return
			fi
			patience=$((patience - 1))
			sleep 0.1
		done
	done
	fail 'the SMTP server does not answer'
}

mail_server_answers()
{
	/usr/bin/python3 -c 'import smtplib, sys
smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=5).quit()' "$port" 2>/dev/null
}

# No TLS: loopback only, and the demo makes no certificates.
start_relay()
{
	start_child "$work/demo/relay.log" "$relay" -d "host=$PGHOST port=$PGPORT dbname=demo user=demo_relay" \
		--smtp "smtp://127.0.0.1:$port" --tls=none --worker demo
	kept_children="$kept_children $child"
}

# open_connection: a psql that stays, fed through one pipe and heard through
# another. Opened for both directions, the first does not wait for a reader.
open_connection()
{
	mkfifo "$work/demo/in" "$work/demo/out"
	exec 3<>"$work/demo/in"
	"$bindir/psql" -X -q -At -v VERBOSITY=verbose -d demo -U demo_app \
		<"$work/demo/in" >"$work/demo/out" 2>&1 3>&- &
	children="$children $!"
	exec 4<"$work/demo/out"
}

# ask STATEMENT: in that connection; sets $answer.
ask()
{
	printf '%s\n\\echo END OF ANSWER\n' "$1" >&3
	answer=
	while IFS= read -r line <&4; do
		[ "$line" != 'END OF ANSWER' ] || return 0
		answer="$answer${answer:+
}$line"
	done
	fail 'her connection is closed'
}

# leave_running: what --keep asks for. The script that ends it makes sure that
# the ids are still these processes.
leave_running()
{
	exec 3>&- 4<&-
	trap - EXIT
	cat >"$work/stop" <<-END
		# Ends what ./run demo --keep left running, and removes it.
		cd /
		for id in $kept_children; do
			! grep -qF '$work' "/proc/\$id/cmdline" 2>/dev/null || kill "\$id"
		done
		$drop '$bindir/pg_ctl' -D '$PGDATA' -m fast stop >/dev/null
		rm -rf '$work'
	END
	cat <<-END

		The cluster, the relay and the SMTP server go on running. To look around:
		  $bindir/psql -h $PGHOST -U postgres demo
		The mails are in $work/mail/inbox/new. To stop and remove it all:
		  sh $work/stop
	END
}
