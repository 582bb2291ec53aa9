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
 * marks the actor stale. AcceptInvalidationMessages() is called once a
 * statement, because a statement that opens no new table would not do so.
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
static bool over;			   /* what the last reading found */
static TimestampTz checked_at; /* start of the statement that looked last */
static Oid signal_relation;
static ActorReader read_session;

static const char *const role_names[] = {
	[ROLE_NONE] = "none",
	[ROLE_MEMBER] = "member",
	[ROLE_ADMIN] = "admin",
	[ROLE_OWNER] = "owner",
};

MemberRole
role_parse(const char *name)
{
	for (MemberRole role = ROLE_MEMBER; role <= ROLE_OWNER; role++)
		if (strcmp(name, role_names[role]) == 0)
			return role;
	return ROLE_NONE;
}

MemberRole
role_require(const char *name)
{
	MemberRole role;

	if (name == NULL)
		refuse_null("role");
	role = role_parse(name);
	if (role == ROLE_NONE)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("role is not one of owner, admin, member")));
	return role;
}

const char *
role_name(MemberRole role)
{
	return role_names[role];
}

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
		saved = saved->outer;
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		if (saved->outer != NULL && saved->outer->level == level - 1)
			saved = saved->outer;
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
actor_set_reader(ActorReader reader)
{
	read_session = reader;
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

static Binding *
current_binding(void)
{
	if (now_bound.transaction.bound)
		return &now_bound.transaction;
	if (now_bound.connection.bound)
		return &now_bound.connection;
	return NULL;
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
	checked_at = GetCurrentStatementStartTimestamp();
}

void
actor_unbind(void)
{
	save_state();
	now_bound.transaction.bound = false;
	now_bound.connection.bound = false;
}

const Actor *
actor_bound(void)
{
	Binding *binding = current_binding();

	return binding != NULL ? &binding->actor : NULL;
}

bool
actor_is_bound(void)
{
	return actor_bound() != NULL;
}

const Actor *
actor_current(void)
{
	Binding *binding = current_binding();

	if (binding == NULL)
		return NULL;
	if (checked_at != GetCurrentStatementStartTimestamp())
	{
		AcceptInvalidationMessages();
		checked_at = GetCurrentStatementStartTimestamp();
	}
	if (stale)
	{
		stale = false;
		over = true; /* stays so if the reading fails */
		over = !read_session(&binding->actor);
	}
	if (over || GetCurrentTimestamp() >= binding->actor.expires_at)
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
caller_is_operator(void)
{
	Oid arguments[] = {TEXTOID};
	Oid marker = GetSysCacheOid3(
		PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("use_tenant"),
		PointerGetDatum(buildoidvector(arguments, 1)),
		ObjectIdGetDatum(get_namespace_oid("usermgmt", false)));

	return OidIsValid(marker) && pg_proc_aclcheck(marker, GetOuterUserId(),
												  ACL_EXECUTE) == ACLCHECK_OK;
}

bool
caller_tenant(pg_uuid_t *tenant_id)
{
	const Actor *actor;

	if (actor_is_bound())
	{
		actor = actor_current();
		if (actor == NULL)
			return false;
		*tenant_id = actor->tenant_id;
		return true;
	}
	*tenant_id = now_bound.operator_tenant;
	return now_bound.has_operator_tenant && caller_is_operator();
}

void
refuse_role(MemberRole least)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("permission denied: the role %s is required",
						   role_names[least]),
					errhint("Ask an %s of the tenant.", role_names[least])));
}

Caller
caller_require(MemberRole least)
{
	Caller caller = {.role = ROLE_OWNER, .is_operator = true};

	AcceptInvalidationMessages();
	caller.actor = actor_current();
	if (caller.actor != NULL)
	{
		caller.is_operator = false;
		caller.tenant_id = caller.actor->tenant_id;
		caller.role = caller.actor->role;
		if (caller.role < least)
			refuse_role(least);
		return caller;
	}
	if (actor_is_bound() || !caller_is_operator())
		ereport(ERROR,
				(errcode(ERRCODE_UM_NOT_AUTHENTICATED),
				 errmsg("not authenticated"),
				 errhint("Log in, then bind the session with use_session().")));
	if (!now_bound.has_operator_tenant)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_AUTHENTICATED),
						errmsg("no tenant is selected"),
						errhint("Select one: SELECT usermgmt.use_tenant("
								"'slug').")));
	caller.tenant_id = now_bound.operator_tenant;
	return caller;
}

static pg_uuid_t *
copy_uuid(const pg_uuid_t *u)
{
	pg_uuid_t *copy = palloc(sizeof(pg_uuid_t));

	*copy = *u;
	return copy;
}

PG_FUNCTION_INFO_V1(current_user_id);
Datum
current_user_id(PG_FUNCTION_ARGS)
{
	const Actor *actor = actor_current();

	if (actor == NULL)
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(copy_uuid(&actor->user_id));
}

PG_FUNCTION_INFO_V1(current_tenant_id);
Datum
current_tenant_id(PG_FUNCTION_ARGS)
{
	pg_uuid_t tenant_id;

	if (!caller_tenant(&tenant_id))
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(copy_uuid(&tenant_id));
}

PG_FUNCTION_INFO_V1(current_session_id);
Datum
current_session_id(PG_FUNCTION_ARGS)
{
	const Actor *actor = actor_current();

	if (actor == NULL)
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(copy_uuid(&actor->session_id));
}

PG_FUNCTION_INFO_V1(current_member_role);
Datum
current_member_role(PG_FUNCTION_ARGS)
{
	const Actor *actor = actor_current();

	if (actor == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(role_names[actor->role]));
}

/*
 * Whether the acting user has at least this role; an operator who works in a
 * tenant has every one.
 */
PG_FUNCTION_INFO_V1(has_role);
Datum
has_role(PG_FUNCTION_ARGS)
{
	MemberRole least;
	const Actor *actor;
	pg_uuid_t tenant_id;

	if (PG_ARGISNULL(0))
		refuse_null("role");
	least = role_require(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	actor = actor_current();
	if (actor != NULL)
		PG_RETURN_BOOL(actor->role >= least);
	PG_RETURN_BOOL(!actor_is_bound() && caller_tenant(&tenant_id));
}

PG_FUNCTION_INFO_V1(end_use);
Datum
end_use(PG_FUNCTION_ARGS)
{
	actor_unbind();
	PG_RETURN_VOID();
}
