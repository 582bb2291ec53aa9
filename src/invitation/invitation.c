/*
 * invitation.c
 *	  Mail again, change what is offered, take it back.
 *
 * A transition is one UPDATE ... WHERE state = 'pending': the statement is the
 * lock, and when it changes no row somebody else was first; the row is read
 * again only to say what happened. Expired is never stored: it is pending past
 * its time, decided by the wall clock.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "account/account.h"
#include "audit/audit.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/settings.h"
#include "core/uuid.h"
#include "invitation/invitation.h"
#include "member/member.h"
#include "outbox/outbox.h"
#include "tenant/seat.h"

/* Past its time it is reopened: a fresh expiry, and its old links void. */
SPI_QUERY(resend_pending,
		  "UPDATE usermgmt.invitation SET queued_at = $3,"
		  " expires_at = CASE WHEN expires_at <= $3 OR $5 THEN $4"
		  " ELSE expires_at END, reminded_at = CASE WHEN expires_at > $3"
		  " THEN reminded_at END, generation = generation"
		  " + CASE WHEN expires_at <= $3 OR $6 THEN 1 ELSE 0 END,"
		  " invited_by = CASE WHEN $8 THEN $9 ELSE invited_by END,"
		  " invited_by_email = CASE WHEN $8 THEN $10"
		  " ELSE invited_by_email END"
		  " WHERE invitation_id = $1 AND tenant_id = $2 AND state = 'pending'"
		  " AND (expires_at <= $3 OR queued_at <= $7)"
		  " RETURNING email, name, expires_at",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, BOOLOID,
		  TIMESTAMPTZOID, BOOLOID, UUIDOID, TEXTOID);
SPI_QUERY(revoke_pending,
		  "UPDATE usermgmt.invitation SET state = 'revoked', revoked_at = $3,"
		  " revoked_by = $4, revoke_reason = $5 WHERE invitation_id = $1"
		  " AND tenant_id = $2 AND state = 'pending'",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID, UUIDOID, TEXTOID);
SPI_QUERY(set_pending_role,
		  "UPDATE usermgmt.invitation SET role = $3, generation = generation"
		  " + CASE WHEN $3 = 'owner' AND role <> 'owner' THEN 1 ELSE 0 END,"
		  " invited_by = CASE WHEN $4 THEN $5 ELSE invited_by END,"
		  " invited_by_email = CASE WHEN $4 THEN $6"
		  " ELSE invited_by_email END WHERE invitation_id = $1"
		  " AND tenant_id = $2 AND state = 'pending'"
		  " RETURNING email, name, expires_at, queued_at",
		  UUIDOID, UUIDOID, TEXTOID, BOOLOID, UUIDOID, TEXTOID);
/* An update, so that an acceptance with an older snapshot gives way. */
SPI_QUERY(touch_pending,
		  "UPDATE usermgmt.invitation SET role = role WHERE invitation_id = $1"
		  " AND tenant_id = $2 AND state = 'pending'",
		  UUIDOID, UUIDOID);
SPI_QUERY(find_invitation,
		  "SELECT state, email, role, generation, expires_at,"
		  " queued_at, invited_by"
		  " FROM usermgmt.invitation"
		  " WHERE invitation_id = $1 AND tenant_id = $2",
		  UUIDOID, UUIDOID);
SPI_QUERY(invitation_as_json,
		  "SELECT pg_catalog.jsonb_build_object('invitation_id',"
		  " usermgmt.public_id('inv', invitation_id), 'email', email,"
		  " 'status', status, 'expires_at', expires_at) AS result"
		  " FROM usermgmt.invitation_detail"
		  " WHERE invitation_id = $1 AND tenant_id = $2",
		  UUIDOID, UUIDOID);
SPI_QUERY(show_invitation,
		  "SELECT * FROM usermgmt.invitation_detail"
		  " WHERE invitation_id = $1 AND tenant_id = $2",
		  UUIDOID, UUIDOID);

Datum
invitation_show(FunctionCallInfo fcinfo, const pg_uuid_t *tenant_id,
				const pg_uuid_t *invitation_id)
{
	audit_operation_end();
	spi_run(show_invitation, ARG_UUID(*invitation_id), ARG_UUID(*tenant_id));
	return spi_finish_with_row(fcinfo);
}

static void
refuse_unknown(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
					errmsg("there is no such invitation in this tenant"),
					errhint("usermgmt.invitations shows which there are.")));
}

