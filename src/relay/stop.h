#ifndef RELAY_STOP_H
#define RELAY_STOP_H

#include <stdbool.h>

/*
 * From here on SIGTERM and SIGINT ask the relay to stop; a second one kills
 * it.  False when the pipe that wakes the waits cannot be made.
 */
bool stop_watch(void);

/* Somebody asked the relay to stop. */
bool stop_requested(void);

/* Becomes readable when somebody asks; for poll(). */
int stop_fd(void);

/* Somebody sent SIGHUP since the last call. */
bool reload_requested(void);

#endif
