#ifndef RELAY_LEDGER_H
#define RELAY_LEDGER_H

#include "db.h"
#include "lane.h"

/* What the database is to be told of a message that has ended. */
typedef struct Owed
{
	char id[40];
	char fence[24];
	Outcome outcome;
	char reply[REPLY_SIZE];
	bool kept; /* telling failed before */
} Owed;

/*
 * Everything that the database is to be told, and what it is asked. An outcome
 * may wait a moment for a fence that is asked in the same transaction.
 */
typedef struct Ledger
{
	Db *db;
	Lane *lanes;
	int lane_count;

	int count; /* at most three times as many as there are lanes */
	Owed *owed;
	int64_t since;		/* when the first of them was added */
	int64_t late_since; /* since when some answer is to come later, or 0 */
	DbCall *calls;
} Ledger;

void ledger_open(Ledger *ledger, Db *db, Lane *lanes, int lane_count);

/* Notes a lane's outcome, where there is something to tell. */
void ledger_add(Ledger *ledger, const Lane *lane);

/* It is to be settled before another message is begun; there is still room for
 * an outcome of each lane. */
bool ledger_is_full(const Ledger *ledger);

/* When to settle at the latest: monotonic milliseconds, 0 being at once; -1
 * when there is nothing to settle. */
int64_t ledger_settle_at(const Ledger *ledger);

/*
 * Tells the database all that is owed and asks it for every letter that waits
 * for the fence, in one transaction if it can be; then these letters go on.
 * False when something is still owed, for now or until there is another
 * connection.
 */
bool ledger_settle(Ledger *ledger);

/* Says in the log what nobody was told. */
void ledger_close(Ledger *ledger);

#endif
