/*
 * attach.h: what the files of the room share.
 */
#ifndef USERMGMT_ATTACH_H
#define USERMGMT_ATTACH_H

#include "utils/rel.h"

#include "audit/attached.h"
#include "core/spi_query.h"

/* What a call of attach_table() asks for; columns by name. */
typedef struct Wanted
{
	Oid table;
	char *tenant;
	char *workspace;
	char *owner;
	char *provider;
	List *redact;
	bool audit;
	bool activity;
	bool isolate;
	bool transfer;
} Wanted;

/* The arguments of attach_table(). Raises 22023 for what does not fit
 * together. */
extern Wanted wanted_arguments(FunctionCallInfo fcinfo);

/* Raises 42703, 42804, 22023 or 55000 unless the table has these columns, each
 * of a fitting type, and a primary key where one is needed. */
extern void wanted_check(const Wanted *wanted, Relation relation);

/* Opens the table, locked, and raises 42501 unless the caller owns it, 42809 or
 * 0A000 unless it is one that can be attached. */
extern Relation target_open(Oid table, LOCKMODE mode);

/* The table, and every partition of it, locked. */
extern List *target_tree(Oid table, LOCKMODE mode);

/* "schema"."table", quoted as needed. */
extern char *target_name(Oid table);

/* Runs one statement of ours that changes a table's definition. */
extern void run_ddl(const char *statement);

/* Makes the policies of one table or partition and turns row security on; or
 * drops them and leaves it on or off as it was. */
extern void isolate_table(Oid table, const Wanted *wanted);
extern void unisolate_table(Oid table);

/* Whether the owner column holds text, and not uuid. */
extern bool owner_is_text(Relation relation, AttrNumber column);

/* Registers what is written at commit. */
extern void activity_init(void);

extern void attach_init(void);

#endif
