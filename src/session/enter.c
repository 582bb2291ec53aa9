/*
 * enter.c
 *	  Sessions without a password: in another tenant of the same person, or for
 *	  a service that has checked the person elsewhere.
 */
#include "postgres.h"

#include "audit/audit.h"
#include "core/address.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/uuid.h"
#include "member/member.h"
#include "session/session.h"

SPI_QUERY(find_origin,
		  "SELECT ip, user_agent FROM usermgmt.session"
		  " WHERE session_id = $1 AND tenant_id = $2",
		  UUIDOID, UUIDOID);

/*
 * Open a session in this tenant, under its lock and the account's; a closed
 * account, a membership that lets nobody in or a suspended tenant is an
 * outcome. acting is the person, or NULL where somebody else opens it.
 */
static void
enter(const pg_uuid_t *tenant_id, Account *account, const pg_uuid_t *acting,
	  const Origin *origin, SessionStart *start)
{
	Tenant *tenant = palloc(sizeof(Tenant));
	AuditOperation operation = {.tenant_id = tenant_id,
								.user_id = acting,
								.user_email =
									acting != NULL ? account->email : NULL,
								.ip = origin->ip};

	*tenant = tenant_lock_shared(tenant_id);
	start->outcome = "deactivated";
	if (!account_lock_unchanged(account, NULL))
		return;
	audit_operation(&operation);
	if (!tenant->suspended)
		session_open(tenant, account, origin, start);
	audit_operation_end();
}

static void
refuse_tenant(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
					errmsg("the person belongs to no such tenant")));
}

/*
 * The new session comes from where the present one does and lives no longer;
 * the present one goes on.
 */
PG_FUNCTION_INFO_V1(switch_tenant);
Datum
switch_tenant(PG_FUNCTION_ARGS)
{
	const Actor *actor = actor_require();
	char *wanted = argument_text(fcinfo, 0);
	SessionStart start = {0};
	Account *account = palloc(sizeof(Account));
	pg_uuid_t *tenant_id = palloc(sizeof(pg_uuid_t));
	Origin origin = {0};

	if (wanted == NULL)
		refuse_null("tenant");
	SPI_connect();
	begin_writing(fcinfo);
	if (!tenant_find(wanted, tenant_id) ||
		!account_read(&actor->user_id, account) ||
		!membership_exists(tenant_id, &actor->user_id))
		refuse_tenant();
	if (spi_latest(find_origin, ARG_UUID(actor->session_id),
				   ARG_UUID(actor->tenant_id)) > 0)
	{
		origin.ip = row_text_or_null(spi_row(0), "ip");
		origin.user_agent = row_text_or_null(spi_row(0), "user_agent");
	}
	origin.not_after = actor->expires_at;
	enter(tenant_id, account, &account->user_id, &origin, &start);
	if (actor_verify() == NULL)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_AUTHENTICATED),
						errmsg("not authenticated"),
						errhint("The session has ended; log in again.")));
	return session_start_result(fcinfo, &start);
}

/*
 * Whoever calls this vouches for the person.
 */
PG_FUNCTION_INFO_V1(start_session);
Datum
start_session(PG_FUNCTION_ARGS)
{
	Caller caller = caller_require(ROLE_OWNER);
	Origin origin = origin_arguments(fcinfo, 1, 2);
	SessionStart start = {0};
	Account *account = palloc(sizeof(Account));
	pg_uuid_t *tenant_id = palloc(sizeof(pg_uuid_t));
	pg_uuid_t user_id;

	if (!caller.is_operator)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("only an operator without a session starts one "
							   "for somebody else"),
						errhint("Call usermgmt.end_use() first.")));
	user_id = argument_uuid(fcinfo, 0, "user_id");
	*tenant_id = caller.tenant_id;
	SPI_connect();
	begin_writing(fcinfo);
	membership_require(tenant_id, &user_id);
	if (!account_read(&user_id, account))
		refuse_tenant();
	enter(tenant_id, account, NULL, &origin, &start);
	return session_start_result(fcinfo, &start);
}
