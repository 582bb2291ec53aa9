/*
 * reset.c
 *	  Choose a new password by a mailed link, once.
 *
 * Self-service, an admin and the welcome mail are three entries to one link
 * and one consuming function. Locks: account, membership, reset; the hash is
 * made before the first of them, and the state is checked again after it.
 */
#include "postgres.h"

#include "audit/audit.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/secret.h"
#include "core/transition.h"
#include "core/uuid.h"
#include "password/password.h"
#include "session/throttle.h"
#include "token/token.h"

/* clang-format off */
static const Transition transitions[] = {
	{"open", "use",		  "used",		"password_reset.used",		 "a new password was chosen"},
	{"open", "supersede", "superseded",	"password_reset.superseded", "a newer link was asked for"},
	{"open", "cancel",	  "cancelled",	"password_reset.cancelled",	 "the person lost access"},
	{NULL, NULL, NULL, NULL, NULL}
};
/* clang-format on */

SPI_QUERY(find_reset,
		  "SELECT user_id, state, expires_at FROM usermgmt.password_reset"
		  " WHERE reset_id = $1 AND tenant_id = $2 AND generation = $3",
		  UUIDOID, UUIDOID, INT4OID);
SPI_QUERY(use_reset,
		  "UPDATE usermgmt.password_reset SET state = 'used',"
		  " finished_at = $3 WHERE reset_id = $1 AND tenant_id = $2"
		  " AND state = 'open' AND expires_at > $3",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(is_active_anywhere,
		  "SELECT FROM usermgmt.membership WHERE user_id = $1"
		  " AND status = 'active' FOR SHARE",
		  UUIDOID);

void
link_require_open(const char *state, TimestampTz expires_at)
{
	if (strcmp(state, "used") == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_TOKEN_USED),
						errmsg("the link has been used already"),
						errhint("Ask for a new one."), errhidestmt(true)));
	if (strcmp(state, "cancelled") == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_ACTIVE),
						errmsg("the link was cancelled when the person lost "
							   "access"),
						errhint("Ask an admin of the tenant to give it back."),
						errhidestmt(true)));
	if (strcmp(state, "superseded") == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_TOKEN_SUPERSEDED),
						errmsg("the link does not count any more"),
						errhint("Use the link from the newest mail, or ask for "
								"a new one."),
						errhidestmt(true)));
	if (expires_at <= GetCurrentTimestamp())
		ereport(ERROR, (errcode(ERRCODE_UM_TOKEN_EXPIRED),
						errmsg("the link has expired"),
						errhint("Ask for a new one."), errhidestmt(true)));
}

/*
 * The person whom a usable link belongs to; raises for any other.
 */
static Account
owner_of(const LinkToken *token)
{
	Account account;
	pg_uuid_t user_id;

	if (spi_latest(find_reset, ARG_UUID(token->object_id),
				   ARG_UUID(token->tenant_id), ARG_INT(token->generation)) == 0)
		refuse_token();
	user_id = row_uuid(spi_row(0), "user_id");
	link_require_open(row_text(spi_row(0), "state"),
					  row_time(spi_row(0), "expires_at"));
	if (!account_read(&user_id, &account))
		refuse_token();
	return account;
}

static void
refuse_inactive(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_UM_NOT_ACTIVE),
			 errmsg("the person is not active in any tenant"),
			 errhint("Ask an admin of the tenant to give the access back."),
			 errhidestmt(true)));
}

/*
 * Use the link up and store the password; one of two racing callers finds it
 * used. The password comes last, because storing it ends the sessions.
 */
static void
consume(const LinkToken *token, const Account *account, const char *stored)
{
	if (!account_lock(&account->user_id))
		refuse_token();
	if (spi_run(is_active_anywhere, ARG_UUID(account->user_id)) == 0)
		refuse_inactive();
	if (spi_run(use_reset, ARG_UUID(token->object_id),
				ARG_UUID(token->tenant_id),
				ARG_TIME(GetCurrentTimestamp())) == 0)
	{
		owner_of(token);
		elog(ERROR, "the link could not be used");
	}
	account_set_password(&account->user_id, stored);
}

static Datum
reset_password_body(PG_FUNCTION_ARGS)
{
	LinkToken token;
	Account account;
	Tenant tenant;
	Password password;
	char *stored;

	SPI_connect();
	begin_writing(fcinfo);
	token = link_token_parse(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0),
							 LINK_PASSWORD_RESET, LINK_PASSWORD_RESET);
	account = owner_of(&token);
	tenant = tenant_read(&token.tenant_id);
	password = password_argument(fcinfo, 1);
	password_check(&password, account.email, account.name, &tenant);
	stored = password_hash(&password);
	password_wipe(&password);
	audit_operation(&(AuditOperation){.tenant_id = &token.tenant_id,
									  .user_id = &account.user_id,
									  .user_email = account.email,
									  .reason = "password reset"});
	consume(&token, &account, stored);
	throttle_clear(account.email);
	password_mail("password_changed", &tenant, &account, &token.object_id, 0);
	audit_operation_end();
	SPI_finish();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(reset_password);
Datum
reset_password(PG_FUNCTION_ARGS)
{
	return with_hidden_statement(reset_password_body, fcinfo);
}

PG_FUNCTION_INFO_V1(password_reset_guard);
Datum
password_reset_guard(PG_FUNCTION_ARGS)
{
	return transition_guard(fcinfo, transitions, true);
}

static const char *
reset_action(const AuditChange *change)
{
	const Transition *step;

	if (change->after == NULL)
		return NULL;
	if (change->before == NULL)
		return "password_reset.requested";
	step = transition_find(transitions, row_text(*change->before, "state"),
						   row_text(*change->after, "state"));
	return step != NULL ? step->action : NULL;
}

void
password_init(void)
{
	audit_register("password_reset", reset_action);
	password_mails_register();
}
