/*
 * backoff.c
 *		How long to wait after a failure.
 */
#include <sys/random.h>
#include <time.h>

#include "backoff.h"

int
backoff_next(Backoff *backoff)
{
	uint32_t noise = 0;
	int half;

	if (backoff->step_ms == 0)
		backoff->step_ms = backoff->first_ms;
	else if (backoff->step_ms < backoff->cap_ms / 2)
		backoff->step_ms *= 2;
	else
		backoff->step_ms = backoff->cap_ms;

	/* Without randomness the waits are merely equal, which is harmless. */
	if (getrandom(&noise, sizeof(noise), GRND_NONBLOCK) < 0)
		noise = 0;

	half = backoff->step_ms / 2;
	return half + (int) (noise % (uint32_t) (half + 1));
}

void
backoff_reset(Backoff *backoff)
{
	backoff->step_ms = 0;
}

int64_t
monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
