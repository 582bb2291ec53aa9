/*
 * queue.c
 *		The relay's side of the queue: every statement that it runs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "queue.h"

typedef enum StatementName
{
	STATEMENT_CLAIM,
	STATEMENT_SENDING,
	STATEMENT_SENT,
	STATEMENT_FAILED,
	STATEMENT_BOUNCED,
	STATEMENT_NEXT_DUE,
	STATEMENT_MAINTENANCE,
	STATEMENT_STATISTICS,
	STATEMENT_COUNT
} StatementName;

const Statement queue_statements[] = {
	[STATEMENT_CLAIM] = {"outbox_claim", 2,
						 "SELECT message_id, fence, kind, attempt, sender,"
						 " headers->>'from_name' AS from_name,"
						 " recipient, headers->>'to_name' AS to_name,"
						 " headers->>'reply_to' AS reply_to,"
						 " subject, text_body, html_body, message_id_header"
						 " FROM usermgmt.outbox_claim($1, $2)"},
	[STATEMENT_SENDING] = {"outbox_sending", 2,
						   "SELECT usermgmt.outbox_sending($1, $2)"},
	[STATEMENT_SENT] = {"outbox_sent", 3,
						"SELECT usermgmt.outbox_sent($1, $2, $3)"},
	[STATEMENT_FAILED] = {"outbox_failed", 4,
						  "SELECT usermgmt.outbox_failed($1, $2, $3, $4)"},
	[STATEMENT_BOUNCED] = {"outbox_bounced", 4,
						   "SELECT usermgmt.outbox_bounced($1, $2, $3, $4)"},
	[STATEMENT_NEXT_DUE] = {"outbox_next_due", 0,
							"SELECT ceil(1000 * extract(epoch FROM"
							" usermgmt.outbox_next_due()"
							" - clock_timestamp()))::float8"},
	[STATEMENT_MAINTENANCE] = {"run_maintenance", 0,
							   "SELECT usermgmt.run_maintenance()"},
	[STATEMENT_STATISTICS] = {"outbox_figures", 0,
							  "SELECT queued, due, in_flight, dead,"
							  " coalesce(greatest(0, extract(epoch FROM"
							  " clock_timestamp() - oldest_due_at)), 0)"
							  "::float8 AS oldest_seconds, paused,"
							  " coalesce(extract(epoch FROM last_error_at), 0)"
							  "::float8 AS last_error_at,"
							  " hashing, waiting_to_hash, unsealed_events,"
							  " coalesce(extract(epoch FROM"
							  " oldest_unsealed_age), 0)::float8"
							  " AS oldest_unsealed_seconds, failed_log_ins,"
							  " throttled_addresses, notify_queue_usage"
							  " FROM usermgmt.outbox_figures(),"
							  " usermgmt.server_figures()"},
	[STATEMENT_COUNT] = {0},
};

PGresult *
queue_claim(Db *db, const char *worker, int max_messages)
{
	char most[16];
	const char *arguments[] = {worker, most};

	snprintf(most, sizeof(most), "%d", max_messages);
	return db_run(db, &queue_statements[STATEMENT_CLAIM], arguments);
}

/* A column by name; NULL when it is null. */
static const char *
column(const PGresult *result, int row, const char *name)
{
	int number = PQfnumber(result, name);

	return PQgetisnull(result, row, number) ? NULL
											: PQgetvalue(result, row, number);
}

void
queue_message(const PGresult *claimed, int row, Message *message)
{
	*message =
		(Message){.id = column(claimed, row, "message_id"),
				  .fence = column(claimed, row, "fence"),
				  .kind = column(claimed, row, "kind"),
				  .attempt = column(claimed, row, "attempt"),
				  .sender = column(claimed, row, "sender"),
				  .from_name = column(claimed, row, "from_name"),
				  .recipient = column(claimed, row, "recipient"),
				  .to_name = column(claimed, row, "to_name"),
				  .reply_to = column(claimed, row, "reply_to"),
				  .subject = column(claimed, row, "subject"),
				  .text = column(claimed, row, "text_body"),
				  .html = column(claimed, row, "html_body"),
				  .message_id = column(claimed, row, "message_id_header")};
}

DbCall
queue_sending(const char *id, const char *fence)
{
	return (DbCall){.statement = &queue_statements[STATEMENT_SENDING],
					.arguments = {id, fence}};
}

DbCall
queue_sent(const char *id, const char *fence, const char *reply)
{
	return (DbCall){.statement = &queue_statements[STATEMENT_SENT],
					.arguments = {id, fence, reply}};
}

DbCall
queue_failed(const char *id, const char *fence, const char *permanent,
			 const char *reply)
{
	return (DbCall){.statement = &queue_statements[STATEMENT_FAILED],
					.arguments = {id, fence, permanent, reply}};
}

int
queue_next_due(Db *db, int limit)
{
	PGresult *result = db_run(db, &queue_statements[STATEMENT_NEXT_DUE], NULL);
	double wait = limit;

	if (!result)
		return -1;
	if (PQntuples(result) == 1 && !PQgetisnull(result, 0, 0))
		wait = atof(PQgetvalue(result, 0, 0));
	PQclear(result);
	if (wait < 0)
		return 0;
	return wait < limit ? (int) wait : limit;
}

bool
queue_maintain(Db *db)
{
	PGresult *result =
		db_run(db, &queue_statements[STATEMENT_MAINTENANCE], NULL);

	PQclear(result);
	return result != NULL;
}

PGresult *
queue_statistics(Db *db)
{
	return db_run(db, &queue_statements[STATEMENT_STATISTICS], NULL);
}

DbAnswer
queue_bounced(Db *db, const char *message_id, const char *recipient,
			  const char *status, const char *detail)
{
	DbCall call = {.statement = &queue_statements[STATEMENT_BOUNCED],
				   .arguments = {message_id, recipient, status, detail}};

	return db_ask(db, &call);
}
