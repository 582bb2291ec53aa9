/*
 * notes.h: what triggers note down for later in the same transaction.
 *
 * A rollback to a savepoint takes what was noted since with it, and the end of
 * the transaction takes everything.
 */
#ifndef USERMGMT_NOTES_H
#define USERMGMT_NOTES_H

#include "access/xact.h"

/* A list of items of one size; each begins with the subtransaction that noted
 * it. Declared static by its file, with the size. */
typedef struct Notes
{
	Size size;
	int count;
	int capacity;
	char *items;
	struct Notes *next;
} Notes;

typedef struct Note
{
	SubTransactionId subtransaction;
} Note;

/* Called once per list, when the library is loaded. */
extern void notes_register(Notes *notes);

/* A new item, zeroed but for its subtransaction. Further items may move it. */
extern void *notes_add(Notes *notes);

extern void *notes_item(const Notes *notes, int index);

/* The index of the first item that the current subtransaction noted; those
 * before it are of outer ones. The count when there is none. */
extern int notes_first_own(const Notes *notes);

/* Forgets the items from this index on, which must be own ones: an outer one
 * would be missing after a rollback of this subtransaction. */
extern void notes_forget(Notes *notes, int index);

#endif
