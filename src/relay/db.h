#ifndef RELAY_DB_H
#define RELAY_DB_H

#include <libpq-fe.h>
#include <stdbool.h>

/* A prepared statement; a list of them ends with one that has no name. */
typedef struct Statement
{
	const char *name;
	int arguments;
	const char *sql;
} Statement;

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

typedef enum DbAnswer
{
	DB_NO,
	DB_YES,
	DB_TROUBLE
} DbAnswer;

/* Connects, compares versions, listens and prepares; false and a line in the
 * log if it cannot. */
bool db_connect(Db *db);

/* The server takes back everything that this connection still has claimed. */
void db_close(Db *db);

/* Runs a prepared statement; NULL on trouble, else the caller clears it. */
PGresult *db_run(Db *db, const Statement *statement,
				 const char *const *arguments);

/* Runs one that answers with a boolean. */
DbAnswer db_ask(Db *db, const Statement *statement,
				const char *const *arguments);

/* Runs a command that gives no rows; false on trouble. */
bool db_command(Db *db, const char *command);

/* Reads what has come in; DB_YES when there was a notification. */
DbAnswer db_listen(Db *db);

#endif
