/*
 * ledger.c
 *		What the database is told of messages, and asked before their last step.
 *
 * A commit costs more than a mail does.  So the outcome of a message is told in
 * the transaction in which the next one asks the fence: each message then costs
 * one commit, and lanes that come at the same time share it.  Nobody waits long
 * for company, since what is not told is in doubt if the relay dies: an outcome
 * waits while every lane is busy, and for a few milliseconds at most.
 *
 * The outcome of a letter that left is kept until the database knows it; if the
 * connection to the database is another one by then, the fence decides whether
 * it still counts.
 */
#include <stdio.h>
#include <stdlib.h>

#include "backoff.h"
#include "ledger.h"
#include "log.h"
#include "queue.h"

#define COMPANY_MS 2
#define PATIENCE_MS 20000 /* with rows that somebody has locked */

void
ledger_open(Ledger *ledger, Db *db, Lane *lanes, int lane_count)
{
	size_t count = (size_t) lane_count;

	*ledger = (Ledger){.db = db, .lanes = lanes, .lane_count = lane_count};
	ledger->owed = calloc(3 * count, sizeof(Owed));
	ledger->calls = calloc(4 * count, sizeof(DbCall));
	if (!ledger->owed || !ledger->calls)
		abort();
}

void
ledger_add(Ledger *ledger, const Lane *lane)
{
	Outcome outcome = lane->delivery.outcome;
	Owed *owed = &ledger->owed[ledger->count];

	/* The fence's answer was the database's; and what another connection had
	 * claimed goes back without being said. */
	if (outcome == OUTCOME_CANCELLED || outcome == OUTCOME_ABANDONED)
		return;
	if (ledger->count++ == 0)
		ledger->since = monotonic_ms();
	owed->outcome = outcome;
	owed->kept = false;
	snprintf(owed->id, sizeof(owed->id), "%s", lane->id);
	snprintf(owed->fence, sizeof(owed->fence), "%s", lane->fence);
	snprintf(owed->reply, sizeof(owed->reply), "%s", lane->delivery.reply);
}

bool
ledger_is_full(const Ledger *ledger)
{
	return ledger->count >= 2 * ledger->lane_count;
}

int64_t
ledger_settle_at(const Ledger *ledger)
{
	bool idle = false;

	for (int i = 0; i < ledger->lane_count; i++)
	{
		if (lane_is_asking(&ledger->lanes[i]))
			return 0;
		idle = idle || ledger->lanes[i].state == LANE_IDLE;
	}
	if (ledger->count == 0)
		return -1;
	return idle ? 0 : ledger->since + COMPANY_MS;
}

/* An outcome in the database's words. */
static DbCall
tell(const Owed *owed)
{
	switch (owed->outcome)
	{
		case OUTCOME_SENT:
			return queue_sent(owed->id, owed->fence, owed->reply);
		case OUTCOME_LATER:
			return queue_failed(owed->id, owed->fence, "false", owed->reply);
		case OUTCOME_NEVER:
			return queue_failed(owed->id, owed->fence, "true", owed->reply);
		default:
			return queue_failed(owed->id, owed->fence, NULL, owed->reply);
	}
}

/* The database would not learn it in another way. */
static bool
must_be_told(const Owed *owed)
{
	return owed->outcome == OUTCOME_SENT || owed->outcome == OUTCOME_LATER ||
		   owed->outcome == OUTCOME_NEVER;
}

/* What the database said to an outcome; true when it is settled. */
static bool
settle_one(Owed *owed, DbAnswer answer)
{
	if (answer == DB_LATER)
		return false;
	if (answer == DB_TROUBLE && must_be_told(owed))
	{
		owed->kept = true;
		return false;
	}
	if (owed->kept)
		log_event(LOG_LEVEL_INFO, "message=%s kept outcome reported: %s",
				  owed->id,
				  answer == DB_YES ? "accepted" : "somebody else took over");
	else if (answer == DB_NO)
		log_event(LOG_LEVEL_WARNING, "message=%s somebody else took over",
				  owed->id);
	return true;
}

/* Keeps what could not be told. */
static void
settle_owed(Ledger *ledger)
{
	int kept = 0;

	for (int i = 0; i < ledger->count; i++)
		if (!settle_one(&ledger->owed[i], ledger->calls[i].answer))
			ledger->owed[kept++] = ledger->owed[i];
	ledger->count = kept;
}

/* The claim lives no longer than the connection that made it. */
static bool
is_asked(const Ledger *ledger, const Lane *lane)
{
	return lane_is_asking(lane) && lane->generation == ledger->db->generation;
}

/* Lets a letter go on; one whose answer is to come later goes on asking. */
static void
answer_lane(Lane *lane, DbAnswer answer)
{
	static const FenceAnswer answers[] = {[DB_NO] = FENCE_CANCELLED,
										  [DB_YES] = FENCE_GO,
										  [DB_TROUBLE] = FENCE_LOST};

	if (answer != DB_LATER)
		lane_answer(lane, answers[answer]);
}

/*
 * A letter that waits too long for its answer meets a mail server that has hung
 * up. So the connection is given up, with its claims, as if it had not
 * answered.
 */
static void
watch_patience(Ledger *ledger, int count)
{
	bool late = false;

	for (int i = 0; i < count; i++)
		late = late || ledger->calls[i].answer == DB_LATER;
	if (!late)
		ledger->late_since = 0;
	else if (ledger->late_since == 0)
		ledger->late_since = monotonic_ms();
	else if (monotonic_ms() - ledger->late_since >= PATIENCE_MS)
	{
		log_event(LOG_LEVEL_WARNING, "database: a message has been locked for"
									 " too long");
		db_close(ledger->db);
		ledger->late_since = 0;
	}
}

bool
ledger_settle(Ledger *ledger)
{
	int count = 0;
	int next;

	for (int i = 0; i < ledger->count; i++)
		ledger->calls[count++] = tell(&ledger->owed[i]);
	next = count;
	for (int i = 0; i < ledger->lane_count; i++)
		if (is_asked(ledger, &ledger->lanes[i]))
			ledger->calls[count++] =
				queue_sending(ledger->lanes[i].id, ledger->lanes[i].fence);
	db_ask_all(ledger->db, ledger->calls, count);
	watch_patience(ledger, count);

	for (int i = 0; i < ledger->lane_count; i++)
	{
		Lane *lane = &ledger->lanes[i];

		if (is_asked(ledger, lane))
			answer_lane(lane, ledger->calls[next++].answer);
		else if (lane_is_asking(lane))
			lane_answer(lane, FENCE_LOST);
	}
	settle_owed(ledger);
	return ledger->db->connection && ledger->count == 0;
}

void
ledger_close(Ledger *ledger)
{
	for (int i = 0; i < ledger->count; i++)
		log_event(LOG_LEVEL_WARNING, "message=%s its outcome is not reported",
				  ledger->owed[i].id);
	free(ledger->owed);
	free(ledger->calls);
}
