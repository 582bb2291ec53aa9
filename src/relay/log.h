#ifndef RELAY_LOG_H
#define RELAY_LOG_H

#include <stdbool.h>

/* Priorities as syslog numbers them; journald reads them as a <N> prefix. */
typedef enum LogLevel
{
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7
} LogLevel;

/* Decides once whether debug lines are shown and prefixes are written. */
void log_open(bool verbose);

/*
 * Writes one event as one line on standard error; control characters of the
 * arguments become spaces.  Callers never pass links, bodies, subjects or
 * secrets.
 */
void log_event(LogLevel level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