/*
 * Say why an invitation of this tenant could not be changed.
 */
void
invitation_refuse_change(const InvitationChange *change)
{
	char *state;

	if (spi_latest(find_invitation, ARG_UUID(change->invitation_id),
				   ARG_UUID(change->caller.tenant_id)) == 0)
		refuse_unknown();
	state = row_text(spi_row(0), "state");
	if (strcmp(state, "pending") != 0)
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg("the invitation is %s", state),
						strcmp(state, "accepted") == 0
							? 0
							: errhint("Invite the person again, if need "
									  "be.")));
}

/*
 * Nobody touches an invitation above the own role: its link would make an owner
 * of whoever has it.
 */
InvitationChange
invitation_begin_change(FunctionCallInfo fcinfo)
{
	InvitationChange change = {.caller = caller_require(ROLE_ADMIN)};
	Tenant tenant;
	SpiRow row;

	change.invitation_id = argument_uuid(fcinfo, 0, "invitation_id");
	SPI_connect();
	begin_writing(fcinfo);
	tenant = tenant_read(&change.caller.tenant_id);
	seat_prepare(&tenant);
	seat_lock(&tenant);
	caller_lock(&change.caller, ROLE_ADMIN);
	if (spi_latest(find_invitation, ARG_UUID(change.invitation_id),
				   ARG_UUID(change.caller.tenant_id)) == 0)
		refuse_unknown();
	row = spi_row(0);
	change.role = role_parse(row_text(row, "role"));
	change.has_inviter = !row_is_null(row, "invited_by");
	if (change.has_inviter)
		change.inviter = row_uuid(row, "invited_by");
	if (change.role > change.caller.role)
		refuse_role(change.role);
	return change;
}

/*
 * Whether the caller has to stand in as inviter, because whoever invited may
 * not invite to this role (any more).
 */
static bool
needs_inviter(const InvitationChange *change, MemberRole role)
{
	return change->has_inviter &&
		   membership_share(&change->caller.tenant_id, &change->inviter) <
			   Max(role, ROLE_ADMIN);
}

/* The caller as the inviter of a statement; NULL for an operator. */
#define ARG_CALLER_ID(c)                                                       \
	ARG_OPT_UUID((c).actor != NULL ? &(c).actor->user_id : NULL)
#define ARG_CALLER_EMAIL(c)                                                    \
	ARG_TEXT((c).actor != NULL ? (c).actor->email : NULL)

static void
refuse_so_soon(int64 wait)
{
	ereport(ERROR, (errcode(ERRCODE_UM_TOO_SOON),
					errmsg("it is too soon for another mail"),
					errhint("Try again in %d minutes, or copy the link with "
							"usermgmt.invitation_link().",
							(int) (wait / USECS_PER_MINUTE) + 1)));
}

/*
 * Queue the mail that the row of the last statement asks for.
 */
static void
put_mail_again(const InvitationChange *change, SpiRow row, TimestampTz due_at)
{
	invitation_put_mail(&change->caller.tenant_id, &change->invitation_id,
						row_text(row, "email"), row_text_or_null(row, "name"),
						due_at, row_time(row, "expires_at"));
}

/*
 * The mails that still wait have a link that is void now: one with the new
 * link takes their place, when they were due, unless nobody could use it.
 */
static void
replace_mails(const InvitationChange *change, SpiRow row)
{
	TimestampTz now = GetCurrentTimestamp();

	outbox_cancel_subject(&change->caller.tenant_id, &change->invitation_id,
						  "a link was made anew");
	if (row_time(row, "expires_at") > now)
		put_mail_again(change, row, Max(now, row_time(row, "queued_at")));
}

static Datum
show(FunctionCallInfo fcinfo, const InvitationChange *change)
{
	return invitation_show(fcinfo, &change->caller.tenant_id,
						   &change->invitation_id);
}

