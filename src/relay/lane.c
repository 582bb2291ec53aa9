/*
 * lane.c
 *		One message on its way: render, send, tell the database.
 *
 * The outcome of a letter that left is kept until the database knows it; if the
 * connection to the database is another one by then, the fence decides whether
 * it still counts.
 */
#include <stdio.h>
#include <string.h>

#include "backoff.h"
#include "https.h"
#include "lane.h"
#include "log.h"

#define IDLE_CONNECTION_MS 30000

/* The claim lives no longer than the connection that made it. */
static FenceAnswer
ask_fence(void *context)
{
	const Lane *lane = context;

	if (lane->generation != lane->db->generation)
		return FENCE_LOST;
	switch (queue_sending(lane->db, lane->id, lane->fence))
	{
		case DB_YES:
			return FENCE_GO;
		case DB_NO:
			return FENCE_CANCELLED;
		case DB_TROUBLE:
			break;
	}
	return FENCE_LOST;
}

/* One line says what became of a message. */
static void
log_outcome(const Lane *lane)
{
	static const char *const names[OUTCOME_COUNT] = {
		[OUTCOME_SENT] = "sent",		   [OUTCOME_LATER] = "later",
		[OUTCOME_NEVER] = "never",		   [OUTCOME_SENDER] = "handed back",
		[OUTCOME_PAUSE] = "handed back",   [OUTCOME_CANCELLED] = "cancelled",
		[OUTCOME_ABANDONED] = "abandoned",
	};
	Outcome outcome = lane->delivery.outcome;

	log_event(outcome == OUTCOME_PAUSE ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
			  "message=%s kind=%s attempt=%s to=%s outcome=%s reply=\"%s\"",
			  lane->id, lane->kind, lane->attempt, lane->recipient,
			  names[outcome], lane->delivery.reply);
}

/* The letter has ended, one way or another. */
static void
end_letter(Lane *lane)
{
	letter_free(&lane->letter);
	lane->state = LANE_TELLING;
	lane->kept = false;
	log_outcome(lane);
}

static void
take(Lane *lane, const Message *message)
{
	snprintf(lane->id, sizeof(lane->id), "%s", message->id);
	snprintf(lane->fence, sizeof(lane->fence), "%s", message->fence);
	snprintf(lane->kind, sizeof(lane->kind), "%s", message->kind);
	snprintf(lane->attempt, sizeof(lane->attempt), "%s", message->attempt);
	snprintf(lane->recipient, sizeof(lane->recipient), "%s",
			 message->recipient);
	snprintf(lane->sender, sizeof(lane->sender), "%s",
			 message->sender ? message->sender : "");
	lane->generation = lane->db->generation;
	lane->fence_asker = (Fence){.ask = ask_fence, .context = lane};
}

void
lane_start(Lane *lane, const Config *config, const Message *message)
{
	char reason[REPLY_SIZE];
	Rendered rendered;

	take(lane, message);
	rendered = message_render(message, &lane->letter, reason, sizeof(reason));
	lane->letter.id = lane->id;
	lane->tried = rendered == RENDERED;
	if (!lane->tried)
	{
		delivery_set(&lane->delivery,
					 rendered == RENDER_REFUSED ? OUTCOME_NEVER
												: OUTCOME_SENDER,
					 "%s", reason);
		end_letter(lane);
		return;
	}
	if (config->bounce_address)
		letter_return_to(&lane->letter, config->bounce_address);
	if (config->https)
		https_body(message, &lane->letter);
	lane->state = LANE_SENDING;
	lane->transport->start(lane->transport, &lane->letter, &lane->fence_asker,
						   &lane->delivery);
	lane->last_used = monotonic_ms();
	if (!lane->transport->busy)
		end_letter(lane);
}

void
lane_proceed(Lane *lane)
{
	lane->transport->proceed(lane->transport);
	lane->last_used = monotonic_ms();
	if (!lane->transport->busy)
		end_letter(lane);
}

/* Says the outcome in the database's words. */
static DbAnswer
tell(const Lane *lane)
{
	const char *reply = lane->delivery.reply;

	switch (lane->delivery.outcome)
	{
		case OUTCOME_SENT:
			return queue_sent(lane->db, lane->id, lane->fence, reply);
		case OUTCOME_LATER:
			return queue_failed(lane->db, lane->id, lane->fence, "false",
								reply);
		case OUTCOME_NEVER:
			return queue_failed(lane->db, lane->id, lane->fence, "true", reply);
		case OUTCOME_SENDER:
		case OUTCOME_PAUSE:
			return queue_failed(lane->db, lane->id, lane->fence, NULL, reply);
		case OUTCOME_CANCELLED:
			return DB_YES; /* the fence's answer was the database's */
		case OUTCOME_ABANDONED:
			break;
	}
	return DB_TROUBLE;
}

/* The database would not learn it in another way. */
static bool
must_be_told(const Lane *lane)
{
	Outcome outcome = lane->delivery.outcome;

	return outcome == OUTCOME_SENT || outcome == OUTCOME_LATER ||
		   outcome == OUTCOME_NEVER;
}

DbAnswer
lane_tell(Lane *lane)
{
	DbAnswer answer = tell(lane);

	if (answer == DB_TROUBLE && must_be_told(lane))
	{
		lane->kept = true;
		return answer;
	}
	lane->state = LANE_IDLE;
	if (lane->kept)
		log_event(LOG_LEVEL_INFO, "message=%s kept outcome reported: %s",
				  lane->id,
				  answer == DB_YES ? "accepted" : "somebody else took over");
	else if (answer == DB_NO)
		log_event(LOG_LEVEL_WARNING, "message=%s somebody else took over",
				  lane->id);
	return answer;
}

void
lane_rest(Lane *lane, int64_t now)
{
	bool idle = lane->last_used && now - lane->last_used >= IDLE_CONNECTION_MS;

	if (lane->state == LANE_SENDING || (!idle && !lane->renew))
		return;
	lane->transport->disconnect(lane->transport);
	lane->last_used = 0;
	lane->renew = false;
}
