/*
 * caller.c
 *	  On whose behalf a function runs: a session's person, or an operator.
 *
 * An operator is a database role that may execute use_tenant(). The role of
 * the connection (after SET ROLE) decides: a definer function lends nobody an
 * operator's rights, but what an operator runs has them, whoever wrote it;
 * maintenance commands, which run other people's index functions, have none.
 * With a session bound its role decides, also for operators.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "core/actor.h"
#include "core/compat.h"
#include "core/errors.h"

bool
caller_is_operator(void)
{
	Oid arguments[] = {TEXTOID};
	Oid marker = GetSysCacheOid3(
		PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("use_tenant"),
		PointerGetDatum(buildoidvector(arguments, 1)),
		ObjectIdGetDatum(get_namespace_oid("usermgmt", false)));

	return OidIsValid(marker) && !InSecurityRestrictedOperation() &&
		   object_aclcheck(ProcedureRelationId, marker, GetOuterUserId(),
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
	return actor_operator_tenant(tenant_id) && caller_is_operator();
}

const Actor *
actor_require(void)
{
	const Actor *actor = actor_current();

	if (actor == NULL)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_AUTHENTICATED),
						errmsg("not authenticated"),
						errhint("Bind a session with use_session()."),
						errhidestmt(true)));
	return actor;
}

Caller
caller_require(MemberRole least)
{
	Caller caller = {.role = ROLE_OWNER, .is_operator = true};

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
	if (!actor_operator_tenant(&caller.tenant_id))
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_AUTHENTICATED),
						errmsg("no tenant is selected"),
						errhint("Select one: SELECT usermgmt.use_tenant("
								"'slug').")));
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

/*
 * Whether no session was bound; one that is over by now still was, and gives
 * nobody the wider view of an operator or auditor.
 */
PG_FUNCTION_INFO_V1(acts_without_session);
Datum
acts_without_session(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!actor_is_bound());
}

PG_FUNCTION_INFO_V1(current_member_role);
Datum
current_member_role(PG_FUNCTION_ARGS)
{
	const Actor *actor = actor_current();

	if (actor == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(role_name(actor->role)));
}

/*
 * Whether the caller has at least the role in the argument, and in which
 * tenant; an operator has every role in the selected one.
 */
static bool
has_role_argument(FunctionCallInfo fcinfo, pg_uuid_t *tenant_id)
{
	MemberRole least = role_require(argument_text(fcinfo, 0));
	const Actor *actor = actor_current();

	if (actor != NULL && actor->role < least)
		return false;
	return caller_tenant(tenant_id);
}

PG_FUNCTION_INFO_V1(has_role);
Datum
has_role(PG_FUNCTION_ARGS)
{
	pg_uuid_t tenant_id;

	PG_RETURN_BOOL(has_role_argument(fcinfo, &tenant_id));
}

/*
 * The tenant, if the caller has at least this role in it: one answer for both,
 * so that no change of the actor within a query can mix the role of one
 * session with the tenant of another.
 */
PG_FUNCTION_INFO_V1(tenant_as);
Datum
tenant_as(PG_FUNCTION_ARGS)
{
	pg_uuid_t tenant_id;

	if (!has_role_argument(fcinfo, &tenant_id))
		PG_RETURN_NULL();
	PG_RETURN_UUID_P(copy_uuid(&tenant_id));
}
