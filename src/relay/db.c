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

/*
 * Calls that share a transaction hold the rows of one message while they wait
 * for those of another, as somebody may the other way round. They give in
 * before the server looks for deadlocks (deadlock_timeout), so that it is never
 * the other who gets an error. Nor does a row that somebody holds for long, as
 * in a transaction left open, hold up other messages.
 */
static const Statement impatience = {
	"impatience", 0,
	"SELECT pg_catalog.set_config('lock_timeout', '100ms', true)"};

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

static DbAnswer
read_answer(const PGresult *result)
{
	return PQntuples(result) == 1 && *PQgetvalue(result, 0, 0) == 't' ? DB_YES
																	  : DB_NO;
}

DbAnswer
db_ask(Db *db, const DbCall *call)
{
	PGresult *result = db_run(db, call->statement, call->arguments);
	DbAnswer answer;

	if (!result)
		return DB_TROUBLE;
	answer = read_answer(result);
	PQclear(result);
	return answer;
}

/* Sends the calls as one transaction: nothing but the last message ends it. */
static bool
send_together(Db *db, const DbCall *calls, int count)
{
	PGconn *connection = db->connection;
	bool sent = PQenterPipelineMode(connection) &&
				PQsendQueryPrepared(connection, impatience.name, 0, NULL, NULL,
									NULL, 0);

	for (int i = 0; sent && i < count; i++)
		sent = PQsendQueryPrepared(connection, calls[i].statement->name,
								   calls[i].statement->arguments,
								   calls[i].arguments, NULL, NULL, 0);
	return sent && PQpipelineSync(connection);
}

/* Somebody else was at the same rows; it may be tried again. */
static bool
is_contention(const PGresult *result)
{
	static const char *const states[] = {"55P03", "40P01", "40001"};
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	for (size_t i = 0; state && i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(state, states[i]) == 0)
			return true;
	return false;
}

/* Sets the answers; what the first statement gave is none. */
static void
take_answer(DbCall *calls, int count, int number, const PGresult *result)
{
	if (number > 0 && number <= count)
		calls[number - 1].answer = read_answer(result);
}

/*
 * Reads what comes until the transaction has ended: DB_YES if it was committed,
 * and only then the answers count; DB_LATER if others were at the same rows.
 */
static DbAnswer
receive_together(Db *db, DbCall *calls, int count)
{
	int64_t deadline = monotonic_ms() + ANSWER_MS;
	DbAnswer outcome = DB_YES;
	int answers = 0;

	while (monotonic_ms() < deadline && answered(db->connection, deadline))
	{
		PGresult *result = PQgetResult(db->connection);
		ExecStatusType status = PQresultStatus(result);

		if (status == PGRES_TUPLES_OK)
			take_answer(calls, count, answers++, result);
		else if (result && status == PGRES_FATAL_ERROR)
		{
			outcome = is_contention(result) ? DB_LATER : DB_NO;
			log_event(outcome == DB_LATER ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
					  "database: %s", PQresultErrorMessage(result));
		}
		PQclear(result);
		if (status == PGRES_PIPELINE_SYNC)
			return outcome == DB_YES && answers != count + 1 ? DB_NO : outcome;
		if (PQstatus(db->connection) != CONNECTION_OK)
			break;
	}
	return DB_TROUBLE;
}

/*
 * Runs calls as one transaction. DB_NO: one of several calls failed, and none
 * was done. An error of a single call that would come again costs the
 * connection.
 */
static DbAnswer
run_together(Db *db, DbCall *calls, int count)
{
	DbAnswer outcome = DB_TROUBLE;

	if (!db->connection)
		return DB_TROUBLE;
	if (send_together(db, calls, count))
		outcome = receive_together(db, calls, count);
	if (outcome == DB_NO && count == 1)
		outcome = DB_TROUBLE;
	if (outcome == DB_TROUBLE || !PQexitPipelineMode(db->connection))
	{
		give_up(db, calls->statement->name, PQerrorMessage(db->connection));
		return DB_TROUBLE;
	}
	return outcome;
}

void
db_ask_all(Db *db, DbCall *calls, int count)
{
	DbAnswer outcome = count > 0 ? run_together(db, calls, count) : DB_YES;

	if (outcome == DB_YES)
		return;
	if (count == 1)
		calls->answer = outcome;
	else
		for (int i = 0; i < count; i++)
			db_ask_all(db, &calls[i], 1);
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

static bool
prepare_statement(Db *db, const Statement *statement)
{
	PGresult *result = finish(db, statement->name,
							  PQsendPrepare(db->connection, statement->name,
											statement->sql, 0, NULL));

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

	if (!check_version(db))
		return false;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!db_command(db, commands[i]))
			return false;
	for (const Statement *one = db->statements; one->name; one++)
		if (!prepare_statement(db, one))
			return false;
	return prepare_statement(db, &impatience);
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
db_listen(Db *db, bool readable)
{
	DbAnswer answer = DB_NO;
	PGnotify *notification;

	if (readable && !PQconsumeInput(db->connection))
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
