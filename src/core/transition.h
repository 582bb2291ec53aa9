/*
 * transition.h: state machines are tables.
 *
 * A room states every permitted change of state once; its BEFORE trigger
 * refuses all others on every path, and the audit takes the action from it.
 */
#ifndef USERMGMT_TRANSITION_H
#define USERMGMT_TRANSITION_H

#include "commands/trigger.h"

#include "core/spi_query.h"

typedef struct Transition
{
	const char *from;
	const char *event;
	const char *to;
	const char *action;	  /* of the audit trail, or NULL when not audited */
	const char *sentence; /* what happened, for the reader */
} Transition;

/* The transition between two states, or NULL when there is none. The table
 * ends with a row whose from is NULL. */
extern const Transition *transition_find(const Transition *table,
										 const char *from, const char *to);

/* The body of a BEFORE INSERT OR UPDATE OR DELETE row trigger on a table with
 * a text column "state": a new row begins in the first transition's from, a
 * changed state follows the table, and no row is deleted unless deletable.
 * Raises UM036, or 42501 for a delete. */
extern Datum transition_guard(FunctionCallInfo fcinfo, const Transition *table,
							  bool deletable);

/* Raises unless called as the kind of trigger that the event bits
 * (TRIGGER_EVENT_BEFORE, TRIGGER_EVENT_ROW or 0) say. */
extern TriggerData *trigger_require(FunctionCallInfo fcinfo, TriggerEvent bits);

/* The row a trigger is fired for, and for an update the row it becomes. */
extern SpiRow trigger_row(TriggerData *trigger);
extern SpiRow trigger_new_row(TriggerData *trigger);

/* The row as the statement leaves it (for a delete, as it was). */
extern SpiRow trigger_latest_row(TriggerData *trigger);

#endif
