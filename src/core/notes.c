/*
 * notes.c
 *	  Lists that live as long as the transaction and roll back with it.
 *
 * What a subtransaction noted stands at the end of the list when it ends, so
 * only that end is looked at.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "core/notes.h"

static Notes *lists;

void *
notes_item(const Notes *notes, int index)
{
	return notes->items + index * notes->size;
}

int
notes_first_own(const Notes *notes)
{
	int i = notes->count;
	SubTransactionId mine = GetCurrentSubTransactionId();

	while (i > 0 && ((Note *) notes_item(notes, i - 1))->subtransaction == mine)
		i--;
	return i;
}

void
notes_forget(Notes *notes, int index)
{
	Assert(index >= notes_first_own(notes));
	notes->count = index;
}

void *
notes_add(Notes *notes)
{
	Note *note;

	if (notes->items == NULL)
	{
		notes->capacity = 16;
		notes->items = MemoryContextAlloc(TopTransactionContext,
										  notes->capacity * notes->size);
	}
	else if (notes->count == notes->capacity)
	{
		notes->items =
			repalloc_huge(notes->items, 2 * notes->capacity * notes->size);
		notes->capacity *= 2;
	}
	note = notes_item(notes, notes->count++);
	memset(note, 0, notes->size);
	note->subtransaction = GetCurrentSubTransactionId();
	return note;
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	for (Notes *notes = lists; notes != NULL; notes = notes->next)
	{
		notes->count = 0;
		notes->items = NULL; /* goes with the transaction's memory */
	}
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB && event != SUBXACT_EVENT_COMMIT_SUB)
		return;
	for (Notes *notes = lists; notes != NULL; notes = notes->next)
		for (int i = notes->count - 1; i >= 0; i--)
		{
			Note *note = notes_item(notes, i);

			if (note->subtransaction != mine)
				break;
			if (event == SUBXACT_EVENT_ABORT_SUB)
				notes->count = i;
			else
				note->subtransaction = parent;
		}
}

void
notes_register(Notes *notes)
{
	if (lists == NULL)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		RegisterSubXactCallback(at_subtransaction_end, NULL);
	}
	notes->next = lists;
	lists = notes;
}
