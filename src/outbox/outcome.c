/*
 * outcome.c
 *	  What the relay says of a claimed message: a last look, then the outcome.
 *
 * Only "sending" rows can be in doubt: the relay enters that state before the
 * final dot, and the answer false keeps the dot from being sent. It may look
 * once more, as long as there was no dot.
 */
#include "postgres.h"

#include "sodium.h"

#include "mb/pg_wchar.h"

#include "core/address.h"
#include "core/installation.h"
#include "core/settings.h"
#include "core/transition.h"
#include "core/uuid.h"
#include "outbox/claim.h"
#include "outbox/doubt.h"

#define MAX_REPLY 500
#define MAX_ATTEMPTS 24
#define LONGEST_RETRY 3600 /* seconds */

/* clang-format off */
static const Transition transitions[] = {
	{"queued",	"claim",	"claimed",	 NULL, "a relay took it"},
	{"claimed",	"release",	"queued",	 NULL, "it was handed back, or its relay died"},
	{"claimed",	"last look","sending",	 NULL, "its final dot is about to be sent"},
	{"sending",	"accept",	"sent",		 NULL, "the server took it"},
	{"sending",	"defer",	"queued",	 NULL, "it failed for now, is in doubt, or is not to be sent any more"},
	{"sending",	"refuse",	"dead",		 NULL, "the server refused it for good, or it is in doubt and held"},
	{"claimed",	"refuse",	"dead",		 NULL, "the server refused it for good"},
	{"claimed",	"cancel",	"cancelled", NULL, "its reason is gone"},
	{"queued",	"cancel",	"cancelled", NULL, "its reason is gone"},
	{"dead",	"retry",	"queued",	 NULL, "an operator wants it tried again"},
	{NULL, NULL, NULL, NULL, NULL}
};
/* clang-format on */

/*
 * Each message passes through the indexes of single states and leaves a dead
 * row there; a planner without statistics takes them for the best. With the
 * state as a parameter it cannot, and finds the message by its key.
 */
SPI_QUERY(lock_claimed,
		  "SELECT kind, state, attempts, expires_at FROM usermgmt.outbox"
		  " WHERE message_id = $1 AND fence = $2 AND state IN ($3, $4)"
		  " FOR UPDATE",
		  UUIDOID, INT8OID, TEXTOID, TEXTOID);
SPI_QUERY(lock_held,
		  "SELECT o.kind, o.subject_id, o.tenant_id, o.state = $5 AS again,"
		  " coalesce(o.expires_at <= $6, false) AS expired, (SELECT"
		  " t.suspended_at IS NOT NULL FROM usermgmt.tenant AS t"
		  " WHERE t.tenant_id = o.tenant_id) AS suspended,"
		  " EXISTS (SELECT FROM usermgmt.installation"
		  " WHERE mail_paused_at IS NOT NULL) AS paused"
		  " FROM usermgmt.outbox AS o WHERE o.message_id = $1"
		  " AND o.fence = $2 AND o.holder = $3 AND o.state IN ($4, $5)"
		  " FOR UPDATE OF o",
		  UUIDOID, INT8OID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
SPI_QUERY(begin_sending,
		  "UPDATE usermgmt.outbox SET state = 'sending'"
		  " WHERE message_id = $1 AND fence = $2 AND state = $3",
		  UUIDOID, INT8OID, TEXTOID);
SPI_QUERY(hand_back,
		  "UPDATE usermgmt.outbox SET state = 'queued', due_at = $3,"
		  " holder = NULL, worker = NULL WHERE message_id = $1 AND fence = $2",
		  UUIDOID, INT8OID, TIMESTAMPTZOID);
SPI_QUERY(cancel_claimed,
		  "UPDATE usermgmt.outbox SET state = 'cancelled', finished_at = $3,"
		  " reply = 'no longer wanted, or expired'"
		  " WHERE message_id = $1 AND fence = $2 AND state = $4",
		  UUIDOID, INT8OID, TIMESTAMPTZOID, TEXTOID);
SPI_QUERY(mark_sent,
		  "WITH done AS (UPDATE usermgmt.outbox SET state = 'sent',"
		  " finished_at = $3, reply = $4, attempts = attempts + 1"
		  " WHERE message_id = $1 AND fence = $2 AND state = $5"
		  " RETURNING message_id, tenant_id, fence)"
		  " INSERT INTO usermgmt.outbox_attempt (message_id, tenant_id, fence,"
		  " ended_at, outcome, reply) SELECT message_id, tenant_id, fence, $3,"
		  " 'sent', $4 FROM done",
		  UUIDOID, INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID);
SPI_QUERY(mark_failed,
		  "UPDATE usermgmt.outbox SET state = $3, due_at = $4, reply = $5,"
		  " attempts = attempts + $6, finished_at = $7, holder = NULL,"
		  " worker = NULL WHERE message_id = $1 AND fence = $2",
		  UUIDOID, INT8OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, INT4OID,
		  TIMESTAMPTZOID);
SPI_QUERY(insert_attempt,
		  "INSERT INTO usermgmt.outbox_attempt (message_id, tenant_id, fence,"
		  " ended_at, outcome, reply) SELECT message_id, tenant_id, fence, $3,"
		  " $4, $5 FROM usermgmt.outbox WHERE message_id = $1 AND fence = $2",
		  UUIDOID, INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID);
SPI_QUERY(mark_bounced,
		  "UPDATE usermgmt.outbox SET bounced_at = $2, bounce_detail = $3"
		  " WHERE message_id = $1 AND state = 'sent' RETURNING recipient",
		  UUIDOID, TIMESTAMPTZOID, TEXTOID);
SPI_QUERY(mark_delayed,
		  "UPDATE usermgmt.outbox SET bounce_detail = $2"
		  " WHERE message_id = $1 AND state = 'sent' AND bounced_at IS NULL",
		  UUIDOID, TEXTOID);
SPI_QUERY(suppress,
		  "INSERT INTO usermgmt.address_suppression (address, reason,"
		  " suppressed_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
		  TEXTOID, TEXTOID, TIMESTAMPTZOID);

/*
 * The message and fence that an outcome names; false when one is null.
 */
static bool
named_message(FunctionCallInfo fcinfo, pg_uuid_t *message_id, int64 *fence)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		return false;
	*message_id = *PG_GETARG_UUID_P(0);
	*fence = PG_GETARG_INT64(1);
	return true;
}

