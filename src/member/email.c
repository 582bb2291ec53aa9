/*
 * email.c
 *	  Move an account to another address, which its person proves.
 *
 * The password asks, a link mailed to the new address confirms, within a
 * session of the same person: whoever got the link by a slip of the pen can not
 * take the account. Both addresses are told of the wish and of the change
 * (OWASP ASVS 5.0, 6.3.7). Whether the new address has an account is said only
 * to who has its mail. Locks: account, membership, change.
 */
#include "postgres.h"

#include "core/attempt.h"
#include "core/compat.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/secret.h"
#include "core/uuid.h"
#include "member/email_change.h"
#include "member/target.h"
#include "outbox/outbox.h"
#include "password/password.h"

#define MAX_PER_HOUR 5

SPI_QUERY(count_recent,
		  "SELECT count(*)::integer AS asked,"
		  " coalesce(bool_or(canonical_email = $3 AND state = 'open'"
		  " AND created_at > $4), false) AS same"
		  " FROM usermgmt.email_change WHERE user_id = $1 AND created_at > $2",
		  UUIDOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID);
SPI_QUERY(insert_change,
		  "INSERT INTO usermgmt.email_change (change_id, user_id, tenant_id,"
		  " old_email, email, canonical_email, state, created_at, expires_at)"
		  " VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, $8)",
		  UUIDOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID,
		  TIMESTAMPTZOID);
SPI_QUERY(find_change,
		  "SELECT user_id, email, state, expires_at FROM usermgmt.email_change"
		  " WHERE change_id = $1 AND tenant_id = $2 AND generation = $3",
		  UUIDOID, UUIDOID, INT4OID);
