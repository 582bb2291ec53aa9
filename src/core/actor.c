/*
 * actor.c
 *	  Who is acting: set by a session token, gone with the transaction.
 *
 * The state is a plain struct in backend memory. Before the first change at a
 * transaction nesting level the state is saved for that level, so that an
 * abort of the level brings it back. DISCARD ALL does not clear C memory,
 * which is why the transaction is the default scope.
 *
 * Revocation arrives as a relcache invalidation of the table actor_signal: it
 * reaches every backend at commit, and standbys at replay. The callback only
 * marks the actor stale. Every use calls AcceptInvalidationMessages(), because
 * a statement that opens no new table would not do so; where nothing waits it
 * is a memory read.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "core/actor.h"
#include "core/errors.h"
#include "core/uuid.h"

typedef struct Binding
{
	bool bound;
	Actor actor;
} Binding;

typedef struct ActorState
{
	Binding transaction; /* wins over the connection's */
	Binding connection;
	bool has_operator_tenant;
	pg_uuid_t operator_tenant;
	bool setting_ended; /* by end_use() */
} ActorState;

typedef struct SavedState
{
	int level; /* an abort of this nesting level brings state back */
	ActorState state;
	struct SavedState *outer;
} SavedState;

static ActorState now_bound;
static SavedState *saved;
static bool stale;
static bool over; /* what the last reading found */
static Oid signal_relation;
static ActorReader read_session;
static ActorWisher wish;
static ActorReader read_setting;
static Binding by_setting; /* unbound when the setting's token is none */

/*
 * Keep the present state for the case that this nesting level aborts.
 */
static void
save_state(void)
{
	int level = GetCurrentTransactionNestLevel();
	SavedState *entry;

	if (saved != NULL && saved->level == level)
		return;
	entry = MemoryContextAlloc(TopTransactionContext, sizeof(SavedState));
	entry->level = level;
	entry->state = now_bound;
	entry->outer = saved;
	saved = entry;
}

static void
drop_saved(void)
{
	SavedState *entry = saved;

	saved = entry->outer;
	pfree(entry);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
			while (saved != NULL)
			{
				now_bound = saved->state;
				saved = saved->outer;
			}
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			saved = NULL;
			break;
		default:
			return;
	}
	now_bound.transaction.bound = false;
	now_bound.setting_ended = false;
	stale = true;
}

static void
at_subtransaction_end(SubXactEvent event, SubTransactionId mine,
					  SubTransactionId parent, void *arg)
{
	int level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
		stale = true;
	if (saved == NULL || saved->level < level)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		now_bound = saved->state;
		drop_saved();
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		if (saved->outer != NULL && saved->outer->level == level - 1)
			drop_saved();
		else
			saved->level = level - 1;
	}
}

static void
at_invalidation(Datum arg, Oid relation)
{
	if (relation == InvalidOid || relation == signal_relation)
		stale = true;
}

void
actor_init(void)
{
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterSubXactCallback(at_subtransaction_end, NULL);
	CacheRegisterRelcacheCallback(at_invalidation, (Datum) 0);
}

void
actor_set_reader(ActorReader reader, ActorWisher wisher,
				 ActorReader setting_reader)
{
	read_session = reader;
	wish = wisher;
	read_setting = setting_reader;
}

static Oid
signal_table(void)
{
	return get_relname_relid("actor_signal",
							 get_namespace_oid("usermgmt", false));
}

void
actor_signal(void)
{
	CacheInvalidateRelcacheByRelid(signal_table());
}

/*
 * The binding that counts, or NULL: what this transaction asked for, by
 * use_session() or by the setting, goes before the connection's. One that is
 * not bound stands for a setting whose token is none.
 */
static Binding *
current_binding(void)
{
	ActorWish wished;

	if (now_bound.transaction.bound)
		return &now_bound.transaction;
	wished = now_bound.setting_ended ? WISH_NONE : wish();
	if (wished == WISH_NONE)
		return now_bound.connection.bound ? &now_bound.connection : NULL;
	if (wished == WISH_NEW)
	{
		signal_relation = signal_table();
		stale = false;
		over = true;
		by_setting.bound = false;
		by_setting.bound = read_setting(&by_setting.actor);
		over = !by_setting.bound;
		stale = stale || IsInParallelMode();
	}
	return &by_setting;
}

void
actor_bind(const Actor *actor, ActorScope scope)
{
	Binding *binding = scope == ACTOR_CONNECTION ? &now_bound.connection
												 : &now_bound.transaction;

	save_state();
	now_bound.transaction.bound = false;
	binding->bound = true;
	binding->actor = *actor;
	signal_relation = signal_table();
	stale = false;
	over = false;
}

void
actor_rebind(const Actor *actor)
{
	actor_bind(actor, now_bound.connection.bound && !now_bound.transaction.bound
						  ? ACTOR_CONNECTION
						  : ACTOR_TRANSACTION);
}

void
actor_unbind(void)
{
	save_state();
	now_bound.transaction.bound = false;
	now_bound.connection.bound = false;
	now_bound.setting_ended = true;
}

const Actor *
actor_bound(void)
{
	Binding *binding = current_binding();

	return binding != NULL && binding->bound ? &binding->actor : NULL;
}

bool
actor_is_bound(void)
{
	return current_binding() != NULL;
}

/*
 * Read the session as it is now. In parallel mode the snapshot is the query's,
 * so the next use has to look again.
 */
static void
reread(Binding *binding)
{
	stale = false;
	over = true; /* stays so if the reading fails */
	over = !read_session(&binding->actor);
	stale = stale || IsInParallelMode();
}

const Actor *
actor_verify(void)
{
	stale = true;
	return actor_current();
}

const Actor *
actor_current(void)
{
	Binding *binding = current_binding();

	/* ANALYZE and the like run index functions that others wrote. */
	if (binding == NULL || InSecurityRestrictedOperation())
		return NULL;
	AcceptInvalidationMessages();
	if (stale && binding->bound)
		reread(binding);
	if (over || GetCurrentTimestamp() >= binding->actor.ends_at)
		return NULL;
	return &binding->actor;
}

void
actor_use_tenant(const pg_uuid_t *tenant_id)
{
	save_state();
	now_bound.has_operator_tenant = true;
	now_bound.operator_tenant = *tenant_id;
}

bool
actor_operator_tenant(pg_uuid_t *tenant_id)
{
	*tenant_id = now_bound.operator_tenant;
	return now_bound.has_operator_tenant;
}

PG_FUNCTION_INFO_V1(end_use);
Datum
end_use(PG_FUNCTION_ARGS)
{
	actor_unbind();
	PG_RETURN_VOID();
}
