#ifndef RELAY_PAUSE_H
#define RELAY_PAUSE_H

#include "backoff.h"
#include "transport.h"

#define REFUSED_SENDERS 8

/*
 * What cannot be sent now, through no fault of the messages: everything, or
 * what comes from some senders.  Waits grow until something is sent again.
 */
typedef struct Pause
{
	Backoff backoff;
	int64_t until;
	bool all;
	int sender_count;
	char senders[REFUSED_SENDERS][ADDRESS_SIZE];
	char reason[REPLY_SIZE];
} Pause;

Pause pause_none(void);

/* A letter met a fault of the whole relay, or of this sender. */
void pause_begin(Pause *pause, const char *sender, const Delivery *delivery);

/* A letter of this sender met none. */
void pause_end(Pause *pause, const char *sender);

/* Something is paused; everything is; this sender's mail has to wait now. */
bool pause_is_on(const Pause *pause);
bool pause_of_all(const Pause *pause);
bool pause_holds(const Pause *pause, const char *sender);

/* When to try again; the past when that is now. */
int64_t pause_until(const Pause *pause);

/* Tries again at once. */
void pause_shorten(Pause *pause);

/* Why, or NULL when nothing is paused. */
const char *pause_reason(const Pause *pause);

#endif
