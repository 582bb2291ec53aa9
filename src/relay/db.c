/*
 * db.c
 *		The relay's side of the queue: six statements and a wait.
 *
 * A notification is a hint and never trusted; the claim that follows decides.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "backoff.h"
#include "db.h"
#include "log.h"
#include "stop.h"

#define ANSWER_MS 20000

typedef enum Statement
{
	STATEMENT_CLAIM,
	STATEMENT_SENDING,
	STATEMENT_SENT,
	STATEMENT_FAILED,
	STATEMENT_NEXT_DUE,
	STATEMENT_MAINTENANCE,
	STATEMENT_COUNT
} Statement;

static const struct
{
	const char *name;
	int arguments;
	const char *sql;
} statements[STATEMENT_COUNT] = {
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
	[STATEMENT_NEXT_DUE] = {"outbox_next_due", 0,
							"SELECT ceil(1000 * extract(epoch FROM"
							" usermgmt.outbox_next_due()"
							" - clock_timestamp()))::float8"},
	[STATEMENT_MAINTENANCE] = {"run_maintenance", 0,
							   "SELECT usermgmt.run_maintenance()"},
};

/* Says what went wrong and gives the connection up. */
static void
give_up(Db *db, const char *what, const char *why)
{
	log_event(LOG_LEVEL_WARNING, "database: %s: %s", what, why);
	db_close(db);
}

/* Waits until the server has answered, but not for ever. */
static bool
answered(PGconn *connection, int64_t deadline)
{
	while (PQisBusy(connection))
	{
		struct pollfd wait = {.fd = PQsocket(connection), .events = POLLIN};
		int64_t left = deadline - monotonic_ms();

		if (left <= 0)
			return false;
		poll(&wait, 1, (int) left);
		if (!PQconsumeInput(connection))
			return false;
	}
	return true;
}

/* The one result of what was just sent; NULL, and no connection, on trouble. */
static PGresult *
receive(Db *db, const char *what)
{
	int64_t deadline = monotonic_ms() + ANSWER_MS;
	PGresult *result = NULL;

	for (;;)
	{
		PGresult *next;

		if (!answered(db->connection, deadline))
		{
			const char *why = PQerrorMessage(db->connection);

			give_up(db, what, *why ? why : "no answer");
			PQclear(result);
			return NULL;
		}
		next = PQgetResult(db->connection);
		if (!next)
			break;
		PQclear(result);
		result = next;
	}
	if (PQresultStatus(result) == PGRES_TUPLES_OK ||
		PQresultStatus(result) == PGRES_COMMAND_OK)
		return result;

	give_up(db, what, PQresultErrorMessage(result));
	PQclear(result);
	return NULL;
}

/* Runs a prepared statement. */
static PGresult *
run(Db *db, Statement statement, const char *const *arguments)
{
	const char *name = statements[statement].name;

	if (!db->connection)
		return NULL;
	if (!PQsendQueryPrepared(db->connection, name,
							 statements[statement].arguments, arguments, NULL,
							 NULL, 0))
	{
		give_up(db, name, PQerrorMessage(db->connection));
		return NULL;
	}
	return receive(db, name);
}

/* Runs a statement that answers yes or no. */
static DbAnswer
ask(Db *db, Statement statement, const char *const *arguments)
{
	PGresult *result = run(db, statement, arguments);
	DbAnswer answer;

	if (!result)
		return DB_TROUBLE;
	answer = PQntuples(result) == 1 && *PQgetvalue(result, 0, 0) == 't' ? DB_YES
																		: DB_NO;
	PQclear(result);
	return answer;
}

/* The outcome of a command that gives no rows. */
static bool
finish(Db *db, const char *what, int was_sent)
{
	PGresult *result;

	if (!was_sent)
	{
		give_up(db, what, PQerrorMessage(db->connection));
		return false;
	}
	result = receive(db, what);
	PQclear(result);
	return result != NULL;
}

