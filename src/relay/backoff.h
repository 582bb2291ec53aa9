#ifndef RELAY_BACKOFF_H
#define RELAY_BACKOFF_H

#include <stdint.h>

/* Waits that double from first_ms to cap_ms, each with a random spread. */
typedef struct Backoff
{
	int first_ms;
	int cap_ms;
	int step_ms; /* 0 until the first failure */
} Backoff;

/* The next wait in milliseconds: between half the present step and all of it.
 */
int backoff_next(Backoff *backoff);

/* The trouble is over: the next wait is a short one again. */
void backoff_reset(Backoff *backoff);

/* Milliseconds of the monotonic clock, the only clock the relay decides by. */
int64_t monotonic_ms(void);

#endif
