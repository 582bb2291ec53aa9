/*
 * outbox.c
 *	  Queue mail in the caller's transaction, and wake a relay that sleeps.
 *
 * A relay that is about to sleep holds the lock SLOT_RELAY_IDLE shared. A
 * transaction that queued mail tries the same lock, in a mode that conflicts,
 * before it commits and keeps it until it has: if a relay holds it, NOTIFY is
 * sent; if not, the relay can not fall asleep before the row is visible. NOTIFY
 * costs throughput, so a busy relay gets none; polling is the guarantee.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"

#include "audit/seal.h"
#include "core/installation.h"
#include "core/notify.h"
#include "core/row_insert.h"
#include "core/settings.h"
#include "core/slots.h"
#include "core/uuid.h"
#include "outbox/catalogue.h"
#include "outbox/claim.h"
#include "outbox/doubt.h"
#include "outbox/outbox.h"

#define MAX_KINDS 32
#define MAX_STEPS 16
#define MAX_SEALS 100 /* a run of maintenance is to be short */

ROW_INSERT(insert_message, "outbox",
		   "message_id, tenant_id, kind, subject_id, recipient, recipient_name,"
		   " state, due_at, expires_at, attempts, fence, created_at, held",
		   "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13", UUIDOID,
		   UUIDOID, TEXTOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID,
		   TIMESTAMPTZOID, INT4OID, INT8OID, TIMESTAMPTZOID, BOOLOID);
SPI_QUERY(cancel_subject,
		  "UPDATE usermgmt.outbox SET state = 'cancelled', finished_at = $3,"
		  " reply = $4 WHERE subject_id = $1 AND tenant_id = $2"
		  " AND state IN ('queued', 'claimed')",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID, TEXTOID);
SPI_QUERY(cancel_kind,
		  "UPDATE usermgmt.outbox SET state = 'cancelled', finished_at = $3,"
		  " reply = $4 WHERE subject_id = $1 AND tenant_id = $2"
		  " AND state IN ('queued', 'claimed') AND kind = $5",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID, TEXTOID, TEXTOID);
SPI_QUERY(cancel_tenant,
		  "UPDATE usermgmt.outbox SET state = 'cancelled', finished_at = $2,"
		  " reply = $3 WHERE tenant_id = $1 AND state IN ('queued', 'claimed')"
		  " AND kind <> ALL ($4)",
		  UUIDOID, TIMESTAMPTZOID, TEXTOID, TEXTARRAYOID);
SPI_QUERY(cancel_expired,
		  "UPDATE usermgmt.outbox SET state = 'cancelled', finished_at = $1,"
		  " reply = 'expired before it could be sent'"
		  " WHERE ctid = ANY (ARRAY(SELECT ctid FROM usermgmt.outbox"
		  " WHERE state = 'queued' AND expires_at <= $1"
		  " FOR UPDATE SKIP LOCKED))",
		  TIMESTAMPTZOID);

static const MailKind *kinds[MAX_KINDS];
static struct
{
	const char *name;
	SpiQuery *statement;
	MaintenanceStep step; /* instead of a statement */
} steps[MAX_STEPS];
static int step_count;
static bool wake;

void
outbox_register(const MailKind *kind)
{
	int i = 0;

	while (kinds[i] != NULL)
		if (++i == MAX_KINDS - 1)
			elog(ERROR, "too many kinds of mail");
	kinds[i] = kind;
}

