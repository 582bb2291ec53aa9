/*
 * permission.c
 *	  What a role may do, as data, and who sees the list of members.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "core/address.h"
#include "core/settings.h"
#include "core/spi_query.h"
#include "member/member.h"
#include "tenant/tenant.h"

SPI_QUERY(find_permission,
		  "SELECT EXISTS (SELECT FROM usermgmt.role_permission AS r"
		  " WHERE r.permission = p.permission AND r.role = $2) AS granted"
		  " FROM usermgmt.permission AS p WHERE p.permission = $1",
		  TEXTOID, TEXTOID);

/*
 * An operator has every permission in the selected tenant, as every role.
 */
PG_FUNCTION_INFO_V1(has_permission);
Datum
has_permission(PG_FUNCTION_ARGS)
{
	char *permission = argument_text(fcinfo, 0);
	const Actor *actor = actor_current();
	pg_uuid_t tenant_id;
	bool granted;

	if (permission == NULL)
		refuse_null("permission");
	SPI_connect();
	if (spi_read(
			find_permission, ARG_TEXT(permission),
			ARG_TEXT(role_name(actor != NULL ? actor->role : ROLE_OWNER))) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is no such permission"),
						errhint("usermgmt.role_matrix lists them.")));
	granted = row_bool(spi_row(0), "granted");
	SPI_finish();
	PG_RETURN_BOOL(caller_tenant(&tenant_id) && (granted || actor == NULL));
}

/*
 * The tenant whose members the caller may list: an admin always, a member
 * where the tenant allows it.
 */
PG_FUNCTION_INFO_V1(member_list_tenant);
Datum
member_list_tenant(PG_FUNCTION_ARGS)
{
	const Actor *actor = actor_current();
	pg_uuid_t *tenant_id = palloc(sizeof(pg_uuid_t));
	bool allowed;

	if (!caller_tenant(tenant_id))
		PG_RETURN_NULL();
	if (actor != NULL && actor->role < ROLE_ADMIN)
	{
		SPI_connect();
		allowed = setting_on(SETTING_MEMBERS_SEE_MEMBERS,
							 tenant_read(tenant_id).settings);
		SPI_finish();
		if (!allowed)
			PG_RETURN_NULL();
	}
	PG_RETURN_UUID_P(tenant_id);
}
