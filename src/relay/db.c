/*
 * db.c
 *		The connection to the database.
 *
 * A notification is a hint and never trusted; the claim that follows decides.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "db.h"
#include "log.h"

#define ANSWER_MS 20000

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

PGresult *
db_run(Db *db, const Statement *statement, const char *const *arguments)
{
	if (!db->connection)
		return NULL;
	if (!PQsendQueryPrepared(db->connection, statement->name,
							 statement->arguments, arguments, NULL, NULL, 0))
	{
		give_up(db, statement->name, PQerrorMessage(db->connection));
		return NULL;
	}
	return receive(db, statement->name);
}

DbAnswer
db_ask(Db *db, const Statement *statement, const char *const *arguments)
{
	PGresult *result = db_run(db, statement, arguments);
	DbAnswer answer;

	if (!result)
		return DB_TROUBLE;
	answer = PQntuples(result) == 1 && *PQgetvalue(result, 0, 0) == 't' ? DB_YES
																		: DB_NO;
	PQclear(result);
	return answer;
}

/* Ends the sending of a command; its result, or NULL on trouble. */
static PGresult *
finish(Db *db, const char *what, int was_sent)
{
	if (was_sent)
		return receive(db, what);
	give_up(db, what, PQerrorMessage(db->connection));
	return NULL;
}

bool
db_command(Db *db, const char *command)
{
	PGresult *result =
		finish(db, command, PQsendQuery(db->connection, command));

	PQclear(result);
	return result != NULL;
}

/* The extension speaks our language when all but the last part of its version
 * is ours: a release that changes the functions changes those. */
static bool
check_version(Db *db)
{
	static const char query[] = "SELECT extversion FROM pg_catalog.pg_extension"
								" WHERE extname = 'usermgmt'";
	PGresult *result = finish(db, query, PQsendQuery(db->connection, query));
	const char *ours = USERMGMT_VERSION;
	const char *dot = strrchr(ours, '.');
	size_t length = dot ? (size_t) (dot - ours) + 1 : 0;
	bool known;

	if (!result)
		return false;
	known = PQntuples(result) == 1;
	if (known && strncmp(PQgetvalue(result, 0, 0), ours, length) == 0)
	{
		PQclear(result);
		return true;
	}
	log_event(LOG_LEVEL_ERROR,
			  known ? "the extension usermgmt is version %s, and this relay is "
					  "version %s: nothing is claimed"
					: "database %s has no extension usermgmt (version %s)",
			  known ? PQgetvalue(result, 0, 0) : PQdb(db->connection), ours);
	PQclear(result);
	db_close(db);
	return false;
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

	if (!check_version(db))
		return false;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!db_command(db, commands[i]))
			return false;
	for (const Statement *one = db->statements; one->name; one++)
	{
		PGresult *result =
			finish(db, one->name,
				   PQsendPrepare(db->connection, one->name, one->sql, 0, NULL));

		if (!result)
			return false;
		PQclear(result);
	}
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
	db->generation++;
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

DbAnswer
db_listen(Db *db)
{
	DbAnswer answer = DB_NO;
	PGnotify *notification;

	if (!PQconsumeInput(db->connection))
	{
		give_up(db, "connection lost", PQerrorMessage(db->connection));
		return DB_TROUBLE;
	}
	while ((notification = PQnotifies(db->connection)))
	{
		PQfreemem(notification);
		answer = DB_YES;
	}
	return answer;
}
