/*
 * transport.c
 *		What every transport gives back.
 */
#include <stdarg.h>
#include <stdio.h>

#include "redact.h"
#include "transport.h"

void
delivery_set(Delivery *delivery, Outcome outcome, const char *format, ...)
{
	va_list arguments;

	delivery->outcome = outcome;
	delivery->wait_ms = 0;
	delivery->refused = false;
	va_start(arguments, format);
	vsnprintf(delivery->reply, sizeof(delivery->reply), format, arguments);
	va_end(arguments);

	/* A server's words may be anything, and the database wants valid UTF-8. */
	for (char *c = delivery->reply; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	redact(delivery->reply);
}
