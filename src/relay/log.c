/*
 * log.c
 *		One line per event on standard error.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define LINE_SIZE 2048

static bool show_debug;
static bool under_journal;

void
log_open(bool verbose)
{
	show_debug = verbose;
	under_journal = getenv("JOURNAL_STREAM") != NULL;
}

/* Replaces every control character, so that an event stays one line. */
static void
flatten(char *line)
{
	size_t length = strlen(line);

	while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == ' '))
		line[--length] = '\0';
	for (char *c = line; *c; c++)
		if ((unsigned char) *c < 0x20 || *c == 0x7f)
			*c = ' ';
}

void
log_event(LogLevel level, const char *format, ...)
{
	char line[LINE_SIZE];
	va_list arguments;

	if (level == LOG_LEVEL_DEBUG && !show_debug)
		return;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	flatten(line);

	if (under_journal)
		fprintf(stderr, "<%d>%s\n", level, line);
	else
		fprintf(stderr, "usermgmt-relay: %s\n", line);
}
