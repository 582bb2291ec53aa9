# shellcheck shell=sh disable=SC2034,SC2154
# ./run demo: one invitation from beginning to end, on a throw-away cluster,
# with mail over SMTP. Every step compares what came back with what had to.

steps=20
owner=olivia@acme.example
invitee=zoe@example.org
invitee_name='Zoë Müller-Łukasiewicz'
greeting='Willkommen im Team – schön, dass Du da bist!'
export owner_password='correct horse battery staple'
export zoe_password='seven quiet lanterns on the bridge'
export zoe_new_password='eight loud trumpets under the stairs'

demo()
{
	need_packages demo
	make_work
	mkdir -m 700 "$work/demo"
	number=0
	story_began=$(now)

	step 'Build the extension and the relay'
	build plain
	[ -n "$relay" ] || fail 'make install staged no usermgmt-relay'
	ok

	step 'Start a throw-away cluster'
	start_cluster on
	# A step that waits for a lock has gone wrong, and says so.
	export PGOPTIONS='-c statement_timeout=15s'
	ok
	"$bindir/postgres" --version | show

	step 'CREATE EXTENSION usermgmt, and a role each for the application and the relay'
	operator -d postgres -c 'CREATE DATABASE demo' >/dev/null
	operator <<-'END' >/dev/null
		CREATE EXTENSION usermgmt;
		CREATE ROLE demo_app LOGIN;
		CREATE ROLE demo_relay LOGIN;
		SELECT usermgmt.grant_access('demo_app', 'application');
		SELECT usermgmt.grant_access('demo_relay', 'relay');
	END
	check_stage demo
	ok

	step 'Start an SMTP server on loopback, and the relay'
	start_mail_server
	start_relay
	ok
	printf 'smtp://127.0.0.1:%s\n' "$port" | show

	onboard_owner
	invite_zoe
	shut_zoe_out
	let_zoe_back
	show_trail
	catch_a_forger
	look_back
	prove_nothing_stored

	[ "$number" -eq "$steps" ] || fail "$number steps, not $steps"
	printf '\nAll %d steps verified in %s\n' "$steps" "$(seconds_since "$story_began")"
	[ "$keep" = no ] || leave_running
}

onboard_owner()
{
	step 'The operator creates the tenant acme; Olivia will own it'
	got=$(operator <<-END
		SELECT slug, name FROM usermgmt.create_tenant(slug => 'acme', name => 'Acme GmbH',
			owner_email => '$owner', owner_name => 'Olivia Owner');
	END
	)
	expect 'the tenant' 'acme|Acme GmbH' "$got"
	ok

	step 'Her welcome mail arrives'
	receive brief "$owner" set-password
	export owner_link="$token"
	ok
	printf '%s\n' "$mail" | show

	step 'She sets her password with the link, and signs in'
	application <<-'END' >/dev/null
		\getenv token owner_link
		\getenv password owner_password
		SELECT usermgmt.reset_password(:'token', :'password');
	END
	log_in "$owner" owner_password
	expect 'log_in' 'ok|owner' "$outcome|$role"
	export owner_session="$session"
	ok
}

invite_zoe()
{
	step 'She invites Zoë'
	got=$(as_owner <<-END
		SELECT email, name, role, status FROM usermgmt.invite_user(email => '$invitee', role => 'member',
			name => '$invitee_name', message => '$greeting');
	END
	)
	expect 'the invitation' "$invitee|$invitee_name|member|pending" "$got"
	ok

	step 'The invitation arrives'
	receive full "$invitee" accept-invitation
	export zoe_link="$token"
	case $mail in *"$greeting"*) ;; *) fail "the mail lacks \"$greeting\": $mail" ;; esac
	ok
	printf '%s\n' "$mail" | show

	step 'Looking at the link consumes nothing'
	before=$(invitation_state)
	preview -At >/dev/null
	got=$(preview -At)
	expect 'the preview' "Acme GmbH|$invitee|member|Olivia Owner|pending|f" "$got"
	expect 'the invitation afterwards' "$before" "$(invitation_state)"
	ok
	preview | show

	step 'She accepts, and works in a connection of her own'
	got=$(application <<-END
		\getenv token zoe_link
		\getenv password zoe_password
		SELECT outcome, session_token, user_id, role
		FROM usermgmt.accept_invitation(:'token', :'password', '$invitee_name');
	END
	)
	split "$got" outcome session zoe role
	expect 'accept_invitation' 'ok|member' "$outcome|$role"
	export zoe_session="$session"
	expect 'her name' "$invitee_name" \
		"$(echo "SELECT name FROM usermgmt.members WHERE user_id = '$zoe';" | as_owner)"
	open_connection
	ask '\getenv token zoe_session'
	ask "SELECT email FROM usermgmt.use_session(:'token', 'connection');"
	expect 'use_session' "$invitee" "$answer"
	ask 'SELECT usermgmt.current_user_id(), usermgmt.current_member_role();'
	expect 'the acting user' "$zoe|member" "$answer"
	ok
	printf 'current_user_id() is %s, current_member_role() is member\n' "$zoe" | show
}