/*
 * A server's reply as we keep it: short, and without control characters.
 */
static char *
reply_argument(FunctionCallInfo fcinfo, int n)
{
	char *reply;

	if (PG_ARGISNULL(n))
		return NULL;
	reply = text_to_cstring(PG_GETARG_TEXT_PP(n));
	reply[pg_mbcliplen(reply, strlen(reply), MAX_REPLY)] = '\0';
	for (char *c = reply; *c != '\0'; c++)
		if ((unsigned char) *c < ' ')
			*c = ' ';
	return reply;
}

/*
 * Enter "sending", or stay there; or hand the message back while mail is
 * paused; or cancel it when it has expired or its reason is gone, by whatever
 * path: if that was found while it was "sending", the next claim cancels it.
 * Only the connection that claimed it may do so.
 */
static bool
last_look(const pg_uuid_t *message_id, int64 fence)
{
	SpiArg now = ARG_TIME(GetCurrentTimestamp());
	SpiArg claimed = ARG_TEXT("claimed");
	bool again;
	bool paused;

	if (!claim_is_held() ||
		spi_run(lock_held, ARG_UUID(*message_id), ARG_BIGINT(fence),
				ARG_BIGINT(claim_holder()), claimed, ARG_TEXT("sending"),
				now) == 0)
		return false;
	again = row_bool(spi_row(0), "again");
	paused = row_bool(spi_row(0), "paused");
	if (!paused && !row_bool(spi_row(0), "expired") &&
		mail_is_wanted(spi_row(0)))
		return again || spi_run(begin_sending, ARG_UUID(*message_id),
								ARG_BIGINT(fence), claimed) == 1;
	if (paused || again)
		spi_run(hand_back, ARG_UUID(*message_id), ARG_BIGINT(fence), now);
	else
		spi_run(cancel_claimed, ARG_UUID(*message_id), ARG_BIGINT(fence), now,
				claimed);
	return false;
}

PG_FUNCTION_INFO_V1(outbox_sending);
Datum
outbox_sending(PG_FUNCTION_ARGS)
{
	pg_uuid_t message_id;
	int64 fence;
	bool go;

	if (!named_message(fcinfo, &message_id, &fence))
		PG_RETURN_BOOL(false);
	SPI_connect();
	begin_writing(fcinfo);
	go = last_look(&message_id, fence);
	SPI_finish();
	PG_RETURN_BOOL(go);
}

PG_FUNCTION_INFO_V1(outbox_sent);
Datum
outbox_sent(PG_FUNCTION_ARGS)
{
	pg_uuid_t message_id;
	int64 fence;
	bool done;

	if (!named_message(fcinfo, &message_id, &fence))
		PG_RETURN_BOOL(false);
	SPI_connect();
	begin_writing(fcinfo);
	done =
		spi_run(mark_sent, ARG_UUID(message_id), ARG_BIGINT(fence),
				ARG_TIME(GetCurrentTimestamp()),
				ARG_TEXT(reply_argument(fcinfo, 2)), ARG_TEXT("sending")) == 1;
	SPI_finish();
	PG_RETURN_BOOL(done);
}