SPI_QUERY(use_change,
		  "UPDATE usermgmt.email_change SET state = 'used', finished_at = $3"
		  " WHERE change_id = $1 AND tenant_id = $2 AND state = 'open'"
		  " AND expires_at > $3",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(move_account,
		  "UPDATE usermgmt.account SET email = $2, verified_at = $3"
		  " WHERE user_id = $1",
		  UUIDOID, TEXTOID, TIMESTAMPTZOID);
SPI_QUERY(preview_change,
		  "SELECT old_email, email AS new_email, CASE WHEN state <> 'open'"
		  " THEN state WHEN expires_at <= $4 THEN 'expired' ELSE 'pending' END"
		  " AS status, expires_at FROM usermgmt.email_change"
		  " WHERE change_id = $1 AND tenant_id = $2 AND generation = $3",
		  UUIDOID, UUIDOID, INT4OID, TIMESTAMPTZOID);
/* A wish, or the change that it became. */
typedef struct EmailChange
{
	pg_uuid_t change_id;
	pg_uuid_t tenant_id;
	const char *old_email;
	const char *new_email;
	const char *name;
	TimestampTz expires_at;
} EmailChange;

static void
put_mail(const EmailChange *change, const char *kind, const char *recipient)
{
	outbox_put(&(Mail){.kind = kind,
					   .tenant_id = change->tenant_id,
					   .subject_id = change->change_id,
					   .recipient = recipient,
					   .recipient_name = change->name,
					   .due_at = GetCurrentTimestamp(),
					   .expires_at = change->expires_at});
}

/*
 * Raise UM039 when the person has asked too often: anybody's mailbox would be
 * the target.
 */
static void
refuse_too_many(const Account *account, const Address *address,
				const Tenant *tenant)
{
	TimestampTz now = GetCurrentTimestamp();
	int cooldown = setting_seconds(SETTING_RESEND_COOLDOWN, tenant->settings);

	spi_latest(count_recent, ARG_UUID(account->user_id),
			   ARG_TIME(now - USECS_PER_HOUR), ARG_TEXT(address->canonical),
			   ARG_TIME(now - cooldown * USECS_PER_SEC));
	if (row_bool(spi_row(0), "same"))
		ereport(ERROR, (errcode(ERRCODE_UM_TOO_SOON),
						errmsg("a mail was sent to this address a moment ago"),
						errhint("Wait for the time set by resend_cooldown.")));
	if (row_int(spi_row(0), "asked") >= MAX_PER_HOUR)
		ereport(ERROR, (errcode(ERRCODE_UM_TOO_SOON),
						errmsg("the address was to be changed %d times within "
							   "an hour",
							   MAX_PER_HOUR),
						errhint("Try again in an hour.")));
}

/*
 * The password was compared with the account as it was read.
 */
static void
lock_unchanged(Account *account)
{
	if (!account_lock(&account->user_id) ||
		!account_lock_unchanged(account, NULL))
		refuse_concurrent("change of the account");
}

static Datum
request_email_change_body(PG_FUNCTION_ARGS)
{
	const Actor *actor = actor_require();
	Caller caller = caller_require(ROLE_MEMBER);
	Address address = address_require(argument_text(fcinfo, 0), "new_email");
	TimestampTz now = GetCurrentTimestamp();
	EmailChange change = {.change_id = uuid_make(now),
						  .tenant_id = caller.tenant_id,
						  .new_email = address.typed};
	Password password;
	Account account;
	Tenant tenant;

	SPI_connect();
	begin_writing(fcinfo);
	tenant = tenant_read(&caller.tenant_id);
	if (!account_read(&actor->user_id, &account))
		refuse_token();
	if (strcmp(address.typed, account.email) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("new_email is the present address")));
	password = password_argument(fcinfo, 1);
	password_prove(&account, &password);
	password_wipe(&password);
	lock_unchanged(&account);
	caller_lock(&caller, ROLE_MEMBER);
	refuse_too_many(&account, &address, &tenant);
	email_change_supersede(&account.user_id, "another address was asked for");
	change.old_email = account.email;
	change.name = account.name;
	change.expires_at =
		setting_after(SETTING_PASSWORD_RESET_TTL, tenant.settings, now);
	spi_run(insert_change, ARG_UUID(change.change_id),
			ARG_UUID(account.user_id), ARG_UUID(change.tenant_id),
			ARG_TEXT(change.old_email), ARG_TEXT(address.typed),
			ARG_TEXT(address.canonical), ARG_TIME(now),
			ARG_TIME(change.expires_at));
	put_mail(&change, "email_change", change.new_email);
	put_mail(&change, "email_change_requested", change.old_email);
	SPI_finish();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(request_email_change);
Datum
request_email_change(PG_FUNCTION_ARGS)
{
	return with_hidden_statement(request_email_change_body, fcinfo);
}

/*
 * The wish that a link confirms, of this person; raises for any other.
 */
static EmailChange
wish_of(const LinkToken *token, const pg_uuid_t *user_id)
{
	EmailChange change = {.change_id = token->object_id,
						  .tenant_id = token->tenant_id};
	pg_uuid_t asker;

	if (spi_latest(find_change, ARG_UUID(token->object_id),
				   ARG_UUID(token->tenant_id), ARG_INT(token->generation)) == 0)
		refuse_token();
	asker = row_uuid(spi_row(0), "user_id");
	if (!uuid_equal(&asker, user_id))
		refuse_token();
	change.new_email = row_text(spi_row(0), "email");
	link_require_open(row_text(spi_row(0), "state"),
					  row_time(spi_row(0), "expires_at"));
	return change;
}

pg_noreturn static void refuse_taken(void);

static void
refuse_taken(void)
{
	ereport(ERROR, (errcode(ERRCODE_UNIQUE_VIOLATION),
					errmsg("another account has this address"),
					errhint("Sign in with that account, or choose another "
							"address."),
					errhidestmt(true)));
}

/* What moves the account of a person. */
typedef struct Move
{
	const Account *account;
	const char *email;
} Move;

/*
 * The unique index has the last word on who has the address.
 */
static void
move(void *arg)
{
	Move *deed = arg;

	spi_run(move_account, ARG_UUID(deed->account->user_id),
			ARG_TEXT(deed->email), ARG_TIME(GetCurrentTimestamp()));
}

static Datum
confirm_email_change_body(PG_FUNCTION_ARGS)
{
	const Actor *actor = actor_require();
	Caller caller = caller_require(ROLE_MEMBER);
	LinkToken token;
	EmailChange change;
	Account account;

	SPI_connect();
	begin_writing(fcinfo);
	token = link_token_parse(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0),
							 LINK_EMAIL_CHANGE, LINK_EMAIL_CHANGE);
	change = wish_of(&token, &actor->user_id);
	if (!account_lock(&actor->user_id) ||
		!account_read(&actor->user_id, &account))
		refuse_token();
	caller_lock(&caller, ROLE_MEMBER);
	change.old_email = account.email;
	change.name = account.name;
	if (spi_run(use_change, ARG_UUID(change.change_id),
				ARG_UUID(change.tenant_id),
				ARG_TIME(GetCurrentTimestamp())) == 0)
	{
		(void) wish_of(&token, &actor->user_id);
		elog(ERROR, "the link could not be used");
	}
	if (!attempt_unless_taken(move, &(Move){&account, change.new_email}))
		refuse_taken();
	put_mail(&change, "email_changed", change.old_email);
	put_mail(&change, "email_changed", change.new_email);
	SPI_finish();
	PG_RETURN_VOID();
}

PG_FUNCTION_INFO_V1(confirm_email_change);
Datum
confirm_email_change(PG_FUNCTION_ARGS)
{
	return with_hidden_statement(confirm_email_change_body, fcinfo);
}

static Datum
preview_email_change_body(PG_FUNCTION_ARGS)
{
	LinkToken token;

	SPI_connect();
	token = link_token_parse(PG_ARGISNULL(0) ? NULL : PG_GETARG_TEXT_PP(0),
							 LINK_EMAIL_CHANGE, LINK_EMAIL_CHANGE);
	if (spi_latest(preview_change, ARG_UUID(token.object_id),
				   ARG_UUID(token.tenant_id), ARG_INT(token.generation),
				   ARG_TIME(GetCurrentTimestamp())) == 0)
		refuse_token();
	return spi_finish_with_row(fcinfo);
}

PG_FUNCTION_INFO_V1(preview_email_change);
Datum
preview_email_change(PG_FUNCTION_ARGS)
{
	return with_hidden_statement(preview_email_change_body, fcinfo);
}