/* Makes a fresh connection ready. */
static bool
prepare(Db *db)
{
	/* The server, too, must notice a dead connection, to free its claims. */
	static const char *const commands[] = {
		"SET search_path = pg_catalog",
		"SET tcp_keepalives_idle = 10",
		"SET tcp_keepalives_interval = 5",
		"SET tcp_keepalives_count = 3",
		"SET tcp_user_timeout = 25000",
		"SET idle_session_timeout = 0",
		"SET client_connection_check_interval = 5000",
		"LISTEN usermgmt_outbox",
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!finish(db, commands[i], PQsendQuery(db->connection, commands[i])))
			return false;
	for (int i = 0; i < STATEMENT_COUNT; i++)
		if (!finish(db, statements[i].name,
					PQsendPrepare(db->connection, statements[i].name,
								  statements[i].sql, 0, NULL)))
			return false;
	return true;
}

/* What the server says by the way becomes a line of our log. */
static void
on_notice(void *context, const PGresult *result)
{
	const char *words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	(void) context;
	log_event(LOG_LEVEL_WARNING, "database says: %s", words ? words : "");
}

bool
db_connect(Db *db)
{
	/* Later keywords win, so the conninfo overrides all but the encoding. */
	const char *keywords[] = {"application_name",	 "connect_timeout",
							  "keepalives",			 "keepalives_idle",
							  "keepalives_interval", "keepalives_count",
							  "tcp_user_timeout",	 "dbname",
							  "client_encoding",	 NULL};
	const char *values[] = {
		"usermgmt-relay", "10",			"1",	"10", "5", "3",
		"25000",		  db->conninfo, "UTF8", NULL};

	db_close(db);
	db->connection = PQconnectdbParams(keywords, values, 1);
	if (!db->connection)
		abort();
	if (PQstatus(db->connection) != CONNECTION_OK)
	{
		give_up(db, "cannot connect", PQerrorMessage(db->connection));
		return false;
	}
	PQsetNoticeReceiver(db->connection, on_notice, NULL);
	PQsetErrorVerbosity(db->connection, PQERRORS_TERSE);
	if (!prepare(db))
		return false;
	log_event(LOG_LEVEL_INFO, "connected to database %s as %s",
			  PQdb(db->connection), PQuser(db->connection));
	return true;
}

void
db_close(Db *db)
{
	PQfinish(db->connection);
	db->connection = NULL;
}

PGresult *
db_claim(Db *db, int max_messages)
{
	char most[16];
	const char *arguments[] = {db->worker, most};

	snprintf(most, sizeof(most), "%d", max_messages);
	return run(db, STATEMENT_CLAIM, arguments);
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
db_message(const PGresult *claimed, int row, Message *message)
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

DbAnswer
db_sending(Db *db, const char *id, const char *fence)
{
	const char *arguments[] = {id, fence};

	return ask(db, STATEMENT_SENDING, arguments);
}

DbAnswer
db_sent(Db *db, const char *id, const char *fence, const char *reply)
{
	const char *arguments[] = {id, fence, reply};

	return ask(db, STATEMENT_SENT, arguments);
}

DbAnswer
db_failed(Db *db, const char *id, const char *fence, const char *permanent,
		  const char *reply)
{
	const char *arguments[] = {id, fence, permanent, reply};

	return ask(db, STATEMENT_FAILED, arguments);
}

int
db_next_due(Db *db, int limit)
{
	PGresult *result = run(db, STATEMENT_NEXT_DUE, NULL);
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
db_maintain(Db *db)
{
	PGresult *result = run(db, STATEMENT_MAINTENANCE, NULL);

	PQclear(result);
	return result != NULL;
}

void
db_wait(Db *db, int milliseconds)
{
	struct pollfd waits[] = {{.fd = PQsocket(db->connection), .events = POLLIN},
							 {.fd = stop_fd(), .events = POLLIN}};
	PGnotify *notification;

	/* One may have come with the answer to the last query. */
	notification = PQnotifies(db->connection);
	if (notification)
		PQfreemem(notification);
	else
		poll(waits, 2, milliseconds);
	PQconsumeInput(db->connection);
	while ((notification = PQnotifies(db->connection)))
		PQfreemem(notification);
}
