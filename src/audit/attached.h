/*
 * attached.h: what the columns of an application's table mean.
 *
 * attach_table() leaves that in the table's own definition: a trigger that
 * never fires (WHEN (false)) names the columns in UPDATE OF, and what they mean
 * in its arguments. So PostgreSQL itself follows a renamed column, refuses to
 * drop one, copies the trigger to every partition, and dumps it with the table.
 */
#ifndef USERMGMT_ATTACHED_H
#define USERMGMT_ATTACHED_H

#include "nodes/bitmapset.h"
#include "utils/rel.h"

#include "core/compat.h"

typedef struct Attached
{
	Oid table;			  /* the one attached; not that of a partition */
	AttrNumber tenant;	  /* in the relation at hand; 0: none */
	AttrNumber workspace; /* likewise */
	AttrNumber owner;	  /* likewise */
	Bitmapset *redacted;  /* column numbers */
	bool audit;
	bool activity;
	bool isolate;
	bool transfer;	/* rows of a removed owner go to another one */
	char *provider; /* whose ids a text owner holds; NULL: our own */
} Attached;

/* The trigger functions that are found on an attached table. */
typedef enum AttachedTrigger
{
	TRIGGER_COLUMNS,	  /* attached_columns(), which says the above */
	TRIGGER_ROW_SECURITY, /* attached_row_security(): what was on before */
	TRIGGER_AUDIT,
	TRIGGER_ACTIVITY,
	TRIGGER_OWNER,
	TRIGGER_COUNT
} AttachedTrigger;

extern Oid attached_function(AttachedTrigger trigger);

/* The first trigger of that function on the relation, or NULL. */
extern const Trigger *attached_trigger(Relation relation,
									   AttachedTrigger trigger);

/* What the relation's definition says; false when it says nothing. */
extern bool attached_read(Relation relation, Attached *attached);

/* "schema.table", without quotes: the object type of its events. */
extern char *attached_name(Oid table);

/* The columns of the primary key in their order; NIL when there is none that
 * holds at once. */
extern List *attached_key(Relation relation);

/* Raises 55000: the relation has our triggers, but not what they go by. */
pg_noreturn extern void refuse_incomplete(Relation relation);

#endif
