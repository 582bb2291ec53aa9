/*
 * domain.c
 *	  Which e-mail domains may be invited; none listed allows all.
 */
#include "postgres.h"

#include "core/address.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/spi_query.h"
#include "member/member.h"
#include "tenant/tenant.h"

SPI_QUERY(insert_domain,
		  "INSERT INTO usermgmt.invite_domain (tenant_id, domain)"
		  " VALUES ($1, $2) ON CONFLICT DO NOTHING",
		  UUIDOID, TEXTOID);
SPI_QUERY(delete_domain,
		  "DELETE FROM usermgmt.invite_domain"
		  " WHERE tenant_id = $1 AND domain = $2",
		  UUIDOID, TEXTOID);
/* A listed domain admits itself alone; with a leading dot, its subdomains. */
SPI_QUERY(refuse_domain,
		  "SELECT count(*) > 0 AND NOT coalesce(bool_or(domain = $2"
		  " OR (domain LIKE '.%' AND right($2, length(domain)) = domain)),"
		  " false) AS refused FROM usermgmt.invite_domain"
		  " WHERE tenant_id = $1",
		  UUIDOID, TEXTOID);

void
tenant_require_domain(const Tenant *tenant, const Address *address)
{
	spi_latest(refuse_domain, ARG_UUID(tenant->tenant_id),
			   ARG_TEXT(strrchr(address->canonical, '@') + 1));
	if (row_bool(spi_row(0), "refused"))
		ereport(ERROR,
				(errcode(ERRCODE_UM_DOMAIN_REFUSED),
				 errmsg("the e-mail domain is not allowed in this tenant"),
				 errhint("usermgmt.invite_domains lists the ones that "
						 "are.")));
}

static uint64
change_domain(FunctionCallInfo fcinfo, SpiQuery *statement)
{
	char *domain = domain_require(argument_text(fcinfo, 0), "domain");
	Caller caller = caller_require(ROLE_ADMIN);
	SpiArg args[] = {ARG_UUID(caller.tenant_id), ARG_TEXT(domain)};
	uint64 changed;

	SPI_connect();
	begin_writing(fcinfo);
	caller_lock(&caller, ROLE_ADMIN);
	changed = spi_execute(statement, args, SPI_VIEW_COMMAND);
	SPI_finish();
	return changed;
}

PG_FUNCTION_INFO_V1(allow_invite_domain);
Datum
allow_invite_domain(PG_FUNCTION_ARGS)
{
	change_domain(fcinfo, &insert_domain);
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(disallow_invite_domain);
Datum
disallow_invite_domain(PG_FUNCTION_ARGS)
{
	if (change_domain(fcinfo, &delete_domain) == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
						errmsg("the domain is not listed"),
						errhint("usermgmt.invite_domains shows which are.")));
	PG_RETURN_VOID();
}
