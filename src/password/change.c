/*
 * change.c
 *	  Choose a new password with the present one, and look at a reset link.
 *
 * Both hashes are made before the first lock; under it the account has to be as
 * it was. The other sessions and the open reset links end, the bound session
 * goes on.
 */
#include "postgres.h"

#include "account/account.h"
#include "audit/audit.h"
#include "core/actor.h"
#include "core/compat.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/secret.h"
#include "member/member.h"
#include "password/password.h"
#include "session/throttle.h"
#include "token/token.h"

SPI_QUERY(preview_reset,
		  "SELECT a.email, CASE WHEN r.state <> 'open' THEN r.state"
		  " WHEN r.expires_at <= $4 THEN 'expired' ELSE 'pending' END"
		  " AS status, r.expires_at FROM usermgmt.password_reset AS r"
		  " JOIN usermgmt.account AS a USING (user_id)"
		  " WHERE r.reset_id = $1 AND r.tenant_id = $2 AND r.generation = $3",
		  UUIDOID, UUIDOID, INT4OID, TIMESTAMPTZOID);

pg_noreturn static void refuse_busy(int seconds);

static void
refuse_busy(int seconds)
{
	ereport(ERROR,
			(errcode(ERRCODE_UM_BUSY),
			 errmsg("the password can not be compared now"),
			 errhint_plural("Try again in %d second.",
							"Try again in %d seconds.", seconds, seconds),
			 errhidestmt(true)));
}

void
password_prove(const Account *account, const Password *password)
{
	Address address = address_require(account->email, "email");
	int wait = throttle_begin(&address) ? throttle_wait(&address) : 2;

	if (wait > 0)
		refuse_busy(wait);
	switch (password_verify(password, account->password_hash))
	{
		case PASSWORD_RIGHT:
		case PASSWORD_RIGHT_REHASH:
			throttle_end(&address);
			return;
		case PASSWORD_BUSY:
			refuse_busy(2);
		case PASSWORD_WRONG:
			throttle_failure_apart(&account->user_id, &address);
			ereport(ERROR, (errcode(ERRCODE_UM_WRONG_PASSWORD),
							errmsg("the present password is another one"),
							errhint("A forgotten one is replaced by a link "
									"from usermgmt.request_password_reset()."),
							errhidestmt(true)));
	}
}

static Datum
change_password_body(PG_FUNCTION_ARGS)
{
	const Actor *actor = actor_require();
	Caller caller = caller_require(ROLE_MEMBER);
	Account account;
	Tenant tenant;
	Password present;
	Password chosen;
	char *stored;

	SPI_connect();
	begin_writing(fcinfo);
	tenant = tenant_read(&caller.tenant_id);
	if (!account_read(&actor->user_id, &account))
		refuse_token();
	present = password_argument(fcinfo, 0);
	chosen = password_argument(fcinfo, 1);
	password_prove(&account, &present);
	password_check(&chosen, account.email, account.name, &tenant);
	stored = password_hash(&chosen);
	password_wipe(&present);
	password_wipe(&chosen);
	if (!account_lock(&account.user_id) ||
		!account_lock_unchanged(&account, NULL))
		refuse_concurrent("change of the account");
	caller_lock(&caller, ROLE_MEMBER);
	password_reset_void(&account.user_id, "the password was changed");
	account_change_password(&account.user_id, stored, &actor->session_id);
	throttle_clear(account.email);
	password_mail("password_changed", &tenant, &account, &account.user_id, 0);
	SPI_finish();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(change_password);
Datum
change_password(PG_FUNCTION_ARGS)
{
	return with_hidden_statement(change_password_body, fcinfo);
}

static Datum
preview_password_reset_body(PG_FUNCTION_ARGS)
{
	LinkToken token;

	SPI_connect();
	token = link_token_parse(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0),
							 LINK_PASSWORD_RESET, LINK_PASSWORD_RESET);
	if (spi_latest(preview_reset, ARG_UUID(token.object_id),
				   ARG_UUID(token.tenant_id), ARG_INT(token.generation),
				   ARG_TIME(GetCurrentTimestamp())) == 0)
		refuse_token();
	return spi_finish_with_row(fcinfo);
}

PG_FUNCTION_INFO_V1(preview_password_reset);
Datum
preview_password_reset(PG_FUNCTION_ARGS)
{
	return with_hidden_statement(preview_password_reset_body, fcinfo);
}
