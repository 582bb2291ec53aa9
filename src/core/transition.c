/*
 * transition.c
 *	  State machines as tables, enforced on every path.
 */
#include "postgres.h"

#include "utils/rel.h"

#include "core/errors.h"
#include "core/transition.h"

const Transition *
transition_find(const Transition *table, const char *from, const char *to)
{
	for (; table->from != NULL; table++)
		if (strcmp(table->from, from) == 0 && strcmp(table->to, to) == 0)
			return table;
	return NULL;
}

TriggerData *
trigger_require(FunctionCallInfo fcinfo, TriggerEvent bits)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("not called as a trigger")));
	if ((trigger->tg_event & (TRIGGER_EVENT_ROW | TRIGGER_EVENT_TIMINGMASK)) !=
		bits)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("called as another kind of trigger")));
	return trigger;
}

SpiRow
trigger_row(TriggerData *trigger)
{
	return (SpiRow){trigger->tg_trigtuple,
					RelationGetDescr(trigger->tg_relation)};
}

SpiRow
trigger_new_row(TriggerData *trigger)
{
	return (SpiRow){trigger->tg_newtuple,
					RelationGetDescr(trigger->tg_relation)};
}

SpiRow
trigger_latest_row(TriggerData *trigger)
{
	return TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger_new_row(trigger)
													  : trigger_row(trigger);
}

Datum
transition_guard(FunctionCallInfo fcinfo, const Transition *table,
				 bool deletable)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW);
	const char *name = RelationGetRelationName(trigger->tg_relation);
	char *from = (char *) table->from;
	char *to;

	if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
	{
		if (!deletable)
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
							errmsg("rows of \"%s\" are never deleted", name)));
		return PointerGetDatum(trigger->tg_trigtuple);
	}
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
	{
		to = row_text_or_null(trigger_row(trigger), "state");
		if (to == NULL || strcmp(from, to) != 0)
			ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
							errmsg("a new %s begins as \"%s\"", name, from)));
		return PointerGetDatum(trigger->tg_trigtuple);
	}
	from = row_text_or_null(trigger_row(trigger), "state");
	to = row_text_or_null(trigger_new_row(trigger), "state");
	if (to == NULL ||
		(strcmp(from, to) != 0 && transition_find(table, from, to) == NULL))
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg("no %s goes from \"%s\" to \"%s\"", name, from,
							   to != NULL ? to : "null")));
	return PointerGetDatum(trigger->tg_newtuple);
}
