/*
 * create.c
 *	  Found a tenant: its first owner, and the mail that lets the owner in.
 */
#include "postgres.h"

#include "account/account.h"
#include "audit/audit.h"
#include "core/address.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/uuid.h"
#include "member/member.h"
#include "password/password.h"
#include "tenant/tenant.h"

SPI_QUERY(insert_tenant,
		  "INSERT INTO usermgmt.tenant (tenant_id, slug, name, state,"
		  " created_at) VALUES ($1, $2, $3, 'creating', $4)"
		  " ON CONFLICT (slug) DO NOTHING",
		  UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);
SPI_QUERY(open_tenant,
		  "UPDATE usermgmt.tenant SET state = 'active' WHERE tenant_id = $1",
		  UUIDOID);
SPI_QUERY(show_tenant,
		  "SELECT * FROM usermgmt.tenant_detail WHERE tenant_id = $1", UUIDOID);

/*
 * The tenant opens once it has its owner.
 */
Tenant
tenant_found(const pg_uuid_t *tenant_id, const char *slug, const char *name,
			 const pg_uuid_t *owner_id, bool proven)
{
	if (spi_run(insert_tenant, ARG_UUID(*tenant_id), ARG_TEXT(slug),
				ARG_TEXT(name), ARG_TIME(GetCurrentTimestamp())) == 0)
		refuse_slug();
	membership_found(tenant_id, owner_id, proven);
	spi_run(open_tenant, ARG_UUID(*tenant_id));
	return tenant_read(tenant_id);
}

PG_FUNCTION_INFO_V1(create_tenant);
Datum
create_tenant(PG_FUNCTION_ARGS)
{
	pg_uuid_t tenant_id = uuid_make(GetCurrentTimestamp());
	char *slug = slug_require(argument_text(fcinfo, 0), "slug");
	char *name = plain_text_require(argument_text(fcinfo, 1), "name", 200);
	Address address = address_require(argument_text(fcinfo, 2), "owner_email");
	char *owner_name =
		plain_text(argument_text(fcinfo, 3), "owner_name", 200, false);
	Account owner;
	Tenant tenant;
	AuditOperation operation = {.tenant_id = &tenant_id};

	SPI_connect();
	begin_writing(fcinfo);
	audit_operation(&operation);
	owner = account_find_or_create(&address, owner_name);
	tenant = tenant_found(&tenant_id, slug, name, &owner.user_id, false);
	password_welcome(&tenant, &owner);
	audit_operation_end();
	spi_run(show_tenant, ARG_UUID(tenant_id));
	return spi_finish_with_row(fcinfo);
}