/*
 * When to try again: doubling from mail_retry_after, at most an hour, at a
 * random moment within that (full jitter).
 */
static TimestampTz
retry_at(TimestampTz now, int attempts)
{
	int64 longest = (int64) mail_retry_after << Min(attempts, 16);

	longest = Min(longest, Max(LONGEST_RETRY, mail_retry_after));
	return now + (int64) randombytes_uniform(longest * 1000 + 1) * 1000;
}

static void
record_failure(const pg_uuid_t *message_id, int64 fence, bool permanent,
			   const char *reply)
{
	SpiRow row = spi_row(0);
	bool held = strcmp(row_text(row, "state"), "sending") == 0 &&
				doubt_holds(row_text(row, "kind"), reply);
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due = retry_at(now, row_int(row, "attempts"));
	bool dead =
		permanent || held || row_int(row, "attempts") + 1 >= MAX_ATTEMPTS ||
		(!row_is_null(row, "expires_at") && row_time(row, "expires_at") <= due);

	if (held)
		reply = doubt_reply(reply);
	spi_run(mark_failed, ARG_UUID(*message_id), ARG_BIGINT(fence),
			ARG_TEXT(dead ? "dead" : "queued"), ARG_TIME(due), ARG_TEXT(reply),
			ARG_INT(1), dead ? ARG_TIME(now) : ARG_NULL(TIMESTAMPTZOID));
	spi_run(insert_attempt, ARG_UUID(*message_id), ARG_BIGINT(fence),
			ARG_TIME(now), ARG_TEXT(dead ? "dead" : "deferred"),
			ARG_TEXT(reply));
}

PG_FUNCTION_INFO_V1(outbox_failed);
Datum
outbox_failed(PG_FUNCTION_ARGS)
{
	pg_uuid_t message_id;
	int64 fence;
	char *reply;
	bool done;

	if (!named_message(fcinfo, &message_id, &fence))
		PG_RETURN_BOOL(false);
	reply = reply_argument(fcinfo, 3);
	SPI_connect();
	begin_writing(fcinfo);
	done = spi_run(lock_claimed, ARG_UUID(message_id), ARG_BIGINT(fence),
				   ARG_TEXT("claimed"), ARG_TEXT("sending")) == 1;
	if (done && PG_ARGISNULL(2))
		spi_run(mark_failed, ARG_UUID(message_id), ARG_BIGINT(fence),
				ARG_TEXT("queued"), ARG_TIME(GetCurrentTimestamp()),
				ARG_TEXT(reply), ARG_INT(0), ARG_NULL(TIMESTAMPTZOID));
	else if (done)
		record_failure(&message_id, fence, PG_GETARG_BOOL(2), reply);
	SPI_finish();
	PG_RETURN_BOOL(done);
}

/*
 * Record a bounce; a permanent one (status 5.x.x) stops all further mail to the
 * address.
 */
static bool
record_bounce(const pg_uuid_t *message_id, const char *status,
			  const char *detail)
{
	TimestampTz now = GetCurrentTimestamp();
	Address address;

	if (spi_run(mark_bounced, ARG_UUID(*message_id), ARG_TIME(now),
				ARG_TEXT(detail)) == 0)
		return false;
	if (status[0] == '5' &&
		address_parse(row_text(spi_row(0), "recipient"), &address))
		spi_run(suppress, ARG_TEXT(address.canonical),
				ARG_TEXT(psprintf("bounced: %s", status)), ARG_TIME(now));
	return true;
}

PG_FUNCTION_INFO_V1(outbox_bounced);
Datum
outbox_bounced(PG_FUNCTION_ARGS)
{
	char *recipient = PG_ARGISNULL(1) ? "" : reply_argument(fcinfo, 1);
	char *status = PG_ARGISNULL(2) ? "" : reply_argument(fcinfo, 2);
	char *words = PG_ARGISNULL(3) ? "" : reply_argument(fcinfo, 3);
	char *detail = psprintf("%s: %s %s", recipient, status, words);
	char *header;
	pg_uuid_t message_id;
	bool found;

	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	header = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (header[0] != '<' || strlen(header) < 38 || header[37] != '@' ||
		!uuid_parse(pnstrdup(header + 1, 36), &message_id))
		PG_RETURN_BOOL(false);
	SPI_connect();
	begin_writing(fcinfo);
	if (status[0] == '4')
		found =
			spi_run(mark_delayed, ARG_UUID(message_id), ARG_TEXT(detail)) == 1;
	else
		found = record_bounce(&message_id, status, detail);
	SPI_finish();
	PG_RETURN_BOOL(found);
}

PG_FUNCTION_INFO_V1(outbox_guard);
Datum
outbox_guard(PG_FUNCTION_ARGS)
{
	return transition_guard(fcinfo, transitions, true);
}
