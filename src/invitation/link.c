/*
 * link.c
 *	  The life of an invitation as a table, its mail and its link.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/builtins.h"

#include "audit/audit.h"
#include "core/errors.h"
#include "core/settings.h"
#include "core/transition.h"
#include "core/uuid.h"
#include "invitation/invitation.h"
#include "outbox/outbox.h"
#include "tenant/seat.h"

/* clang-format off */
static const Transition transitions[] = {
	{"pending", "accept", "accepted", "invitation.accepted", "the person joined"},
	{"pending", "revoke", "revoked",  "invitation.revoked",	 "the tenant took it back"},
	{"pending", "decline","declined", "invitation.declined", "the invited person does not want it"},
	{NULL, NULL, NULL, NULL, NULL}
};
/* clang-format on */

/* The account is looked up: a join may walk through all of them in the order
 * of the addresses. */
SPI_QUERY(mail_subject,
		  "SELECT i.state = 'pending' AND i.expires_at > $3 AS wanted,"
		  " true AS linked, i.generation, pg_catalog.jsonb_build_object("
		  "'expires_at', usermgmt.mail_time(i.expires_at),"
		  " 'role', i.role, 'message', i.message,"
		  " 'locale', coalesce((SELECT p.locale FROM usermgmt.account AS p"
		  " WHERE p.canonical_email = i.canonical_email"
		  " AND p.closed_at IS NULL), i.locale),"
		  " 'inviter_name', coalesce(a.name, i.invited_by_email)) AS variables"
		  " FROM usermgmt.invitation AS i LEFT JOIN usermgmt.account AS a"
		  " ON a.user_id = i.invited_by"
		  " WHERE i.invitation_id = $1 AND i.tenant_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);

SPI_QUERY(close_places,
		  "UPDATE usermgmt.invitation_workspace SET is_open = false"
		  " WHERE invitation_id = $1 AND tenant_id = $2 AND is_open",
		  UUIDOID, UUIDOID);

SPI_QUERY(find_of_leaver,
		  "SELECT FROM usermgmt.invitation WHERE tenant_id = $1"
		  " AND invited_by = $2 AND state = 'pending' LIMIT 1",
		  UUIDOID, UUIDOID);
SPI_QUERY(revoke_of_leaver,
		  "UPDATE usermgmt.invitation SET state = 'revoked', revoked_at = $3,"
		  " revoke_reason = 'the inviter left the tenant'"
		  " WHERE tenant_id = $1 AND invited_by = $2 AND state = 'pending'"
		  " RETURNING invitation_id",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);

const MailKind invitation_mail = {"invitation", "/accept-invitation",
								  LINK_INVITATION, &mail_subject};
const MailKind reminder_mail = {"invitation_reminder", "/accept-invitation",
								LINK_INVITATION, &mail_subject};

/*
 * The link for copying by hand, which leaves a trace in the trail. Its token
 * says so: an account made by it has an address that nobody has proven.
 */
PG_FUNCTION_INFO_V1(invitation_link);
Datum
invitation_link(PG_FUNCTION_ARGS)
{
	InvitationChange change = invitation_begin_change(fcinfo);
	Tenant tenant = tenant_read(&change.caller.tenant_id);
	LinkToken token = {.purpose = LINK_INVITATION_BY_HAND,
					   .tenant_id = change.caller.tenant_id,
					   .object_id = change.invitation_id};
	char *email;
	Datum link;

	invitation_refuse_change(&change);
	if (role_parse(row_text(spi_row(0), "role")) > change.caller.role)
		refuse_role(ROLE_OWNER);
	if (row_time(spi_row(0), "expires_at") <= GetCurrentTimestamp())
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg("the invitation is expired"),
						errhint("Reopen it with "
								"usermgmt.resend_invitation().")));
	token.generation = row_int(spi_row(0), "generation");
	email = row_text(spi_row(0), "email");
	audit_write(&(AuditEvent){.action = "invitation.link_shown",
							  .object_type = "invitation",
							  .object_id = uuid_text(&change.invitation_id),
							  .tenant_id = &change.caller.tenant_id,
							  .subject_email = email});
	link = SPI_datumTransfer(
		CStringGetTextDatum(
			mail_link(&invitation_mail,
					  setting_text(SETTING_BASE_URL, tenant.settings), &token)),
		false, -1);
	SPI_finish();
	PG_RETURN_DATUM(link);
}

/*
 * A seat is held from the making, or a change of the expiry, until the end;
 * an expired one gives it back when somebody needs it (tenant/seat.c).
 */
static Datum
set_seat(SpiRow row, bool anew)
{
	int column = SPI_fnumber(row.desc, "holds_seat");
	bool open = strcmp(row_text(row, "state"), "pending") == 0;
	bool holds = row_bool(row, "holds_seat");
	Datum value;
	bool isnull = false;

	if (!open)
		holds = false;
	else if (anew)
		holds = row_time(row, "expires_at") > GetCurrentTimestamp();
	value = BoolGetDatum(holds);
	return PointerGetDatum(heap_modify_tuple_by_cols(row.tuple, row.desc, 1,
													 &column, &value, &isnull));
}

