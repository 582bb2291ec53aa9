/*
 * sign_up.c
 *	  Found a tenant of one's own, where the server lets anybody.
 *
 * Whoever has an account proves it as at a log-in. A new one begins unproven: a
 * tenant that names its address gets nothing from that until a mailed link was
 * followed, and its further tenants send it no mail.
 */
#include "postgres.h"

#include "audit/audit.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/secret.h"
#include "core/settings.h"
#include "core/uuid.h"
#include "session/joiner.h"

static void
require_sign_up(void)
{
	if (!allow_sign_up)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("sign-up is switched off"),
						errhint("The setting is usermgmt.allow_sign_up."),
						errhidestmt(true)));
}

/*
 * Make the tenant and enter it; the account is settled first.
 */
static void
enter_new_tenant(const pg_uuid_t *tenant_id, const char *slug,
				 const char *tenant_name, Joiner *joiner, const Origin *origin,
				 SessionStart *start)
{
	Tenant *tenant = palloc(sizeof(Tenant));

	*tenant = tenant_found(tenant_id, slug, tenant_name,
						   &joiner->account.user_id, true);
	session_open(tenant, &joiner->account, origin, start);
	if (joiner->account.verified || !joiner->known)
		password_mail("welcome", tenant, &joiner->account,
					  &joiner->account.user_id, 0);
}

static Datum
sign_up_body(PG_FUNCTION_ARGS)
{
	char *slug = slug_require(argument_text(fcinfo, 0), "tenant_slug");
	char *tenant_name =
		plain_text_require(argument_text(fcinfo, 1), "tenant_name", 200);
	Address address = address_require(argument_text(fcinfo, 2), "email");
	char *name = plain_text(argument_text(fcinfo, 4), "name", 200, false);
	Joiner *joiner = palloc0(sizeof(Joiner));
	Origin origin = origin_arguments(fcinfo, 5, 6);
	Tenant named = {.slug = slug, .name = tenant_name};
	SessionStart start = {0};
	pg_uuid_t tenant_id = uuid_make(GetCurrentTimestamp());
	AuditOperation operation = {
		.tenant_id = &tenant_id, .user_email = address.typed, .ip = origin.ip};
	pg_uuid_t taken;
	Password password;
	bool proven;

	require_sign_up();
	SPI_connect();
	begin_writing(fcinfo);
	if (tenant_find(slug, &taken))
		refuse_slug();
	joiner->address = &address;
	password = password_argument(fcinfo, 3);
	proven = joiner_prove(joiner, name, &named, &password, &start);
	password_wipe(&password);
	if (!proven)
		return session_start_result(fcinfo, &start);
	audit_operation(&operation);
	switch (joiner_settle(joiner, name))
	{
		case JOINER_SETTLED:
			operation.user_id = &joiner->account.user_id;
			audit_operation(&operation);
			enter_new_tenant(&tenant_id, slug, tenant_name, joiner, &origin,
							 &start);
			break;
		case JOINER_CHANGED:
			start.outcome = "invalid_credentials";
			break;
		case JOINER_TAKEN:
			joiner_refuse_taken();
	}
	audit_operation_end();
	return session_start_result(fcinfo, &start);
}

PG_FUNCTION_INFO_V1(sign_up);
Datum
sign_up(PG_FUNCTION_ARGS)
{
	return with_hidden_statement(sign_up_body, fcinfo);
}
