/*
 * change.c
 *	  What an admin may set for the tenant, and what only an operator may do.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "audit/audit.h"
#include "core/address.h"
#include "core/attempt.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/settings.h"
#include "core/spi_query.h"
#include "member/member.h"
#include "outbox/brand.h"
#include "tenant/tenant.h"

SPI_QUERY(update_details,
		  "UPDATE usermgmt.tenant SET name = coalesce($2, name),"
		  " slug = coalesce($3, slug), branding = coalesce($4, branding)"
		  " WHERE tenant_id = $1",
		  UUIDOID, TEXTOID, TEXTOID, JSONBOID);
SPI_QUERY(put_setting,
		  "UPDATE usermgmt.tenant SET settings = settings"
		  " || pg_catalog.jsonb_build_object($2, $3) WHERE tenant_id = $1",
		  UUIDOID, TEXTOID, TEXTOID);
SPI_QUERY(drop_setting,
		  "UPDATE usermgmt.tenant SET settings = settings - $2"
		  " WHERE tenant_id = $1",
		  UUIDOID, TEXTOID);
SPI_QUERY(set_suspension,
		  "UPDATE usermgmt.tenant SET suspended_at = $2, suspend_reason = $3"
		  " WHERE tenant_id = $1",
		  UUIDOID, TIMESTAMPTZOID, TEXTOID);
SPI_QUERY(show_tenant,
		  "SELECT * FROM usermgmt.tenant_detail WHERE tenant_id = $1", UUIDOID);

/*
 * The caller, with the tenant's row and the own membership locked. The SPI
 * connection is open afterwards.
 */
static Caller
begin_change(FunctionCallInfo fcinfo, MemberRole least, Tenant *tenant)
{
	Caller caller = caller_require(least);

	SPI_connect();
	begin_writing(fcinfo);
	*tenant = tenant_lock(&caller.tenant_id);
	caller_lock(&caller, least);
	return caller;
}

static Datum
show(FunctionCallInfo fcinfo, const Caller *caller)
{
	audit_operation_end();
	spi_run(show_tenant, ARG_UUID(caller->tenant_id));
	return spi_finish_with_row(fcinfo);
}

/* What is to be written of a tenant; NULL leaves it as it is. */
typedef struct Details
{
	pg_uuid_t tenant_id;
	char *name;
	char *slug;
	Jsonb *branding;
} Details;

static void
write_details(void *arg)
{
	Details *details = arg;

	spi_run(update_details, ARG_UUID(details->tenant_id),
			ARG_TEXT(details->name), ARG_TEXT(details->slug),
			ARG_JSONB(details->branding));
}

PG_FUNCTION_INFO_V1(update_tenant);
Datum
update_tenant(PG_FUNCTION_ARGS)
{
	char *name = argument_text(fcinfo, 0);
	char *slug = argument_text(fcinfo, 1);
	Jsonb *branding = object_argument(fcinfo, 2, "branding");
	Tenant tenant;
	Caller caller;

	if (name != NULL)
		name = plain_text_require(name, "name", 200);
	if (slug != NULL)
		slug = slug_require(slug, "slug");
	brand_check(branding);
	caller = begin_change(fcinfo, ROLE_ADMIN, &tenant);
	if (!attempt_unless_taken(
			write_details, &(Details){caller.tenant_id, name, slug, branding}))
		refuse_slug();
	return show(fcinfo, &caller);
}

/*
 * Links and senders of mails are not the tenant's to choose: whoever points a
 * reset link at another site owns the account of whoever follows it.
 */
static void
check_keeper(const Caller *caller, TenantSetting setting)
{
	SettingKeeper keeper = setting_keeper(setting);

	if (keeper == KEPT_BY_OWNER && caller->role < ROLE_OWNER)
		refuse_role(ROLE_OWNER);
	if (keeper == KEPT_BY_OPERATOR && !caller->is_operator)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("only an operator sets %s", setting_name(setting)),
				 errhint("Ask whoever runs the server.")));
}

PG_FUNCTION_INFO_V1(set_tenant_setting);
Datum
set_tenant_setting(PG_FUNCTION_ARGS)
{
	TenantSetting setting = setting_require(argument_text(fcinfo, 0));
	char *value = argument_text(fcinfo, 1);
	Tenant tenant;
	Caller caller;

	if (value == NULL)
		refuse_null("value");
	value = setting_normalize(setting, value);
	caller = begin_change(fcinfo, ROLE_ADMIN, &tenant);
	check_keeper(&caller, setting);
	spi_run(put_setting, ARG_UUID(caller.tenant_id),
			ARG_TEXT(setting_name(setting)), ARG_TEXT(value));
	SPI_finish();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(reset_tenant_setting);
Datum
reset_tenant_setting(PG_FUNCTION_ARGS)
{
	TenantSetting setting = setting_require(argument_text(fcinfo, 0));
	Tenant tenant;
	Caller caller = begin_change(fcinfo, ROLE_ADMIN, &tenant);

	check_keeper(&caller, setting);
	spi_run(drop_setting, ARG_UUID(caller.tenant_id),
			ARG_TEXT(setting_name(setting)));
	SPI_finish();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(tenant_setting);
Datum
tenant_setting(PG_FUNCTION_ARGS)
{
	TenantSetting setting = setting_require(argument_text(fcinfo, 0));
	Caller caller = caller_require(ROLE_MEMBER);
	Tenant tenant;
	Datum shown;

	SPI_connect();
	tenant = tenant_read(&caller.tenant_id);
	shown = SPI_datumTransfer(
		CStringGetTextDatum(setting_show(setting, tenant.settings)), false, -1);
	SPI_finish();
	PG_RETURN_DATUM(shown);
}

/*
 * Suspend or resume the operator's tenant; its trigger ends the sessions.
 */
static Datum
change_suspension(FunctionCallInfo fcinfo, bool suspend, char *reason)
{
	Tenant tenant;
	Caller caller = begin_change(fcinfo, ROLE_OWNER, &tenant);

	if (!caller.is_operator)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("only an operator suspends or resumes a "
							   "tenant")));
	if (tenant.suspended == suspend)
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg(suspend ? "the tenant is suspended already"
									   : "the tenant is not suspended")));
	audit_operation(&(AuditOperation){.reason = reason});
	spi_run(set_suspension, ARG_UUID(caller.tenant_id),
			suspend ? ARG_TIME(GetCurrentTimestamp())
					: ARG_NULL(TIMESTAMPTZOID),
			ARG_TEXT(reason));
	return show(fcinfo, &caller);
}

PG_FUNCTION_INFO_V1(suspend_tenant);
Datum
suspend_tenant(PG_FUNCTION_ARGS)
{
	return change_suspension(
		fcinfo, true,
		plain_text_require(argument_text(fcinfo, 0), "reason", 500));
}

PG_FUNCTION_INFO_V1(resume_tenant);
Datum
resume_tenant(PG_FUNCTION_ARGS)
{
	return change_suspension(fcinfo, false, NULL);
}
