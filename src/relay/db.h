#ifndef RELAY_DB_H
#define RELAY_DB_H

#include <libpq-fe.h>
#include <stdbool.h>

#define DB_ARGUMENTS 4

typedef enum DbAnswer
{
	DB_NO,
	DB_YES,
	DB_LATER, /* of db_ask_all() alone: nothing was done, for now */
	DB_TROUBLE
} DbAnswer;

/* A prepared statement; a list of them ends with one that has no name. */
typedef struct Statement
{
	const char *name;
	int arguments;
	const char *sql;
} Statement;

/* A statement with its arguments that answers with a boolean. */
typedef struct DbCall
{
	const Statement *statement;
	const char *arguments[DB_ARGUMENTS];
	DbAnswer answer;
} DbCall;

/*
 * The connection to the database.  Every call answers within a fixed time.
 * After DB_TROUBLE (logged already) the connection is closed, and db_connect()
 * is the only call that helps.
 */
typedef struct Db
{
	const char *conninfo; /* NULL: what libpq finds by itself */
	const Statement *statements;
	PGconn *connection;		  /* NULL: not connected */
	unsigned long generation; /* counts connections */
} Db;

/* Connects, compares versions, listens and prepares; false and a line in the
 * log if it cannot. */
bool db_connect(Db *db);

/* The server takes back everything that this connection still has claimed. */
void db_close(Db *db);

/* Runs a prepared statement; NULL on trouble, else the caller clears it. */
PGresult *db_run(Db *db, const Statement *statement,
				 const char *const *arguments);

/* Runs one call; gives its answer. */
DbAnswer db_ask(Db *db, const DbCall *call);

/*
 * Runs several calls and sets their answers: in one transaction, with one round
 * trip and one commit. Where one of them fails, or would have to wait for long,
 * each is run in a transaction of its own.
 */
void db_ask_all(Db *db, DbCall *calls, int count);

/* Runs a command that gives no rows; false on trouble. */
bool db_command(Db *db, const char *command);

/* DB_YES when a notification has come in; reads from the socket first if there
 * is something on it. */
DbAnswer db_listen(Db *db, bool readable);

#endif
