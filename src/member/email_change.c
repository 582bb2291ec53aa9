/*
 * email_change.c
 *	  The life of a wish to have another address, and the mails about it.
 *
 * Whatever changes the password or the address of the account ends it, on every
 * path: who asked may not have been its person.
 */
#include "postgres.h"

#include "audit/audit.h"
#include "core/errors.h"
#include "core/transition.h"
#include "member/email_change.h"
#include "outbox/outbox.h"
#include "password/password.h"

/* clang-format off */
static const Transition transitions[] = {
	{"open", "use",		  "used",		"email_change.confirmed",  "the new address was confirmed"},
	{"open", "supersede", "superseded",	"email_change.superseded", "another change made it void"},
	{"open", "cancel",	  "cancelled",	"email_change.cancelled",  "the person lost access"},
	{NULL, NULL, NULL, NULL, NULL}
};
/* clang-format on */

SPI_QUERY(supersede,
		  "UPDATE usermgmt.email_change SET state = 'superseded',"
		  " finished_at = $2 WHERE user_id = $1 AND state = 'open'"
		  " RETURNING change_id AS subject_id, tenant_id",
		  UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(cancel,
		  "UPDATE usermgmt.email_change SET state = 'cancelled',"
		  " finished_at = $3 WHERE user_id = $1 AND tenant_id = $2"
		  " AND state = 'open' RETURNING change_id AS subject_id, tenant_id",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(find_open,
		  "SELECT FROM usermgmt.email_change WHERE user_id = $1"
		  " AND ($2 IS NULL OR tenant_id = $2) AND state = 'open'",
		  UUIDOID, UUIDOID);

#define CHANGE_VARIABLES                                                       \
	" c.generation, pg_catalog.jsonb_build_object('old_email', c.old_email,"   \
	" 'new_email', c.email, 'expires_at', usermgmt.mail_time(c.expires_at))"   \
	" AS variables FROM usermgmt.email_change AS c"                            \
	" WHERE c.change_id = $1 AND c.tenant_id = $2"

SPI_QUERY(link_subject,
		  "SELECT c.state = 'open' AND c.expires_at > $3 AS wanted,"
		  " true AS linked," CHANGE_VARIABLES,
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(requested_subject,
		  "SELECT c.state = 'open' AND c.expires_at > $3 AS wanted,"
		  " false AS linked," CHANGE_VARIABLES,
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(changed_subject,
		  "SELECT c.state = 'used' AND $3 IS NOT NULL AS wanted,"
		  " false AS linked," CHANGE_VARIABLES,
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);

static const MailKind mails[] = {
	{"email_change", "/confirm-email", LINK_EMAIL_CHANGE, &link_subject},
	{"email_change_requested", NULL, LINK_NONE, &requested_subject},
	{"email_changed", NULL, LINK_NONE, &changed_subject},
};

/*
 * A transaction with a fixed snapshot can not end a wish made after it: it
 * gives way instead.
 */
static void
require_none_open(const pg_uuid_t *user_id, const pg_uuid_t *tenant_id)
{
	if (spi_latest(find_open, ARG_UUID(*user_id), ARG_OPT_UUID(tenant_id)) > 0)
		refuse_concurrent("change of the link");
}

void
email_change_supersede(const pg_uuid_t *user_id, const char *why)
{
	outbox_cancel_returned(
		spi_run(supersede, ARG_UUID(*user_id), ARG_TIME(GetCurrentTimestamp())),
		why);
	require_none_open(user_id, NULL);
}

void
email_change_cancel(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id)
{
	outbox_cancel_returned(spi_run(cancel, ARG_UUID(*user_id),
								   ARG_UUID(*tenant_id),
								   ARG_TIME(GetCurrentTimestamp())),
						   "the person lost access");
	require_none_open(user_id, tenant_id);
}

PG_FUNCTION_INFO_V1(email_change_guard);
Datum
email_change_guard(PG_FUNCTION_ARGS)
{
	return transition_guard(fcinfo, transitions, true);
}

/*
 * AFTER UPDATE trigger on accounts. Links mailed to an address that is another
 * one now are void too.
 */
PG_FUNCTION_INFO_V1(email_change_follow);
Datum
email_change_follow(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);
	SpiRow before = trigger_row(trigger);
	SpiRow after = trigger_new_row(trigger);
	AuditChange change = {&before, &after};
	pg_uuid_t user_id = row_uuid(after, "user_id");
	bool moved = audit_differs(&change, "canonical_email");

	SPI_connect();
	if (moved || audit_differs(&change, "email"))
		email_change_supersede(&user_id, "the address was changed");
	else if (audit_differs(&change, "password_version"))
		email_change_supersede(&user_id, "the password was changed");
	else if (audit_differs(&change, "closed_at"))
		email_change_supersede(&user_id, "the account was closed");
	if (moved)
		password_reset_void(&user_id, "the address was changed");
	SPI_finish();
	return PointerGetDatum(NULL);
}

static const char *
email_change_action(const AuditChange *change)
{
	const Transition *step;

	if (change->after == NULL)
		return NULL;
	if (change->before == NULL)
		return "email_change.requested";
	step = transition_find(transitions, row_text(*change->before, "state"),
						   row_text(*change->after, "state"));
	return step != NULL ? step->action : NULL;
}

void
email_change_init(void)
{
	audit_register("email_change", email_change_action);
	for (int i = 0; i < lengthof(mails); i++)
		outbox_register(&mails[i]);
}
