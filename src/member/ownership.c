/*
 * ownership.c
 *	  Hand the tenant to another member.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "audit/audit.h"
#include "core/address.h"
#include "core/errors.h"
#include "core/spi_query.h"
#include "core/uuid.h"
#include "member/target.h"

SPI_QUERY(find_primary,
		  "SELECT user_id FROM usermgmt.membership"
		  " WHERE tenant_id = $1 AND is_primary_owner",
		  UUIDOID);
SPI_QUERY(take_primary,
		  "UPDATE usermgmt.membership SET role = 'owner',"
		  " is_primary_owner = true WHERE tenant_id = $1 AND user_id = $2",
		  UUIDOID, UUIDOID);
SPI_QUERY(step_down,
		  "UPDATE usermgmt.membership SET role = 'admin'"
		  " WHERE tenant_id = $1 AND user_id = $2",
		  UUIDOID, UUIDOID);

pg_uuid_t
member_primary(const pg_uuid_t *tenant_id)
{
	spi_run(find_primary, ARG_UUID(*tenant_id));
	return row_uuid(spi_row(0), "user_id");
}

/*
 * The primary owner hands over and becomes admin; the tenant has an owner and
 * one primary owner throughout.
 */
PG_FUNCTION_INFO_V1(transfer_ownership);
Datum
transfer_ownership(PG_FUNCTION_ARGS)
{
	char *reason = plain_text(argument_text(fcinfo, 1), "reason", 500, true);
	pg_uuid_t primary;
	Target target;

	SPI_connect();
	target = member_lock_target(fcinfo, false);
	primary = member_primary(&target.caller.tenant_id);
	if (target.caller.actor != NULL &&
		!uuid_equal(&target.caller.actor->user_id, &primary))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("only the primary owner hands the tenant over"),
						errhint("usermgmt.members shows who that is.")));
	if (uuid_equal(&target.user_id, &primary))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the person is the primary owner already")));
	if (!target.active)
		member_refuse_inactive();
	audit_operation(&(AuditOperation){
		.reason = reason != NULL ? reason : "ownership transferred"});
	spi_run(take_primary, ARG_UUID(target.caller.tenant_id),
			ARG_UUID(target.user_id));
	spi_run(step_down, ARG_UUID(target.caller.tenant_id), ARG_UUID(primary));
	if (target.role != ROLE_OWNER)
		member_notify(&target.tenant, &target.user_id, "role_changed");
	member_notify(&target.tenant, &primary, "role_changed");
	return member_show(fcinfo, &target);
}
