#ifndef RELAY_QUEUE_H
#define RELAY_QUEUE_H

#include "db.h"
#include "message.h"

/* What is prepared on every connection. */
extern const Statement queue_statements[];

/* Claims due messages; NULL on trouble, else the caller clears the result. */
PGresult *queue_claim(Db *db, const char *worker, int max_messages);

/* Row of a claim; the texts live as long as the result. */
void queue_message(const PGresult *claimed, int row, Message *message);

/* The last look: DB_NO when the message must not be sent any more. The texts of
 * this and the next calls have to live until they are answered. */
DbCall queue_sending(const char *id, const char *fence);

/* Reports a message as sent; DB_NO when it was no longer this relay's. */
DbCall queue_sent(const char *id, const char *fence, const char *reply);

/*
 * Reports a failure: permanent is "true", "false", or NULL for a message that
 * was not tried and goes back unharmed.
 */
DbCall queue_failed(const char *id, const char *fence, const char *permanent,
					const char *reply);

/* Reports a bounce; DB_NO when no such message was sent. */
DbAnswer queue_bounced(Db *db, const char *message_id, const char *recipient,
					   const char *status, const char *detail);

/*
 * Milliseconds until something is due, at most limit; also tells the server
 * that this connection wants to be woken.  Negative on trouble.
 */
int queue_next_due(Db *db, int limit);

/* Lets the server remind, expire and purge; false on trouble. */
bool queue_maintain(Db *db);

/* How the queue and the server are: one row with the columns that metrics.c
 * names; NULL on trouble. */
PGresult *queue_statistics(Db *db);

#endif
