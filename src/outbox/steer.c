/*
 * steer.c
 *	  What an operator does to the queue: pause, resume, retry, cancel.
 */
#include "postgres.h"

#include "audit/audit.h"
#include "core/address.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/spi_query.h"
#include "outbox/outbox.h"

SPI_QUERY(set_pause,
		  "UPDATE usermgmt.installation SET mail_paused_at = $1,"
		  " mail_pause_reason = $2",
		  TIMESTAMPTZOID, TEXTOID);
SPI_QUERY(retry_dead,
		  "UPDATE usermgmt.outbox SET state = 'queued', due_at = $2,"
		  " finished_at = NULL WHERE message_id = $1 AND state = 'dead'",
		  UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(find_message, "SELECT FROM usermgmt.outbox WHERE message_id = $1",
		  UUIDOID);
SPI_QUERY(cancel_one,
		  "UPDATE usermgmt.outbox SET state = 'cancelled', finished_at = $2,"
		  " reply = 'cancelled by an operator' WHERE message_id = $1"
		  " AND state IN ('queued', 'claimed')",
		  UUIDOID, TIMESTAMPTZOID);

static void
change_pause(FunctionCallInfo fcinfo, bool pause, char *reason)
{
	SPI_connect();
	begin_writing(fcinfo);
	audit_operation(
		&(AuditOperation){.object_type = "installation",
						  .action = pause ? "mail.paused" : "mail.resumed",
						  .reason = reason});
	spi_run(set_pause,
			pause ? ARG_TIME(GetCurrentTimestamp()) : ARG_NULL(TIMESTAMPTZOID),
			ARG_TEXT(reason));
	audit_operation_end();
	outbox_wake_relay();
	SPI_finish();
}

PG_FUNCTION_INFO_V1(outbox_pause);
Datum
outbox_pause(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		refuse_null("reason");
	change_pause(fcinfo, true,
				 plain_text_require(text_to_cstring(PG_GETARG_TEXT_PP(0)),
									"reason", 500));
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(outbox_resume);
Datum
outbox_resume(PG_FUNCTION_ARGS)
{
	change_pause(fcinfo, false, NULL);
	PG_RETURN_VOID();
}

static void
steer(FunctionCallInfo fcinfo, SpiQuery *statement, const char *refusal)
{
	SpiArg args[2];

	if (PG_ARGISNULL(0))
		refuse_null("message_id");
	args[0] = ARG(UUIDOID, PG_GETARG_DATUM(0));
	args[1] = ARG_TIME(GetCurrentTimestamp());
	SPI_connect();
	begin_writing(fcinfo);
	if (spi_execute(statement, args, SPI_VIEW_COMMAND) == 0)
	{
		if (spi_execute(&find_message, args, SPI_VIEW_LATEST) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UM_NOT_FOUND),
					 errmsg("there is no such message"),
					 errhint("usermgmt.mail_queue shows which there are.")));
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE), errmsg("%s", refusal),
						errhint("usermgmt.mail_queue shows its state.")));
	}
	outbox_wake_relay();
	SPI_finish();
}

PG_FUNCTION_INFO_V1(outbox_retry);
Datum
outbox_retry(PG_FUNCTION_ARGS)
{
	steer(fcinfo, &retry_dead, "the message is not dead");
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(outbox_cancel);
Datum
outbox_cancel(PG_FUNCTION_ARGS)
{
	steer(fcinfo, &cancel_one, "the message does not wait to be sent");
	PG_RETURN_VOID();
}
