/*
 * pause.c
 *		Faults that no message is to pay for.
 *
 * A server that refuses everybody, or one sender whoever the mail goes to, is
 * a matter of configuration: the mail goes back and is tried again later. One
 * that can not be reached is tried every few seconds, so that mail goes on
 * within five of its return though a look may take two in which nothing
 * answers; one that says no for good is left alone for longer.
 */
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "pause.h"

#define LONGEST_MS 3000
#define LONGEST_REFUSED_MS 60000

Pause
pause_none(void)
{
	return (Pause){.backoff = {.first_ms = 1000, .cap_ms = LONGEST_MS}};
}

/* The place of this sender, or the count when it is not there. */
static int
find_sender(const Pause *pause, const char *sender)
{
	int i = 0;

	while (i < pause->sender_count && strcmp(pause->senders[i], sender) != 0)
		i++;
	return i;
}

void
pause_begin(Pause *pause, const char *sender, const Delivery *delivery)
{
	int64_t now = monotonic_ms();
	bool waits = pause_is_on(pause) && now < pause->until;
	bool news = !waits;
	int wait;

	if (sender && !pause->all && find_sender(pause, sender) < REFUSED_SENDERS)
	{
		int place = find_sender(pause, sender);

		news = news || place == pause->sender_count;
		snprintf(pause->senders[place], ADDRESS_SIZE, "%s", sender);
		if (place == pause->sender_count)
			pause->sender_count++;
	}
	else
	{
		news = news || !pause->all;
		pause->all = true;
	}

	pause->backoff.cap_ms =
		delivery->refused || delivery->outcome == OUTCOME_SENDER
			? LONGEST_REFUSED_MS
			: LONGEST_MS;

	/* Letters that were under way together wait once. */
	wait = waits ? (int) (pause->until - now) : backoff_next(&pause->backoff);
	if (delivery->wait_ms > wait)
		wait = delivery->wait_ms;
	pause->until = now + wait;
	memcpy(pause->reason, delivery->reply, sizeof(pause->reason));
	if (!news)
		return;
	if (pause->all)
		log_event(LOG_LEVEL_ERROR, "paused for %.1f s, nothing can be sent: %s",
				  wait / 1000.0, pause->reason);
	else
		log_event(LOG_LEVEL_ERROR,
				  "paused for %.1f s, nothing can be sent from %s (setting"
				  " usermgmt.from_email): %s",
				  wait / 1000.0, sender, pause->reason);
}

void
pause_end(Pause *pause, const char *sender)
{
	int place = find_sender(pause, sender);

	if (place < pause->sender_count)
	{
		pause->sender_count--;
		memmove(pause->senders[place], pause->senders[pause->sender_count],
				ADDRESS_SIZE);
	}
	pause->all = false;
	if (pause->sender_count == 0)
		backoff_reset(&pause->backoff);
}

bool
pause_is_on(const Pause *pause)
{
	return pause->all || pause->sender_count > 0;
}

bool
pause_of_all(const Pause *pause)
{
	return pause->all;
}

bool
pause_holds(const Pause *pause, const char *sender)
{
	return !pause->all && sender &&
		   find_sender(pause, sender) < pause->sender_count &&
		   monotonic_ms() < pause->until;
}

int64_t
pause_until(const Pause *pause)
{
	return pause_is_on(pause) ? pause->until : 0;
}

void
pause_shorten(Pause *pause)
{
	pause->until = 0;
	backoff_reset(&pause->backoff);
}

const char *
pause_reason(const Pause *pause)
{
	return pause_is_on(pause) ? pause->reason : NULL;
}
