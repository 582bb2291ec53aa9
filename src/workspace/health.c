/*
 * health.c
 *	  How well a workspace is doing, from 0 to 100.
 *
 * A workspace in which nobody works has 0. Otherwise up to 60 points are for
 * the share of its people who logged in within inactive_after, 20 for the
 * share of its open invitations that are no older than three days, and 20 for
 * the last activity: all of them for the last week, falling evenly to none at
 * inactive_after. The application may put a function of its own in place of
 * the formula; it has to be a definer's with a search_path of its own, so that
 * it runs with the rights of its owner and reads what its owner meant, whoever
 * happens to look.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "funcapi.h"
#include "parser/parse_func.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "core/address.h"
#include "core/compat.h"
#include "core/errors.h"
#include "core/settings.h"
#include "tenant/tenant.h"
#include "workspace/workspace.h"

#define FRESH_DAYS 7
#define FEW 300 /* people: to look at each is cheaper than anything else */

/* By the kept counts (member/count.c): all, those whose last log-in was on a
 * day after that on which the threshold falls, and how many of the tenant had
 * theirs on that very day. */
SPI_QUERY(count_people,
		  "SELECT (SELECT coalesce(sum(n), 0)::integer"
		  " FROM usermgmt.member_count WHERE tenant_id = $1"
		  " AND workspace_id = $2 AND role = ANY ('{owner,admin,member}')"
		  " AND status = 'active') AS members,"
		  " (SELECT coalesce(sum(n), 0)::integer"
		  " FROM usermgmt.member_count WHERE tenant_id = $1"
		  " AND workspace_id = $2 AND role = 'any' AND status = 'active'"
		  " AND logged_in_on > ($3 AT TIME ZONE 'UTC')::date)"
		  " AS active_members, (SELECT coalesce(sum(n), 0)::integer"
		  " FROM usermgmt.member_count WHERE tenant_id = $1"
		  " AND workspace_id = '00000000-0000-0000-0000-000000000000'"
		  " AND role = 'any' AND status = 'active' AND logged_in_on"
		  " = ($3 AT TIME ZONE 'UTC')::date) AS of_that_day",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
/* What these counts leave open: those of that day who work here, and the first
 * who works here among those of the tenant who were seen last. */
SPI_QUERY(look_at_some,
		  "SELECT (SELECT count(*)::integer FROM usermgmt.membership AS m"
		  " WHERE m.tenant_id = $1 AND m.status = 'active'"
		  " AND m.last_login_at > $3 AND m.last_login_at < (($3"
		  " AT TIME ZONE 'UTC')::date + 1)::timestamp AT TIME ZONE 'UTC'"
		  " AND (SELECT true FROM usermgmt.workspace_member AS w"
		  " WHERE w.tenant_id = $1 AND w.workspace_id = $2"
		  " AND w.user_id = m.user_id)) AS active_members,"
		  " (SELECT m.last_seen_at FROM (SELECT user_id, last_seen_at"
		  " FROM usermgmt.membership WHERE tenant_id = $1"
		  " AND status = 'active' AND last_seen_at IS NOT NULL"
		  " ORDER BY last_seen_at DESC LIMIT 200) AS m"
		  " WHERE (SELECT true FROM usermgmt.workspace_member AS w"
		  " WHERE w.tenant_id = $1 AND w.workspace_id = $2"
		  " AND w.user_id = m.user_id) LIMIT 1) AS last_active_at",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
/* One by one, however many the planner expects in a workspace. */
SPI_QUERY(look_at_each,
		  "SELECT (count(*) FILTER (WHERE m.last_login_at > $3))::integer"
		  " AS active_members, max(m.last_seen_at) AS last_active_at"
		  " FROM usermgmt.workspace_member AS w CROSS JOIN LATERAL"
		  " (SELECT last_login_at, last_seen_at FROM usermgmt.membership"
		  " WHERE tenant_id = w.tenant_id AND user_id = w.user_id"
		  " AND status = 'active' OFFSET 0) AS m"
		  " WHERE w.tenant_id = $1 AND w.workspace_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(look_at_all,
		  "SELECT (count(*) FILTER (WHERE m.last_login_at > $3))::integer"
		  " AS active_members, max(m.last_seen_at) AS last_active_at"
		  " FROM usermgmt.workspace_member AS w"
		  " JOIN usermgmt.membership AS m ON m.tenant_id = w.tenant_id"
		  " AND m.user_id = w.user_id AND m.status = 'active'"
		  " WHERE w.tenant_id = $1 AND w.workspace_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(count_invitations,
		  "SELECT count(*)::integer AS open, (count(*) FILTER"
		  " (WHERE i.created_at <= $3 - INTERVAL '3 days'))::integer AS overdue"
		  " FROM usermgmt.invitation_workspace AS w CROSS JOIN LATERAL"
		  " (SELECT created_at FROM usermgmt.invitation"
		  " WHERE invitation_id = w.invitation_id"
		  " AND tenant_id = w.tenant_id OFFSET 0) AS i"
		  " WHERE w.tenant_id = $1 AND w.workspace_id = $2 AND w.is_open",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);

static bool asking; /* the application's function is at work */

typedef struct Facts
{
	int32 members;
	int32 active_members;
	int32 open_invitations;
	int32 overdue_invitations;
	TimestampTz last_active_at; /* 0: never */
	int32 inactive_after;		/* seconds */
} Facts;

/*
 * Of many: those of the day on which the threshold falls, and who was seen last
 * of all; false where that tells nothing, or is more than to look at all.
 */
static bool
look_at_few(Facts *facts, const pg_uuid_t *tenant_id,
			const pg_uuid_t *workspace_id, TimestampTz since, int32 of_that_day)
{
	if (facts->members <= Max(FEW, of_that_day))
		return false;
	spi_latest(look_at_some, ARG_UUID(*tenant_id), ARG_UUID(*workspace_id),
			   ARG_TIME(since));
	facts->active_members += row_int(spi_row(0), "active_members");
	return !row_is_null(spi_row(0), "last_active_at");
}

/*
 * The people: those with access, those who logged in since, and when one of
 * them was last seen. They are looked at one by one where they are few, or
 * fewer than the tenant's of one day, or where none was seen lately.
 */
static void
gather_people(Facts *facts, const pg_uuid_t *tenant_id,
			  const pg_uuid_t *workspace_id, TimestampTz since)
{
	spi_latest(count_people, ARG_UUID(*tenant_id), ARG_UUID(*workspace_id),
			   ARG_TIME(since));
	facts->members = row_int(spi_row(0), "members");
	facts->active_members = row_int(spi_row(0), "active_members");
	if (facts->members == 0)
		return;
	if (!look_at_few(facts, tenant_id, workspace_id, since,
					 row_int(spi_row(0), "of_that_day")))
	{
		if (facts->members <= FEW)
			spi_latest(look_at_each, ARG_UUID(*tenant_id),
					   ARG_UUID(*workspace_id), ARG_TIME(since));
		else
			spi_latest(look_at_all, ARG_UUID(*tenant_id),
					   ARG_UUID(*workspace_id), ARG_TIME(since));
		facts->active_members = row_int(spi_row(0), "active_members");
	}
	if (!row_is_null(spi_row(0), "last_active_at"))
		facts->last_active_at = row_time(spi_row(0), "last_active_at");
}

/*
 * The present facts; none of them touches what is over.
 */
static Facts
gather(const pg_uuid_t *tenant_id, const pg_uuid_t *workspace_id)
{
	TimestampTz now = GetCurrentTimestamp();
	Tenant tenant = tenant_read(tenant_id);
	Facts facts = {.inactive_after = setting_seconds(SETTING_INACTIVE_AFTER,
													 tenant.settings)};

	gather_people(&facts, tenant_id, workspace_id,
				  now - facts.inactive_after * USECS_PER_SEC);
	spi_latest(count_invitations, ARG_UUID(*tenant_id), ARG_UUID(*workspace_id),
			   ARG_TIME(now));
	facts.open_invitations = row_int(spi_row(0), "open");
	facts.overdue_invitations = row_int(spi_row(0), "overdue");
	return facts;
}

/*
 * 1 for an activity within the last week, 0 for one before inactive_after.
 */
static double
freshness(const Facts *facts)
{
	double fresh = FRESH_DAYS * (double) SECS_PER_DAY;
	double age;

	if (facts->last_active_at == 0)
		return 0;
	age = (GetCurrentTimestamp() - facts->last_active_at) /
		  (double) USECS_PER_SEC;
	if (age >= facts->inactive_after)
		return 0;
	if (age <= fresh)
		return 1;
	return 1 - (age - fresh) / (facts->inactive_after - fresh);
}

static int32
score(const Facts *facts)
{
	double prompt =
		facts->open_invitations == 0
			? 1
			: 1 - facts->overdue_invitations / (double) facts->open_invitations;

	if (facts->members == 0)
		return 0;
	return (int32) (60.0 * facts->active_members / facts->members +
					20 * prompt + 20 * freshness(facts) + 0.5);
}

/*
 * The application's function of this name, checked at every use: its
 * definition may have changed since it was set.
 */
static Oid
find_function(const char *name)
{
	Oid arguments[] = {UUIDOID};
	Oid function = LookupFuncName(stringToQualifiedNameList(name, NULL), 1,
								  arguments, false);
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool fits = false;

	if (HeapTupleIsValid(tuple))
	{
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);

		fits = form->prosecdef && form->prorettype == INT4OID &&
			   !form->proretset && form->prokind == PROKIND_FUNCTION &&
			   form->pronamespace != get_namespace_oid("usermgmt", false) &&
			   !heap_attisnull(tuple, Anum_pg_proc_proconfig, NULL);
		ReleaseSysCache(tuple);
	}
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("workspace_health_function names no function that "
						"would do"),
				 errhint("Make it a SECURITY DEFINER function with a "
						 "search_path of its own, which takes a uuid and "
						 "returns integer.")));
	return function;
}

