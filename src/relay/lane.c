/*
 * lane.c
 *		One message on its way: render and send.
 */
#include <stdio.h>
#include <string.h>

#include "backoff.h"
#include "https.h"
#include "lane.h"
#include "log.h"

#define IDLE_CONNECTION_MS 30000

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
	lane->state = LANE_ENDED;
	log_outcome(lane);
}

static void
take(Lane *lane, const Message *message, unsigned long generation)
{
	lane->generation = generation;
	snprintf(lane->id, sizeof(lane->id), "%s", message->id);
	snprintf(lane->fence, sizeof(lane->fence), "%s", message->fence);
	snprintf(lane->kind, sizeof(lane->kind), "%s", message->kind);
	snprintf(lane->attempt, sizeof(lane->attempt), "%s", message->attempt);
	snprintf(lane->recipient, sizeof(lane->recipient), "%s",
			 message->recipient);
	snprintf(lane->sender, sizeof(lane->sender), "%s",
			 message->sender ? message->sender : "");
}

void
lane_start(Lane *lane, const Config *config, const Message *message,
		   unsigned long generation)
{
	char reason[REPLY_SIZE];
	Rendered rendered;

	take(lane, message, generation);
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
	lane->transport->start(lane->transport, &lane->letter, &lane->delivery);
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

bool
lane_is_asking(const Lane *lane)
{
	return lane->state == LANE_SENDING && lane->transport->asking;
}

void
lane_answer(Lane *lane, FenceAnswer answer)
{
	lane->transport->answer(lane->transport, answer);
	if (!lane->transport->busy)
		end_letter(lane);
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
