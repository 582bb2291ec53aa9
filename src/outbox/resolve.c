/*
 * resolve.c
 *	  Find out for whom a mail is, when a relay claims it.
 *
 * Where the answer to an anonymous caller must not tell whether an address is
 * known, the caller only queues a request: an outbox row of no tenant. The
 * room that owns the kind decides here what becomes of it. A request that has
 * to wait for a lock comes later, and holds up no other mail.
 */
#include "postgres.h"

#include "utils/guc.h"

#include "core/attempt.h"
#include "core/uuid.h"
#include "outbox/claim.h"
#include "outbox/outbox.h"

#define LOCK_WAIT "100ms"
#define LATER_SECONDS 5

SPI_QUERY(find_requests,
		  "SELECT message_id, kind, recipient, expires_at FROM usermgmt.outbox"
		  " WHERE state = 'queued' AND due_at <= $1"
		  " AND tenant_id = '00000000-0000-0000-0000-000000000000'"
		  " ORDER BY due_at, message_id LIMIT $2 FOR UPDATE SKIP LOCKED",
		  TIMESTAMPTZOID, INT4OID);
SPI_QUERY(address_request,
		  "UPDATE usermgmt.outbox SET tenant_id = $2, subject_id = $3,"
		  " recipient = $4, recipient_name = $5, expires_at = $6"
		  " WHERE message_id = $1"
		  " AND tenant_id = '00000000-0000-0000-0000-000000000000'",
		  UUIDOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
SPI_QUERY(cancel_request,
		  "UPDATE usermgmt.outbox SET state = 'cancelled', finished_at = $2,"
		  " reply = $3 WHERE message_id = $1"
		  " AND tenant_id = '00000000-0000-0000-0000-000000000000'",
		  UUIDOID, TIMESTAMPTZOID, TEXTOID);
SPI_QUERY(postpone_request,
		  "UPDATE usermgmt.outbox SET due_at = $2 WHERE message_id = $1"
		  " AND tenant_id = '00000000-0000-0000-0000-000000000000'",
		  UUIDOID, TIMESTAMPTZOID);
/* By the places of the rows: a join could be planned to read all mails. */
SPI_QUERY(purge_requests,
		  "DELETE FROM usermgmt.outbox WHERE ctid = ANY (ARRAY(SELECT ctid"
		  " FROM usermgmt.outbox"
		  " WHERE tenant_id = '00000000-0000-0000-0000-000000000000'"
		  " AND state = 'cancelled' AND finished_at < $1 - interval '1 day'"
		  " FOR UPDATE SKIP LOCKED))",
		  TIMESTAMPTZOID);

typedef struct Request
{
	pg_uuid_t message_id;
	const MailKind *kind;
	const char *recipient;
	TimestampTz expires_at;
} Request;

static void
resolve(void *arg)
{
	Request *request = arg;
	TimestampTz now = GetCurrentTimestamp();
	Mail mail = {.recipient = request->recipient,
				 .expires_at = request->expires_at};
	const char *refusal;

	SPI_connect();
	refusal = request->expires_at <= now ? "expired before it could be sent"
										 : request->kind->resolve(&mail);
	if (refusal != NULL)
		spi_run(cancel_request, ARG_UUID(request->message_id), ARG_TIME(now),
				ARG_TEXT(refusal));
	else
		spi_run(address_request, ARG_UUID(request->message_id),
				ARG_UUID(mail.tenant_id), ARG_UUID(mail.subject_id),
				ARG_TEXT(mail.recipient), ARG_TEXT(mail.recipient_name),
				ARG_TIME(mail.expires_at));
	SPI_finish();
}

static void
resolve_or_postpone(Request *request)
{
	ErrorData *error = attempt(resolve, request, true);

	if (error == NULL)
		return;
	if (attempt_was_cancelled(error))
		ReThrowError(error);
	if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ereport(LOG, (errcode(error->sqlerrcode),
					  errmsg("a request for mail is tried again later: %s",
							 error->message)));
	spi_run(postpone_request, ARG_UUID(request->message_id),
			ARG_TIME(GetCurrentTimestamp() + LATER_SECONDS * USECS_PER_SEC));
}

void
mail_resolve_requests(TimestampTz now, int count)
{
	uint64 found = spi_run(find_requests, ARG_TIME(now), ARG_INT(count));
	SPITupleTable *rows = SPI_tuptable;
	int level;

	if (found == 0)
		return;
	level = NewGUCNestLevel();
	(void) set_config_option("lock_timeout", LOCK_WAIT, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	for (uint64 i = 0; i < found; i++)
	{
		SpiRow row = {rows->vals[i], rows->tupdesc};
		Request request = {.message_id = row_uuid(row, "message_id"),
						   .kind = mail_kind(row_text(row, "kind")),
						   .recipient = row_text(row, "recipient"),
						   .expires_at = row_time(row, "expires_at")};

		if (request.kind != NULL && request.kind->resolve != NULL)
			resolve_or_postpone(&request);
	}
	AtEOXact_GUC(false, level);
}

void
resolve_init(void)
{
	maintenance_register("mail_requests_purged", &purge_requests);
}