static void
refuse_move(SpiRow before, SpiRow after)
{
	pg_uuid_t from = row_uuid(before, "tenant_id");
	pg_uuid_t to = row_uuid(after, "tenant_id");

	if (!uuid_equal(&from, &to))
		ereport(ERROR,
				(errcode(ERRCODE_UM_WRONG_STATE),
				 errmsg("an invitation can not move to another tenant")));
}

PG_FUNCTION_INFO_V1(invitation_guard);
Datum
invitation_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW);
	Datum result = transition_guard(fcinfo, transitions, false);

	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		return set_seat(trigger_row(trigger), true);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		refuse_move(trigger_row(trigger), trigger_new_row(trigger));
		return set_seat(trigger_new_row(trigger),
						row_time(trigger_row(trigger), "expires_at") !=
							row_time(trigger_new_row(trigger), "expires_at"));
	}
	return result;
}

/*
 * AFTER trigger: it is counted while it is open, and the seat that it holds;
 * the places that it offers are open as long as it is.
 */
PG_FUNCTION_INFO_V1(invitation_changed);
Datum
invitation_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);
	bool inserted = TRIGGER_FIRED_BY_INSERT(trigger->tg_event);
	SpiRow before = trigger_row(trigger);
	SpiRow after = inserted ? before : trigger_new_row(trigger);
	AuditChange change = {&before, &after};
	pg_uuid_t invitation_id = row_uuid(after, "invitation_id");
	pg_uuid_t tenant_id = row_uuid(after, "tenant_id");
	int seats = row_bool(after, "holds_seat") -
				(inserted ? 0 : row_bool(before, "holds_seat"));

	SPI_connect();
	if (inserted)
	{
		if (seats != 0)
			seat_take(&tenant_id, 0, seats);
		invitation_count_open(after);
	}
	else
	{
		if (seats != 0)
			seat_change(&tenant_id, 0, seats);
		invitation_count_change(before, after);
		if (audit_differs(&change, "state"))
			spi_run(close_places, ARG_UUID(invitation_id), ARG_UUID(tenant_id));
	}
	SPI_finish();
	return PointerGetDatum(NULL);
}

/*
 * AFTER DELETE trigger on membership: nobody is invited by someone who left.
 */
PG_FUNCTION_INFO_V1(invitation_inviter_left);
Datum
invitation_inviter_left(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);
	pg_uuid_t tenant_id = row_uuid(trigger_row(trigger), "tenant_id");
	pg_uuid_t user_id = row_uuid(trigger_row(trigger), "user_id");
	SPITupleTable *rows;
	uint64 count;

	SPI_connect();
	count = spi_run(revoke_of_leaver, ARG_UUID(tenant_id), ARG_UUID(user_id),
					ARG_TIME(GetCurrentTimestamp()));
	rows = SPI_tuptable;
	for (uint64 i = 0; i < count; i++)
	{
		SpiRow row = {rows->vals[i], rows->tupdesc};
		pg_uuid_t invitation_id = row_uuid(row, "invitation_id");

		outbox_cancel_subject(&tenant_id, &invitation_id, "revoked");
	}
	if (spi_latest(find_of_leaver, ARG_UUID(tenant_id), ARG_UUID(user_id)) > 0)
		refuse_concurrent("invitation");
	SPI_finish();
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(invitation_refuse_truncate);
Datum
invitation_refuse_truncate(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("invitations are never deleted")));
}

/*
 * The trail tells a resend from a reopening by the expiry, so that it reads
 * the same after a bare UPDATE.
 */
static const char *
invitation_action(const AuditChange *change)
{
	const Transition *step;
	bool was_open;

	if (change->before == NULL || change->after == NULL)
		return NULL;
	step = transition_find(transitions, row_text(*change->before, "state"),
						   row_text(*change->after, "state"));
	if (step != NULL)
		return step->action;
	if (audit_differs(change, "role"))
		return "invitation.role_changed";
	if (row_is_null(*change->before, "reminded_at") &&
		!row_is_null(*change->after, "reminded_at"))
		return "invitation.reminded";
	if (row_time(*change->before, "queued_at") ==
		row_time(*change->after, "queued_at"))
		return NULL;
	was_open = row_time(*change->before, "expires_at") >
			   row_time(*change->after, "queued_at");
	return was_open ? "invitation.resent" : "invitation.reopened";
}

static const char *
place_action(const AuditChange *change)
{
	if (change->before == NULL)
		return "invitation.workspace_added";
	if (change->after == NULL)
		return "invitation.workspace_removed";
	return audit_differs(change, "role") ? "invitation.workspace_role_changed"
										 : NULL;
}

void
invitation_init(void)
{
	audit_register("invitation", invitation_action);
	audit_register("invitation_workspace", place_action);
	outbox_register(&invitation_mail);
	outbox_register(&reminder_mail);
	invitation_count_init();
	maintenance_register_step("reminders_queued", reminder_queue_all);
}
