#ifndef RELAY_DB_H
#define RELAY_DB_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "message.h"

/*
 * The relay's side of the queue.  Every call is a transaction of its own and
 * answers within a fixed time.  After DB_TROUBLE (logged already) the
 * connection is closed, and db_connect() is the only call that helps.
 */
typedef struct Db
{
	const char *conninfo; /* NULL: what libpq finds by itself */
	const char *worker;
	PGconn *connection; /* NULL: not connected */
} Db;

typedef enum DbAnswer
{
	DB_NO,
	DB_YES,
	DB_TROUBLE
} DbAnswer;

/* Connects, listens and prepares; false and a line in the log if it cannot. */
bool db_connect(Db *db);

/* The server takes back everything that this worker still has claimed. */
void db_close(Db *db);

/* Claims due messages; NULL on trouble, else the caller clears the result. */
PGresult *db_claim(Db *db, int max_messages);

/* Row of a claim; the texts live as long as the result. */
void db_message(const PGresult *claimed, int row, Message *message);

/* The last look: DB_NO when the message must not be sent any more. */
DbAnswer db_sending(Db *db, const char *id, const char *fence);

/* Reports a message as sent; DB_NO when it was no longer this worker's. */
DbAnswer db_sent(Db *db, const char *id, const char *fence, const char *reply);

/*
 * Reports a failure: permanent is "true", "false", or NULL for a message that
 * was not tried and goes back unharmed.
 */
DbAnswer db_failed(Db *db, const char *id, const char *fence,
				   const char *permanent, const char *reply);

/*
 * Milliseconds until something is due, at most limit; also tells the server
 * that this connection wants to be woken.  Negative on trouble.
 */
int db_next_due(Db *db, int limit);

/* Lets the server remind, expire and purge; false on trouble. */
bool db_maintain(Db *db);

/* Waits for a notification, a request to stop, or the time to pass. */
void db_wait(Db *db, int milliseconds);

#endif
