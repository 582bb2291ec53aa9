/*
 * claim.c
 *	  A relay takes the messages that are due.
 *
 * A claim belongs to a connection: it holds the lock SLOT_RELAY_ALIVE of its
 * random number for as long as it lives, so a claim is taken over seconds
 * after a crash and never from a slow relay. Each claim raises the fence, and
 * every later word about the message must name it.
 */
#include "postgres.h"

#include "sodium.h"

#include "funcapi.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "core/address.h"
#include "core/compat.h"
#include "core/installation.h"
#include "core/slots.h"
#include "core/uuid.h"
#include "outbox/claim.h"
#include "outbox/doubt.h"

#define MAX_CLAIM 1000

SPI_QUERY(mail_pause, "SELECT mail_paused_at FROM usermgmt.installation"
					  " WHERE mail_paused_at IS NOT NULL");
SPI_QUERY(list_holders,
		  "SELECT DISTINCT holder FROM usermgmt.outbox"
		  " WHERE state IN ('claimed', 'sending') AND holder <> $1",
		  INT8OID);
SPI_QUERY(take_back,
		  "UPDATE usermgmt.outbox SET state = 'queued', due_at = $2,"
		  " holder = NULL, worker = NULL WHERE ctid = ANY (ARRAY("
		  "SELECT ctid FROM usermgmt.outbox WHERE holder = $1"
		  " AND (state = 'claimed' OR (state = 'sending'"
		  " AND kind <> ALL ($3))) FOR UPDATE SKIP LOCKED))",
		  INT8OID, TIMESTAMPTZOID, TEXTARRAYOID);
/* By their places in the table: the planner does not know the limit, and would
 * look for many by reading everything that was ever sent. */
SPI_QUERY(claim_due,
		  "WITH claimed AS (UPDATE usermgmt.outbox AS o SET state = 'claimed',"
		  " worker = $3, holder = $4, fence = fence + 1, claimed_at = $1"
		  " WHERE o.ctid = ANY (ARRAY(SELECT ctid FROM usermgmt.outbox"
		  " WHERE state = 'queued' AND due_at <= $1"
		  " AND tenant_id <> '00000000-0000-0000-0000-000000000000'"
		  " ORDER BY due_at, message_id LIMIT $2 FOR UPDATE SKIP LOCKED))"
		  " RETURNING o.message_id, o.tenant_id, o.fence, o.kind,"
		  " o.subject_id, o.recipient, o.recipient_name, o.attempts,"
		  " o.expires_at, o.due_at)"
		  " SELECT c.*, s.address IS NOT NULL AS suppressed"
		  " FROM claimed AS c LEFT JOIN usermgmt.address_suppression AS s"
		  " ON s.address = pg_catalog.lower(c.recipient COLLATE \"C\")"
		  " ORDER BY c.due_at, c.message_id",
		  TIMESTAMPTZOID, INT4OID, TEXTOID, INT8OID);
SPI_QUERY(end_claimed,
		  "WITH ended AS (UPDATE usermgmt.outbox SET state = $3,"
		  " finished_at = $4, reply = $5 WHERE message_id = $1 AND fence = $2"
		  " RETURNING message_id, tenant_id, fence)"
		  " INSERT INTO usermgmt.outbox_attempt (message_id, tenant_id, fence,"
		  " ended_at, outcome, reply) SELECT message_id, tenant_id, fence, $4,"
		  " 'dead', $5 FROM ended WHERE $3 = 'dead'",
		  UUIDOID, INT8OID, TEXTOID, TIMESTAMPTZOID, TEXTOID);
SPI_QUERY(next_due, "SELECT min(due_at) AS due_at FROM usermgmt.outbox"
					" WHERE state = 'queued'");

static int64 holder; /* of this connection; 0 until its first claim */

/*
 * This connection's number, with the lock that says it is alive.
 */
static int64
hold(void)
{
	LOCKTAG alive;

	while (holder == 0)
		randombytes_buf(&holder, sizeof(holder));
	alive = slot_tag(SLOT_RELAY_ALIVE, holder, true);
	if (!LockHeldByMe(&alive, ExclusiveLock, false))
		(void) LockAcquire(&alive, ExclusiveLock, true, false);
	return holder;
}

bool
claim_is_held(void)
{
	LOCKTAG alive = slot_tag(SLOT_RELAY_ALIVE, holder, true);

	return holder != 0 && LockHeldByMe(&alive, ExclusiveLock, false);
}

int64
claim_holder(void)
{
	return holder;
}

static void
set_idle(bool idle)
{
	LOCKTAG tag = slot_tag(SLOT_RELAY_IDLE, 0, true);
	bool held = LockHeldByMe(&tag, ShareLock, false);

	if (idle && !held)
		(void) LockAcquire(&tag, ShareLock, true, true);
	else if (!idle && held)
		LockRelease(&tag, ShareLock, true);
}

/*
 * Take back what dead relays had claimed; what somebody cancels right now, the
 * next claim looks at.
 */
static void
take_over(TimestampTz now)
{
	uint64 count = spi_run(list_holders, ARG_BIGINT(hold()));
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < count; i++)
	{
		bool isnull;
		int64 other = DatumGetInt64(
			SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull));
		LOCKTAG alive = slot_tag(SLOT_RELAY_ALIVE, other, true);

		if (LockAcquire(&alive, ExclusiveLock, false, true) ==
			LOCKACQUIRE_NOT_AVAIL)
			continue;
		spi_run(take_back, ARG_BIGINT(other), ARG_TIME(now),
				ARG(TEXTARRAYOID, doubt_kinds()));
		doubt_hold_lost(other, now);
	}
}

