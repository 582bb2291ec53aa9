/*
 * audit_table.h: which columns of an audited table say what.
 */
#ifndef USERMGMT_AUDIT_TABLE_H
#define USERMGMT_AUDIT_TABLE_H

#include "commands/trigger.h"
#include "nodes/pg_list.h"

#include "audit/audit.h"

/* One of our tables says it in the trigger's arguments, one of the
 * application's as attached.h describes. */
typedef struct AuditTable
{
	const char *object_type;
	AuditNamer namer; /* of the object type, or NULL */
	List *key;		  /* column numbers */
	const char *subject;
	const char *person;
	AttrNumber tenant; /* 0: none */
	bool *watched;	   /* columns whose change makes an event */
	bool *shown;	   /* columns that the event shows */
	Oid stranger;	   /* a table whose types may bring code along, or 0 */
	TupleDesc desc;
} AuditTable;

/* What the trigger at hand is to write; in the current memory context. Raises
 * 55000 for a table that is not attached completely. */
extern AuditTable audit_table(TriggerData *trigger);

/* Makes audit triggers of this name and its variants: per statement, or per row
 * where partitions need copies. arguments is a list of SQL literals, target a
 * quoted name; the SPI connection is open. */
extern void audit_make_triggers(const char *name, const char *target,
								const char *arguments);
extern void audit_make_row_trigger(const char *name, const char *target);
extern void audit_make_truncate_trigger(const char *name, const char *target,
										const char *arguments);

#endif
