#ifndef RELAY_CLAIMS_H
#define RELAY_CLAIMS_H

#include "config.h"
#include "pause.h"
#include "queue.h"

/* What is claimed and not yet begun, and when to claim more. */
typedef struct Claims
{
	const Config *config;
	Db *db;
	const Pause *pause;
	Backoff *trouble; /* of the database, over when a claim succeeds */

	PGresult *rows; /* NULL when nothing is claimed */
	int row;
	bool fruitful; /* something of this claim was begun */
	int fruitless; /* claims in a row of which nothing was begun */
	int64_t again_at;
	int hurry_ms; /* how long to wait if something is due already */
	bool drained; /* the last claim found nothing */
	bool full;	  /* it found as much as it could take */
} Claims;

/* There is a claimed message left to begin. */
bool claims_left(const Claims *claims);

/* The next message to begin; false when there is none now. */
bool claims_next(Claims *claims, Message *message);

/* Claims before a lane asks for it, if nothing is left of a full claim: there
 * is a queue, so nobody else is kept from sending what few there are. */
void claims_ahead(Claims *claims);

/* Gives back what was not begun, unharmed; how many those were. */
int claims_hand_back(Claims *claims, const char *why);

/* Forgets what was not begun, since the connection is gone. */
void claims_drop(Claims *claims);

#endif