static bool
is_paused(void)
{
	return spi_run(mail_pause) > 0;
}

static Datum
message_headers(const RenderedMail *mail, const char *to_name)
{
	StringInfoData headers;

	initStringInfo(&headers);
	appendStringInfoString(&headers, "{\"from_name\": ");
	escape_json(&headers, mail->from_name);
	if (to_name != NULL)
	{
		appendStringInfoString(&headers, ", \"to_name\": ");
		escape_json(&headers, to_name);
	}
	appendStringInfoChar(&headers, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(headers.data));
}

/*
 * The same for every attempt, so that receivers can drop a repetition.
 */
static char *
message_id_header(const pg_uuid_t *message_id, const char *sender)
{
	const char *at = strrchr(sender, '@');

	return psprintf("<%s@%s>", uuid_text(message_id),
					at != NULL ? at + 1 : "localhost");
}

static void
return_message(ReturnSetInfo *result, SpiRow row, const RenderedMail *mail)
{
	pg_uuid_t message_id = row_uuid(row, "message_id");
	bool nulls[14] = {false};
	Datum values[14];
	int n = 0;

	values[n++] = UUIDPGetDatum(&message_id);
	values[n] = row_datum(row, "fence", &nulls[n]), n++;
	values[n++] = CStringGetTextDatum(row_text(row, "kind"));
	values[n] = row_datum(row, "tenant_id", &nulls[n]), n++;
	values[n++] = CStringGetTextDatum(mail->sender);
	values[n++] = CStringGetTextDatum(row_text(row, "recipient"));
	values[n++] = CStringGetTextDatum(mail->subject);
	values[n++] = CStringGetTextDatum(mail->text_body);
	values[n++] = CStringGetTextDatum(mail->html_body);
	values[n++] =
		message_headers(mail, row_text_or_null(row, "recipient_name"));
	values[n++] =
		CStringGetTextDatum(message_id_header(&message_id, mail->sender));
	values[n++] = Int32GetDatum(row_int(row, "attempts") + 1);
	values[n] = row_datum(row, "expires_at", &nulls[n]), n++;
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * Why a claimed message is not to be sent, and the state it ends in; NULL
 * when it is.
 */
static const char *
unsendable(SpiRow row, const RenderedMail *mail, TimestampTz now,
		   const char **state)
{
	*state = "cancelled";
	if (!row_is_null(row, "expires_at") && row_time(row, "expires_at") <= now)
		return "expired before it could be sent";
	if (row_bool(row, "suppressed"))
		return "suppressed: the address bounced";
	if (mail->unwanted)
		return "no longer wanted";
	*state = "dead";
	return mail->problem;
}

static void
claim_messages(ReturnSetInfo *result, const char *worker, int count)
{
	TimestampTz now = GetCurrentTimestamp();
	uint64 found = spi_run(claim_due, ARG_TIME(now), ARG_INT(count),
						   ARG_TEXT(worker), ARG_BIGINT(hold()));
	SPITupleTable *rows = SPI_tuptable;

	mail_render_begin();
	for (uint64 i = 0; i < found; i++)
	{
		SpiRow row = {rows->vals[i], rows->tupdesc};
		pg_uuid_t message_id = row_uuid(row, "message_id");
		RenderedMail mail = mail_render(row);
		const char *state;
		const char *why = unsendable(row, &mail, now, &state);
		bool isnull;

		if (why == NULL && mail_hold_back(row, now))
			continue;
		if (why == NULL)
			return_message(result, row, &mail);
		else
			spi_run(end_claimed, ARG_UUID(message_id),
					ARG(INT8OID, row_datum(row, "fence", &isnull)),
					ARG_TEXT(state), ARG_TIME(now), ARG_TEXT(why));
	}
}

PG_FUNCTION_INFO_V1(outbox_claim);
Datum
outbox_claim(PG_FUNCTION_ARGS)
{
	char *worker;
	int count = PG_ARGISNULL(1) ? 100 : PG_GETARG_INT32(1);

	if (PG_ARGISNULL(0))
		refuse_null("worker");
	worker = plain_text_require(text_to_cstring(PG_GETARG_TEXT_PP(0)), "worker",
								200);
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	begin_writing(fcinfo);
	set_idle(false);
	if (!is_paused() && count > 0)
	{
		take_over(GetCurrentTimestamp());
		mail_resolve_requests(GetCurrentTimestamp(), Min(count, MAX_CLAIM));
		claim_messages((ReturnSetInfo *) fcinfo->resultinfo, worker,
					   Min(count, MAX_CLAIM));
	}
	SPI_finish();
	return (Datum) 0;
}

/*
 * When the next message is due; the caller is about to sleep, so from here
 * on writers wake it. The look comes after the lock, so nothing is missed.
 */
PG_FUNCTION_INFO_V1(outbox_next_due);
Datum
outbox_next_due(PG_FUNCTION_ARGS)
{
	LOCKTAG idle = slot_tag(SLOT_RELAY_IDLE, 0, true);
	TimestampTz due = 0;
	bool none;

	SPI_connect();
	begin_writing(fcinfo);
	set_idle(true);
	spi_run(next_due);
	none = row_is_null(spi_row(0), "due_at");
	if (!none)
		due = row_time(spi_row(0), "due_at");
	none = none || is_paused();
	SPI_finish();
	if (!LockHeldByMe(&idle, ShareLock, false))
		PG_RETURN_TIMESTAMPTZ(GetCurrentTimestamp()); /* look again at once */
	if (none)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(due);
}