/*
 * What the function says; whoever asks for a health within it has the
 * formula's.
 */
static int32
ask(FunctionCallInfo call)
{
	int32 volatile answer = 0;

	PG_TRY();
	{
		asking = true;
		answer = DatumGetInt32(FunctionCallInvoke(call));
	}
	PG_FINALLY();
	{
		asking = false;
	}
	PG_END_TRY();
	return answer;
}

/*
 * The health: the application's word, held between 0 and 100, or the formula.
 * False when the application has none.
 */
static bool
find_health(const pg_uuid_t *workspace_id, const Facts *facts, int32 *health)
{
	LOCAL_FCINFO(call, 1);
	FmgrInfo function;

	*health = score(facts);
	if (workspace_health_function[0] == '\0' || asking)
		return true;
	fmgr_info(find_function(workspace_health_function), &function);
	InitFunctionCallInfoData(*call, &function, 1, InvalidOid, NULL, NULL);
	call->args[0].value = UUIDPGetDatum(workspace_id);
	call->args[0].isnull = false;
	*health = ask(call);
	*health = Min(Max(*health, 0), 100);
	return !call->isnull;
}

/*
 * Whether the acting user may know about the workspace: its people may, and
 * the tenant's admins, also of an archived one.
 */
static bool
is_visible(const pg_uuid_t *workspace_id, pg_uuid_t *tenant_id)
{
	const Actor *actor = actor_current();

	if (!caller_tenant(tenant_id))
		return false;
	if (actor == NULL || actor->role >= ROLE_ADMIN)
		return workspace_exists(tenant_id, workspace_id);
	return workspace_role_lookup(tenant_id, workspace_id, &actor->user_id) !=
		   WORKSPACE_NONE;
}

