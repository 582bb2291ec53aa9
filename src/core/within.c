/*
 * within.c
 *	  A mark that no error leaves behind.
 */
#include "postgres.h"

#include "storage/proc.h"

#include "core/compat.h"
#include "core/within.h"

void
within_begin(Within *within)
{
	within->subtransaction = GetCurrentSubTransactionId();
	within->transaction = MY_TRANSACTION;
}

void
within_end(Within *within)
{
	within->subtransaction = InvalidSubTransactionId;
}

bool
within_holds(const Within *within)
{
	return within->subtransaction != InvalidSubTransactionId &&
		   within->subtransaction == GetCurrentSubTransactionId() &&
		   within->transaction == MY_TRANSACTION;
}