shut_zoe_out()
{
	step 'Olivia deactivates her'
	got=$(as_owner <<-END
		SELECT status, deactivation_reason FROM usermgmt.deactivate_user('$zoe', 'left the company');
	END
	)
	expect 'deactivate_user' 'deactivated|left the company' "$got"
	ok

	step "The very next statement of Zoë's open connection is nobody's"
	ask 'SELECT usermgmt.current_user_id();'
	expect 'current_user_id()' '' "$answer"
	ask "SELECT usermgmt.invite_user('friend@example.org');"
	case $answer in 'ERROR:  UM001:'*) ;; *) fail "invite_user: expected UM001, got \"$answer\"" ;; esac
	refusal=$answer
	log_in "$invitee" zoe_password
	expect 'log_in' 'deactivated' "$outcome"
	ok
	{
		printf 'current_user_id() is NULL; invite_user() answers\n'
		printf '%s\n' "$refusal" | grep -v '^LOCATION:'
	} | show

	step 'Her link does not work a second time'
	got=$(sqlstate <<-'END'
		\getenv token zoe_link
		\getenv password zoe_password
		SELECT usermgmt.accept_invitation(:'token', :'password');
	END
	)
	expect 'accept_invitation' UM012 "$got"
	ok
}

let_zoe_back()
{
	step 'Olivia reactivates her and sends a password reset'
	got=$(as_owner <<-END
		SELECT status FROM usermgmt.reactivate_user('$zoe');
		SELECT usermgmt.send_password_reset('$zoe');
	END
	)
	expect 'reactivate_user' active "$got"
	receive brief "$invitee" reset-password
	export reset_link="$token"
	ok
	printf '%s\n' "$mail" | show

	step 'Zoë sets a new password; the old one is refused'
	application <<-'END' >/dev/null
		\getenv token reset_link
		\getenv password zoe_new_password
		SELECT usermgmt.reset_password(:'token', :'password');
	END
	log_in "$invitee" zoe_new_password
	expect 'log_in with the new password' 'ok|member' "$outcome|$role"
	export zoe_new_session="$session"
	log_in "$invitee" zoe_password
	expect 'log_in with the old password' invalid_credentials "$outcome"
	ok
}

show_trail()
{
	step 'Who did what: the audit trail'
	got=$(operator -c "SELECT actor_email, subject_email, reason FROM usermgmt.audit_trail
		WHERE action = 'user.deactivated'")
	expect 'the deactivation' "$owner|$invitee|left the company" "$got"
	got=$(operator -c "SELECT actor_email, subject_email FROM usermgmt.audit_trail
		WHERE action = 'invitation.created'")
	expect 'the invitation' "$owner|$invitee" "$got"
	ok
	psql -d demo -P footer=off -c "
		SELECT to_char(occurred_at, 'HH24:MI:SS') AS time, action, coalesce(actor_email, actor_db_role) AS actor, subject_email, reason
		FROM usermgmt.audit_trail ORDER BY occurred_at, event_id" | show
}

catch_a_forger()
{
	step 'The trail is sealed; a superuser who rewrites an event is named'
	checkpoint=$(operator -c 'SELECT usermgmt.audit_checkpoint()')
	expect 'the verification before' '' "$(operator -c 'SELECT * FROM usermgmt.audit_verify()')"
	got=$(operator <<-END
		BEGIN;
		SET LOCAL session_replication_role = replica;
		UPDATE usermgmt.audit_event SET reason = 'her own wish' WHERE action = 'user.deactivated';
		SELECT e.action, v.problem FROM usermgmt.audit_verify_checkpoint('$checkpoint') AS v
			JOIN usermgmt.audit_event AS e USING (event_id);
		ROLLBACK;
	END
	)
	expect 'the event' 'user.deactivated' "${got%%|*}"
	expect 'the verification after' '' "$(operator -c "SELECT * FROM usermgmt.audit_verify_checkpoint('$checkpoint')")"
	ok
	printf '%s\n' "$got" | show
}

look_back()
{
	step 'Who had access while she was out, and why she has it now'
	got=$(operator <<-END
		SELECT a.email, a.role, a.status FROM usermgmt.account AS p, usermgmt.access_history(p.user_id) AS h,
			usermgmt.access_at(h.valid_from, 'acme') AS a
			WHERE p.email = '$invitee' AND h.status = 'deactivated' AND a.email = p.email;
	END
	)
	expect 'the look back' "$invitee|member|deactivated" "$got"
	got=$(operator <<-END
		SELECT x.allowed, x.role, x.how, x.granted_by_email FROM usermgmt.use_tenant('acme'),
			usermgmt.account AS a, usermgmt.explain_access(a.user_id, 'create_evidence') AS x WHERE a.email = '$invitee';
	END
	)
	expect 'the explanation' "t|member|invitation accepted|$owner" "$got"
	ok
	printf '%s\n' "$got" | show
}

prove_nothing_stored()
{
	step 'No token and no password is stored: dump, outbox, tables, WAL, server log'
	operator -c CHECKPOINT >/dev/null
	"$bindir/pg_dump" -d demo >"$work/demo/dump" || fail 'pg_dump failed'
	operator -c 'COPY (SELECT * FROM usermgmt.outbox) TO STDOUT' >"$work/demo/outbox"
	got=$(printf '%s\n' "$owner_link" "$zoe_link" "$reset_link" "$owner_session" "$zoe_session" \
		"$zoe_new_session" "$owner_password" "$zoe_password" "$zoe_new_password" |
		/usr/bin/python3 "$root/test/lib/find_secrets.py" "$invitee" "pg_dump!=$work/demo/dump" \
			"outbox!=$work/demo/outbox" "data files!=$PGDATA/base" "WAL!=$PGDATA/pg_wal" \
			"server log=$work/pg/log") || fail "$got"
	ok
	printf '%s\n' "$got" | show
}