PG_FUNCTION_INFO_V1(workspace_facts);
Datum
workspace_facts(PG_FUNCTION_ARGS)
{
	bool nulls[6] = {false};
	Datum values[6];
	pg_uuid_t tenant_id;
	TupleDesc desc;
	Facts facts;
	int32 health;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "function does not return a row");
	SPI_connect();
	if (!is_visible(PG_GETARG_UUID_P(0), &tenant_id))
	{
		SPI_finish();
		PG_RETURN_NULL();
	}
	facts = gather(&tenant_id, PG_GETARG_UUID_P(0));
	nulls[5] = !find_health(PG_GETARG_UUID_P(0), &facts, &health);
	SPI_finish();
	values[0] = Int32GetDatum(facts.members);
	values[1] = Int32GetDatum(facts.active_members);
	values[2] = Int32GetDatum(facts.open_invitations);
	values[3] = Int32GetDatum(facts.overdue_invitations);
	values[4] = TimestampTzGetDatum(facts.last_active_at);
	nulls[4] = facts.last_active_at == 0;
	values[5] = Int32GetDatum(health);
	return HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

PG_FUNCTION_INFO_V1(workspace_health);
Datum
workspace_health(PG_FUNCTION_ARGS)
{
	Caller caller = caller_require(ROLE_MEMBER);
	bool known;
	Facts facts;
	int32 health;

	if (PG_ARGISNULL(0))
		refuse_null("workspace_id");
	SPI_connect();
	if (!is_visible(PG_GETARG_UUID_P(0), &caller.tenant_id))
		refuse_workspace();
	facts = gather(&caller.tenant_id, PG_GETARG_UUID_P(0));
	known = find_health(PG_GETARG_UUID_P(0), &facts, &health);
	SPI_finish();
	if (!known)
		PG_RETURN_NULL();
	PG_RETURN_INT32(health);
}
