/*
 * secret.c
 *	  Keep statements with tokens and passwords out of the server log.
 */
#include "postgres.h"

#include "core/redact.h"
#include "core/secret.h"

static void
hide_statement(void *arg)
{
	errhidestmt(true);
}

Datum
with_hidden_statement(PGFunction body, FunctionCallInfo fcinfo)
{
	ErrorContextCallback hide = {.previous = error_context_stack,
								 .callback = hide_statement};
	Datum result;

	redact_statement();
	error_context_stack = &hide;
	result = body(fcinfo);
	error_context_stack = hide.previous;
	return result;
}
