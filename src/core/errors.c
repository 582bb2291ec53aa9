/*
 * errors.c
 *	  Give way to a concurrent transaction.
 */
#include "postgres.h"

#include "core/errors.h"

void
refuse_concurrent(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to a concurrent %s", what),
			 errhint("Try the transaction again."), errhidestmt(true)));
}
