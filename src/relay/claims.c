/*
 * claims.c
 *		What to send next, and when to look for more.
 */
#include "claims.h"
#include "log.h"

#define LONGEST_HURRY_MS 256
#define FRUITLESS_CLAIMS 10

void
claims_drop(Claims *claims)
{
	PQclear(claims->rows);
	claims->rows = NULL;
}

/* Gives back one row; false when the database is gone. */
static bool
give_back(Claims *claims, const Message *message, const char *why)
{
	DbCall call = queue_failed(message->id, message->fence, NULL, why);

	log_event(LOG_LEVEL_DEBUG, "message=%s to=%s outcome=handed back",
			  message->id, message->recipient);
	return db_ask(claims->db, &call) != DB_TROUBLE;
}

bool
claims_left(const Claims *claims)
{
	return claims->rows && claims->row < PQntuples(claims->rows);
}

int
claims_hand_back(Claims *claims, const char *why)
{
	Message message;
	int count = 0;

	while (claims_left(claims))
	{
		queue_message(claims->rows, claims->row++, &message);
		if (!give_back(claims, &message, why))
			break;
		count++;
	}
	claims_drop(claims);
	claims->again_at = 0; /* they are due at once */
	return count;
}

/*
 * Decides when to look again after a claim that found nothing.  From here on
 * the server wakes us.
 */
static void
plan(Claims *claims)
{
	int due = queue_next_due(claims->db, claims->config->poll_ms);

	if (due < 0)
		return;
	backoff_reset(claims->trouble);

	/* Due, and yet nothing was claimed: look again at once, then less often. */
	if (due > 0)
		claims->hurry_ms = 0;
	else
	{
		due = claims->hurry_ms;
		claims->hurry_ms = due == 0 ? 1 : due * 2;
		if (claims->hurry_ms > LONGEST_HURRY_MS)
			claims->hurry_ms = LONGEST_HURRY_MS;
	}
	claims->again_at = monotonic_ms() + due;
}

/* Only mail of refused senders came, again and again: it waits, and what comes
 * in meanwhile does not. */
static bool
is_fruitless(Claims *claims)
{
	if (!claims->rows || claims->fruitful ||
		++claims->fruitless < FRUITLESS_CLAIMS)
		return false;
	claims->fruitless = 0;
	plan(claims);
	claims->again_at = pause_until(claims->pause);
	return true;
}

/* Claims; false when that gave nothing. */
static bool
claim(Claims *claims)
{
	bool fruitless = is_fruitless(claims);

	claims_drop(claims);
	if (fruitless || monotonic_ms() < claims->again_at)
		return false;
	claims->rows =
		queue_claim(claims->db, claims->config->worker_name,
					pause_of_all(claims->pause) ? 1 : claims->config->batch);
	if (!claims->rows)
		return false;
	claims->row = 0;
	claims->fruitful = false;
	claims->drained = PQntuples(claims->rows) == 0;
	claims->full = PQntuples(claims->rows) >= claims->config->batch;
	if (!claims->drained)
	{
		claims->hurry_ms = 0;
		return true;
	}
	claims_drop(claims);
	claims->fruitless = 0;
	if (!claims->config->once)
		plan(claims);
	return false;
}

void
claims_ahead(Claims *claims)
{
	if (claims->db->connection && claims->full && !claims_left(claims))
		claim(claims);
}

bool
claims_next(Claims *claims, Message *message)
{
	while (claims->db->connection)
	{
		if (!claims_left(claims) && !claim(claims))
			return false;
		queue_message(claims->rows, claims->row++, message);
		if (!pause_holds(claims->pause, message->sender))
		{
			claims->fruitful = true;
			claims->fruitless = 0;
			return true;
		}
		give_back(claims, message, "its sender is refused");
	}
	return false;
}