PG_FUNCTION_INFO_V1(resend_invitation);
Datum
resend_invitation(PG_FUNCTION_ARGS)
{
	bool extend = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	InvitationChange change = invitation_begin_change(fcinfo);
	Tenant tenant = tenant_read(&change.caller.tenant_id);
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz cool =
		now - setting_seconds(SETTING_RESEND_COOLDOWN, tenant.settings) *
				  USECS_PER_SEC;
	TimestampTz fresh =
		setting_after(SETTING_INVITATION_TTL, tenant.settings, now);
	bool keeps_links =
		setting_on(SETTING_RESEND_KEEPS_OLD_LINKS, tenant.settings);

	invitation_require_enabled(&tenant);
	if (spi_run(resend_pending, ARG_UUID(change.invitation_id),
				ARG_UUID(change.caller.tenant_id), ARG_TIME(now),
				ARG_TIME(fresh), ARG_BOOL(extend), ARG_BOOL(!keeps_links),
				ARG_TIME(cool), ARG_BOOL(needs_inviter(&change, change.role)),
				ARG_CALLER_ID(change.caller),
				ARG_CALLER_EMAIL(change.caller)) == 0)
	{
		invitation_refuse_change(&change);
		refuse_so_soon(row_time(spi_row(0), "queued_at") - cool);
	}
	put_mail_again(&change, spi_row(0), now);
	return show(fcinfo, &change);
}

PG_FUNCTION_INFO_V1(revoke_invitation);
Datum
revoke_invitation(PG_FUNCTION_ARGS)
{
	char *reason = plain_text(argument_text(fcinfo, 1), "reason", 500, true);
	InvitationChange change = invitation_begin_change(fcinfo);

	audit_operation(&(AuditOperation){.reason = reason});
	if (spi_run(revoke_pending, ARG_UUID(change.invitation_id),
				ARG_UUID(change.caller.tenant_id),
				ARG_TIME(GetCurrentTimestamp()), ARG_CALLER_ID(change.caller),
				ARG_TEXT(reason)) == 0)
	{
		invitation_refuse_change(&change);
		elog(ERROR, "the invitation could not be revoked");
	}
	outbox_cancel_subject(&change.caller.tenant_id, &change.invitation_id,
						  "revoked");
	return show(fcinfo, &change);
}

/*
 * The next acceptance gives the new role; mails sent before name the old one.
 * A link that was made for less makes nobody an owner: it is void, and a new
 * one is mailed.
 */
PG_FUNCTION_INFO_V1(change_invitation_role);
Datum
change_invitation_role(PG_FUNCTION_ARGS)
{
	MemberRole role = role_require(argument_text(fcinfo, 1));
	char *reason = plain_text(argument_text(fcinfo, 2), "reason", 500, true);
	InvitationChange change = invitation_begin_change(fcinfo);
	Tenant tenant = tenant_read(&change.caller.tenant_id);

	invitation_check_role(&change.caller, &tenant, role);
	audit_operation(&(AuditOperation){.reason = reason});
	if (spi_run(set_pending_role, ARG_UUID(change.invitation_id),
				ARG_UUID(change.caller.tenant_id), ARG_TEXT(role_name(role)),
				ARG_BOOL(needs_inviter(&change, role)),
				ARG_CALLER_ID(change.caller),
				ARG_CALLER_EMAIL(change.caller)) == 0)
	{
		invitation_refuse_change(&change);
		elog(ERROR, "the invitation could not be changed");
	}
	if (role == ROLE_OWNER && change.role != ROLE_OWNER)
		replace_mails(&change, spi_row(0));
	return show(fcinfo, &change);
}

/*
 * The next acceptance gives these places and no others.
 */
PG_FUNCTION_INFO_V1(change_invitation_workspaces);
Datum
change_invitation_workspaces(PG_FUNCTION_ARGS)
{
	InvitationChange change = invitation_begin_change(fcinfo);
	List *places =
		workspace_places_argument(fcinfo, 1, &change.caller.tenant_id);

	if (PG_ARGISNULL(1))
		refuse_null("workspaces");
	if (spi_run(touch_pending, ARG_UUID(change.invitation_id),
				ARG_UUID(change.caller.tenant_id)) == 0)
	{
		invitation_refuse_change(&change);
		elog(ERROR, "the invitation could not be changed");
	}
	invitation_set_places(&change.caller.tenant_id, &change.invitation_id,
						  places);
	return show(fcinfo, &change);
}

PG_FUNCTION_INFO_V1(invitation_json);
Datum
invitation_json(PG_FUNCTION_ARGS)
{
	Caller caller = caller_require(ROLE_ADMIN);
	pg_uuid_t invitation_id;
	Datum result;

	invitation_id = argument_uuid(fcinfo, 0, "invitation_id");
	SPI_connect();
	if (spi_read(invitation_as_json, ARG_UUID(invitation_id),
				 ARG_UUID(caller.tenant_id)) == 0)
		refuse_unknown();
	result = SPI_datumTransfer(row_value(spi_row(0), "result"), false, -1);
	SPI_finish();
	return result;
}