const MailKind *
mail_kind(const char *name)
{
	for (int i = 0; kinds[i] != NULL; i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}

char *
mail_link(const MailKind *kind, const char *base_url, const LinkToken *token)
{
	size_t length = strlen(base_url);

	while (length > 0 && base_url[length - 1] == '/')
		length--;
	return psprintf("%.*s%s?token=%s", (int) length, base_url, kind->path,
					link_token_make(token));
}

void
outbox_wake_relay(void)
{
	wake = true;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	LOCKTAG idle;

	if (event == XACT_EVENT_PRE_COMMIT && wake && notify_relay)
	{
		idle = slot_tag(SLOT_RELAY_IDLE, 0, true);
		if (LockAcquire(&idle, RowExclusiveLock, false, true) ==
				LOCKACQUIRE_NOT_AVAIL &&
			notify_has_room())
			Async_Notify("usermgmt_outbox", "");
	}
	if (event != XACT_EVENT_PRE_PREPARE)
		wake = false;
}

void
outbox_put(const Mail *mail)
{
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t message_id = uuid_make(now);

	Assert(mail_kind(mail->kind) != NULL);
	row_insert(insert_message, ARG_UUID(message_id), ARG_UUID(mail->tenant_id),
			   ARG_TEXT(mail->kind), ARG_UUID(mail->subject_id),
			   ARG_TEXT(mail->recipient), ARG_TEXT(mail->recipient_name),
			   ARG_TEXT("queued"), ARG_TIME(mail->due_at),
			   mail->expires_at == 0 ? ARG_NULL(TIMESTAMPTZOID)
									 : ARG_TIME(mail->expires_at),
			   ARG_INT(0), ARG_BIGINT(0), ARG_TIME(now), ARG_BOOL(false));
	outbox_wake_relay();
}

void
outbox_request(const char *kind, const char *recipient, TimestampTz expires_at)
{
	outbox_put(&(Mail){.kind = kind,
					   .tenant_id = uuid_nil,
					   .subject_id = uuid_nil,
					   .recipient = recipient,
					   .due_at = GetCurrentTimestamp(),
					   .expires_at = expires_at});
}

void
outbox_cancel_subject(const pg_uuid_t *tenant_id, const pg_uuid_t *subject_id,
					  const char *why)
{
	spi_run(cancel_subject, ARG_UUID(*subject_id), ARG_UUID(*tenant_id),
			ARG_TIME(GetCurrentTimestamp()), ARG_TEXT(why));
}

void
outbox_cancel_returned(uint64 count, const char *why)
{
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < count; i++)
	{
		SpiRow row = {rows->vals[i], rows->tupdesc};
		pg_uuid_t tenant_id = row_uuid(row, "tenant_id");
		pg_uuid_t subject_id = row_uuid(row, "subject_id");

		outbox_cancel_subject(&tenant_id, &subject_id, why);
	}
}

void
outbox_cancel_kind(const pg_uuid_t *tenant_id, const pg_uuid_t *subject_id,
				   const char *kind, const char *why)
{
	spi_run(cancel_kind, ARG_UUID(*subject_id), ARG_UUID(*tenant_id),
			ARG_TIME(GetCurrentTimestamp()), ARG_TEXT(why), ARG_TEXT(kind));
}

void
outbox_cancel_tenant(const pg_uuid_t *tenant_id, const char *why)
{
	spi_run(cancel_tenant, ARG_UUID(*tenant_id),
			ARG_TIME(GetCurrentTimestamp()), ARG_TEXT(why),
			ARG(TEXTARRAYOID, mail_kinds_about_accounts()));
}

/*
 * A new step of this name.
 */
static int
add_step(const char *name)
{
	if (step_count == MAX_STEPS)
		elog(ERROR, "too many maintenance steps");
	steps[step_count].name = name;
	return step_count++;
}

void
maintenance_register(const char *name, SpiQuery *statement)
{
	steps[add_step(name)].statement = statement;
}

void
maintenance_register_step(const char *name, MaintenanceStep step)
{
	steps[add_step(name)].step = step;
}

/*
 * Idempotent, and safe to run from several places at once.
 */
PG_FUNCTION_INFO_V1(run_maintenance);
Datum
run_maintenance(PG_FUNCTION_ARGS)
{
	StringInfoData done;

	initStringInfo(&done);
	SPI_connect();
	begin_writing(fcinfo);
	for (int i = 0; i < step_count; i++)
	{
		TimestampTz at = GetCurrentTimestamp();
		SpiArg now = ARG_TIME(at);

		appendStringInfo(
			&done, "%s\"%s\": " UINT64_FORMAT, i == 0 ? "{" : ", ",
			steps[i].name,
			steps[i].step != NULL
				? steps[i].step(at)
				: spi_execute(steps[i].statement, &now, SPI_VIEW_COMMAND));
	}
	appendStringInfo(&done, ", \"events_sealed\": " UINT64_FORMAT "}",
					 audit_seal_pending(MAX_SEALS));
	SPI_finish();
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(done.data));
}

void
outbox_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	maintenance_register("mails_expired", &cancel_expired);
	resolve_init();
	doubt_init();
}
