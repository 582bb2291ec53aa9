/*
 * compat.h: where the supported versions of PostgreSQL differ.
 *
 * The code is written for the newest; here older ones learn its names. Nothing
 * else asks for the version.
 */
#ifndef USERMGMT_COMPAT_H
#define USERMGMT_COMPAT_H

#include "access/genam.h"
#include "access/tupdesc.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/relcache.h"

/* On 16 nothing was ever run. */
#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM / 10000 == 16 ||                 \
	PG_VERSION_NUM >= 190000
#error "usermgmt is for PostgreSQL 15, 17 and 18"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#else

#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/regproc.h"

static inline AclResult
object_aclcheck(Oid class_id, Oid object, Oid role, AclMode mode)
{
	Assert(class_id == ProcedureRelationId);
	return pg_proc_aclcheck(object, role, mode);
}

static inline bool
object_ownercheck(Oid class_id, Oid object, Oid role)
{
	Assert(class_id == RelationRelationId);
	return pg_class_ownercheck(object, role);
}

static inline struct config_generic *
find_option(const char *name, bool create, bool skip_errors, int level)
{
	struct config_generic **variables = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions(); i++)
		if (pg_strcasecmp(variables[i]->name, name) == 0)
			return variables[i];
	return NULL;
}

#define guc_malloc(level, size) malloc(size)
#define stringToQualifiedNameList(name, context) stringToQualifiedNameList(name)
#define EnableDisableTrigger(relation, name, parent, when, system, recurse,    \
							 mode)                                             \
	EnableDisableTrigger(relation, name, when, system, mode)
#define ExecInsertIndexTuples(target, slot, estate, update, no_error,          \
							  conflict, arbiters, summarizing)                 \
	ExecInsertIndexTuples(target, slot, estate, update, no_error, conflict,    \
						  arbiters)
#endif

/* Of the running transaction; another in the next one. */
#if PG_VERSION_NUM >= 170000
#define MY_TRANSACTION (MyProc->vxid.lxid)
#else
#define MY_TRANSACTION (MyProc->lxid)
#define LockHeldByMe(tag, mode, or_stronger) LockHeldByMe(tag, mode)
#endif

#if PG_VERSION_NUM < 180000
#define RelationGetPrimaryKeyIndex(relation, deferrable)                       \
	RelationGetPrimaryKeyIndex(relation)
#define index_beginscan(heap, index, snapshot, instrument, keys, orders)       \
	index_beginscan(heap, index, snapshot, keys, orders)
#define ri_CheckConstraintExprs ri_ConstraintExprs
#endif

/* Whether every CHECK constraint is evaluated, just as it is written. */
static inline bool
checks_are_plain(const TupleConstr *constraints)
{
#if PG_VERSION_NUM >= 180000
	for (int i = 0; i < constraints->num_check; i++)
		if (!constraints->check[i].ccenforced)
			return false;
	return !constraints->has_generated_virtual;
#else
	return true;
#endif
}

/* Before a declaration, not behind it. */
#ifndef pg_noreturn
#define pg_noreturn pg_attribute_noreturn()
#endif

#endif
