/*
 * within.h: a mark that holds within the subtransaction that set it.
 *
 * For what one function tells a trigger that its statement fires: an error in
 * between ends the subtransaction, and the mark with it.
 */
#ifndef USERMGMT_WITHIN_H
#define USERMGMT_WITHIN_H

#include "access/xact.h"
#include "storage/lock.h"

typedef struct Within
{
	SubTransactionId subtransaction;
	LocalTransactionId transaction;
} Within;

extern void within_begin(Within *within);
extern void within_end(Within *within);
extern bool within_holds(const Within *within);

#endif
