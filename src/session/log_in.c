/*
 * log_in.c
 *	  Sign in with address and password.
 *
 * Bad credentials are an outcome, never an error: an error would roll back
 * the count of failures and write the statement to the log. An unknown
 * address costs the same hash and writes the same row. The hash is compared
 * before any lock; account and membership are checked again under the lock,
 * so neither a new password nor a deactivation that commits meanwhile lets an
 * old one in. Locks: tenant, account, membership, session.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/json.h"

#include "audit/audit.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/secret.h"
#include "core/spi_query.h"
#include "core/uuid.h"
#include "session/log_in.h"
#include "session/throttle.h"

SPI_QUERY(list_homes,
		  "SELECT t.tenant_id, t.slug, t.name, m.role, m.status = 'active'"
		  " AND t.suspended_at IS NULL AND ($3 OR NOT m.needs_verified)"
		  " AS admitted"
		  " FROM usermgmt.membership AS m JOIN usermgmt.tenant AS t"
		  " USING (tenant_id) WHERE m.user_id = $1"
		  " AND ($2 IS NULL OR t.tenant_id = $2) ORDER BY t.slug",
		  UUIDOID, UUIDOID, BOOLOID);

/* The tenants that a person could enter. */
typedef struct Homes
{
	int count;	  /* memberships, whatever their state */
	int admitted; /* of those, the ones that let the person in */
	pg_uuid_t tenant_id;
	char *list; /* JSON */
} Homes;

static Homes
find_homes(const Account *account, const pg_uuid_t *tenant_id)
{
	Homes homes = {.count = spi_latest(list_homes, ARG_UUID(account->user_id),
									   ARG_OPT_UUID(tenant_id),
									   ARG_BOOL(account->verified))};
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < homes.count; i++)
	{
		SpiRow row = spi_row(i);

		if (!row_bool(row, "admitted"))
			continue;
		homes.tenant_id = row_uuid(row, "tenant_id");
		appendStringInfo(&list,
						 "%s{\"tenant_id\": \"%s\", \"slug\": \"%s\","
						 " \"role\": \"%s\", \"name\": ",
						 homes.admitted++ > 0 ? ", " : "",
						 uuid_text(&homes.tenant_id), row_text(row, "slug"),
						 row_text(row, "role"));
		escape_json(&list, row_text(row, "name"));
		appendStringInfoChar(&list, '}');
	}
	homes.list = psprintf("{\"tenants\": [%s]}", list.data);
	return homes;
}

/*
 * Open the session under locks, if nothing has changed since the password was
 * compared.
 */
static void
enter(Account *account, const char *rehashed, const pg_uuid_t *tenant_id,
	  const Origin *origin, SessionStart *start)
{
	Tenant *tenant = palloc(sizeof(Tenant));

	*tenant = tenant_lock_shared(tenant_id);
	if (!account_lock_unchanged(account, rehashed))
	{
		start->outcome = "invalid_credentials";
		return;
	}
	audit_operation(&(AuditOperation){.tenant_id = tenant_id,
									  .user_id = &account->user_id,
									  .user_email = account->email,
									  .ip = origin->ip});
	if (tenant->suspended || !session_open(tenant, account, origin, start))
		start->outcome = "deactivated";
	audit_operation_end();
}

/*
 * The password was right: choose the tenant and enter it.
 */
static void
admit(Account *account, const char *rehashed, const char *tenant,
	  const Origin *origin, SessionStart *start)
{
	pg_uuid_t wanted;
	Homes homes;

	if (tenant != NULL && !tenant_find(tenant, &wanted))
	{
		start->outcome = "invalid_credentials";
		return;
	}
	homes = find_homes(account, tenant != NULL ? &wanted : NULL);
	if (homes.count == 0)
		start->outcome = "invalid_credentials";
	else if (homes.admitted == 0)
		start->outcome = "deactivated";
	else if (homes.admitted > 1)
	{
		start->outcome = "choose_tenant";
		start->detail = homes.list;
	}
	else
		enter(account, rehashed, &homes.tenant_id, origin, start);
}

PasswordVerdict
log_in_verify(const Address *address, const Account *account,
			  const Password *password, SessionStart *start)
{
	PasswordVerdict verdict;
	int wait;

	if (!throttle_begin(address))
	{
		start->outcome = "busy";
		return PASSWORD_BUSY;
	}
	wait = throttle_wait(address);
	if (wait > 0)
	{
		start->outcome = "try_later";
		start->detail = psprintf("{\"retry_after\": %d}", wait);
		return PASSWORD_WRONG;
	}
	verdict = password_verify(password,
							  account != NULL ? account->password_hash : NULL);
	if (verdict == PASSWORD_BUSY)
		start->outcome = "busy";
	else if (verdict == PASSWORD_WRONG)
	{
		throttle_failure(address);
		start->outcome = "invalid_credentials";
	}
	if (verdict != PASSWORD_WRONG)
		throttle_end(address);
	return verdict;
}

static Datum
log_in_body(PG_FUNCTION_ARGS)
{
	char *email = argument_text(fcinfo, 0);
	Origin origin = origin_arguments(fcinfo, 3, 4);
	SessionStart start = {0};
	PasswordVerdict verdict;
	Password password;
	Address address;
	Account account;
	bool known;

	SPI_connect();
	begin_writing(fcinfo);
	password = password_argument(fcinfo, 1);
	if (email == NULL || !address_parse(email, &address))
	{
		password_wipe(&password);
		start.outcome = "invalid_credentials";
		return session_start_result(fcinfo, &start);
	}
	known = account_find(&address, &account);
	verdict =
		log_in_verify(&address, known ? &account : NULL, &password, &start);
	if (verdict == PASSWORD_RIGHT || verdict == PASSWORD_RIGHT_REHASH)
	{
		char *rehashed = verdict == PASSWORD_RIGHT_REHASH
							 ? password_rehash(&password)
							 : NULL;

		admit(&account, rehashed, argument_text(fcinfo, 2), &origin, &start);
	}
	password_wipe(&password);
	return session_start_result(fcinfo, &start);
}

PG_FUNCTION_INFO_V1(log_in);
Datum
log_in(PG_FUNCTION_ARGS)
{
	return with_hidden_statement(log_in_body, fcinfo);
}
