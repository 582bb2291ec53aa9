/*
 * reset.c
 *	  A link to choose a new password, by whoever asks, used once.
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
#include "member/member.h"
#include "outbox/outbox.h"
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

SPI_QUERY(lock_account,
		  "SELECT FROM usermgmt.account WHERE user_id = $1"
		  " AND closed_at IS NULL FOR NO KEY UPDATE",
		  UUIDOID);
SPI_QUERY(supersede,
		  "UPDATE usermgmt.password_reset SET state = 'superseded',"
		  " finished_at = $2 WHERE user_id = $1 AND state = 'open'"
		  " RETURNING reset_id, tenant_id",
		  UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(cancel,
		  "UPDATE usermgmt.password_reset SET state = 'cancelled',"
		  " finished_at = $3 WHERE user_id = $1 AND tenant_id = $2"
		  " AND state = 'open' RETURNING reset_id, tenant_id",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(find_open,
		  "SELECT FROM usermgmt.password_reset WHERE user_id = $1"
		  " AND ($2 IS NULL OR tenant_id = $2) AND state = 'open'",
		  UUIDOID, UUIDOID);
SPI_QUERY(insert_reset,
		  "INSERT INTO usermgmt.password_reset (reset_id, user_id, tenant_id,"
		  " origin, state, requested_by, created_at, expires_at)"
		  " VALUES ($1, $2, $3, $4, 'open', $5, $6, $7)",
		  UUIDOID, UUIDOID, UUIDOID, TEXTOID, UUIDOID, TIMESTAMPTZOID,
		  TIMESTAMPTZOID);
SPI_QUERY(find_recent,
		  "SELECT FROM usermgmt.password_reset WHERE user_id = $1"
		  " AND origin = $2 AND created_at > $3 AND tenant_id = $4",
		  UUIDOID, TEXTOID, TIMESTAMPTZOID, UUIDOID);
SPI_QUERY(find_reset,
		  "SELECT user_id, state, expires_at FROM usermgmt.password_reset"
		  " WHERE reset_id = $1 AND tenant_id = $2 AND generation = $3",
		  UUIDOID, UUIDOID, INT4OID);
SPI_QUERY(use_reset,
		  "UPDATE usermgmt.password_reset SET state = 'used',"
		  " finished_at = $3 WHERE reset_id = $1 AND tenant_id = $2"
		  " AND state = 'open' AND expires_at > $3",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(home_tenant,
		  "SELECT m.tenant_id FROM usermgmt.membership AS m"
		  " JOIN usermgmt.tenant AS t USING (tenant_id)"
		  " WHERE m.user_id = $1 AND m.status = 'active'"
		  " AND t.suspended_at IS NULL"
		  " ORDER BY m.last_login_at DESC NULLS LAST, m.joined_at LIMIT 1",
		  UUIDOID);
SPI_QUERY(share_active,
		  "SELECT FROM usermgmt.membership WHERE user_id = $1"
		  " AND tenant_id = $2 AND status = 'active' FOR SHARE",
		  UUIDOID, UUIDOID);
SPI_QUERY(is_active_anywhere,
		  "SELECT FROM usermgmt.membership WHERE user_id = $1"
		  " AND status = 'active' FOR SHARE",
		  UUIDOID);
SPI_QUERY(reset_subject,
		  "SELECT r.state = 'open' AND r.expires_at > $3 AS wanted,"
		  " true AS linked, r.generation, pg_catalog.jsonb_build_object("
		  "'expires_at', usermgmt.mail_time(r.expires_at),"
		  " 'requested_by', CASE WHEN r.origin = 'admin'"
		  " THEN coalesce(a.name, a.email, 'An administrator') END)"
		  " AS variables"
		  " FROM usermgmt.password_reset AS r LEFT JOIN usermgmt.account AS a"
		  " ON a.user_id = r.requested_by"
		  " WHERE r.reset_id = $1 AND r.tenant_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
/* The mail to an owner who has a password already is about the person, not
 * about a reset, and has no link. */
SPI_QUERY(welcome_subject,
		  "SELECT r.state = 'open' AND r.expires_at > $3 AS wanted,"
		  " true AS linked, r.generation, pg_catalog.jsonb_build_object("
		  "'expires_at', usermgmt.mail_time(r.expires_at)) AS variables"
		  " FROM usermgmt.password_reset AS r"
		  " WHERE r.reset_id = $1 AND r.tenant_id = $2"
		  " UNION ALL SELECT m.status = 'active', false, 0,"
		  " pg_catalog.jsonb_build_object('expires_at', NULL)"
		  " FROM usermgmt.membership AS m"
		  " WHERE m.user_id = $1 AND m.tenant_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(changed_subject,
		  "SELECT r.finished_at <= $3 AS wanted, false AS linked,"
		  " r.generation,"
		  " pg_catalog.jsonb_build_object("
		  "'changed_at', usermgmt.mail_time(r.finished_at)) AS variables"
		  " FROM usermgmt.password_reset AS r"
		  " WHERE r.reset_id = $1 AND r.tenant_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);

static const MailKind reset_mail = {"password_reset", "/reset-password",
									LINK_PASSWORD_RESET, &reset_subject};
static const MailKind welcome_mail = {"welcome", "/set-password",
									  LINK_PASSWORD_RESET, &welcome_subject};
static const MailKind changed_mail = {"password_changed", NULL, LINK_NONE,
									  &changed_subject};

/*
 * Cancel the mails about the links that the last statement voided.
 */
static void
cancel_mails(uint64 count, const char *why)
{
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < count; i++)
	{
		SpiRow row = {rows->vals[i], rows->tupdesc};
		pg_uuid_t reset_id = row_uuid(row, "reset_id");
		pg_uuid_t tenant_id = row_uuid(row, "tenant_id");

		outbox_cancel_subject(&tenant_id, &reset_id, why);
	}
}

/*
 * A transaction with a fixed snapshot can not void a link made after it: it
 * gives way instead.
 */
static void
require_none_open(const pg_uuid_t *user_id, const pg_uuid_t *tenant_id)
{
	if (spi_latest(find_open, ARG_UUID(*user_id), ARG_OPT_UUID(tenant_id)) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update"),
				 errhint("Try the transaction again.")));
}

void
password_reset_cancel(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id)
{
	cancel_mails(spi_run(cancel, ARG_UUID(*user_id), ARG_UUID(*tenant_id),
						 ARG_TIME(GetCurrentTimestamp())),
				 "the person lost access");
	require_none_open(user_id, tenant_id);
}

static void
put_mail(const char *kind, const Tenant *tenant, const Account *account,
		 const pg_uuid_t *reset_id, TimestampTz expires_at)
{
	outbox_put(&(Mail){.kind = kind,
					   .tenant_id = tenant->tenant_id,
					   .subject_id = *reset_id,
					   .recipient = account->email,
					   .recipient_name = account->name,
					   .due_at = GetCurrentTimestamp(),
					   .expires_at = expires_at});
}

void
password_reset_put(const Tenant *tenant, const Account *account,
				   const char *origin, const pg_uuid_t *requested_by)
{
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t reset_id = uuid_make(now);
	bool welcome = strcmp(origin, "welcome") == 0;
	TimestampTz expires_at = setting_after(welcome ? SETTING_INVITATION_TTL
												   : SETTING_PASSWORD_RESET_TTL,
										   tenant->settings, now);

	spi_run(lock_account, ARG_UUID(account->user_id));
	cancel_mails(spi_run(supersede, ARG_UUID(account->user_id), ARG_TIME(now)),
				 "a newer link was asked for");
	require_none_open(&account->user_id, NULL);
	spi_run(insert_reset, ARG_UUID(reset_id), ARG_UUID(account->user_id),
			ARG_UUID(tenant->tenant_id), ARG_TEXT(origin),
			ARG_OPT_UUID(requested_by), ARG_TIME(now), ARG_TIME(expires_at));
	put_mail(welcome ? "welcome" : "password_reset", tenant, account, &reset_id,
			 expires_at);
}

void
password_welcome(const Tenant *tenant, const Account *account)
{
	if (account->password_hash == NULL || !account->verified)
		password_reset_put(tenant, account, "welcome", NULL);
	else
		put_mail("welcome", tenant, account, &account->user_id, 0);
}

/*
 * Whether a link of this origin was asked for within the cool-down.
 */
static bool
asked_recently(const Tenant *tenant, const Account *account, const char *origin)
{
	TimestampTz since =
		GetCurrentTimestamp() -
		setting_seconds(SETTING_RESEND_COOLDOWN, tenant->settings) *
			USECS_PER_SEC;

	return spi_latest(find_recent, ARG_UUID(account->user_id), ARG_TEXT(origin),
					  ARG_TIME(since), ARG_UUID(tenant->tenant_id)) > 0;
}

PG_FUNCTION_INFO_V1(send_password_reset);
Datum
send_password_reset(PG_FUNCTION_ARGS)
{
	Caller caller = caller_require(ROLE_ADMIN);
	pg_uuid_t user_id;
	Account account;
	Tenant tenant;

	if (PG_ARGISNULL(0))
		refuse_null("user_id");
	user_id = *PG_GETARG_UUID_P(0);
	SPI_connect();
	begin_writing(fcinfo);
	tenant = tenant_read(&caller.tenant_id);
	membership_require(&caller.tenant_id, &user_id);
	spi_run(lock_account, ARG_UUID(user_id));
	caller_lock(&caller, ROLE_ADMIN);
	membership_require_active(&caller.tenant_id, &user_id);
	account_read(&user_id, &account);
	if (asked_recently(&tenant, &account, "admin"))
		ereport(ERROR, (errcode(ERRCODE_UM_TOO_SOON),
						errmsg("a mail was sent to this person a moment ago"),
						errhint("Wait for the time set by resend_cooldown.")));
	password_reset_put(&tenant, &account, "admin",
					   caller.actor != NULL ? &caller.actor->user_id : NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * Mail a link, unless the person has just asked for one or has lost access
 * meanwhile.
 */
static void
request(const Account *account, pg_uuid_t tenant_id)
{
	Tenant tenant = tenant_read(&tenant_id);

	spi_run(lock_account, ARG_UUID(account->user_id));
	if (spi_run(share_active, ARG_UUID(account->user_id), ARG_UUID(tenant_id)) >
			0 &&
		!asked_recently(&tenant, account, "self"))
		password_reset_put(&tenant, account, "self", NULL);
}

/*
 * The same answer for every address: none is told apart.
 */
PG_FUNCTION_INFO_V1(request_password_reset);
Datum
request_password_reset(PG_FUNCTION_ARGS)
{
	Address address = address_require(argument_text(fcinfo, 0), "email");
	Account account;

	SPI_connect();
	begin_writing(fcinfo);
	if (account_find(&address, &account) &&
		spi_latest(home_tenant, ARG_UUID(account.user_id)) > 0)
		request(&account, row_uuid(spi_row(0), "tenant_id"));
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * Say why a link can not be used; return if it can.
 */
static void
refuse_reset(const char *state, TimestampTz expires_at)
{
	if (strcmp(state, "used") == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_TOKEN_USED),
						errmsg("the link has been used already"),
						errhint("Ask for a new one."), errhidestmt(true)));
	if (strcmp(state, "cancelled") == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_ACTIVE),
						errmsg("the link was cancelled when the person was "
							   "deactivated"),
						errhidestmt(true)));
	if (strcmp(state, "superseded") == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_TOKEN_SUPERSEDED),
						errmsg("a newer link has been sent"),
						errhint("Use the link from the newest mail."),
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
	refuse_reset(row_text(spi_row(0), "state"),
				 row_time(spi_row(0), "expires_at"));
	if (!account_read(&user_id, &account))
		refuse_token();
	return account;
}

static void
refuse_inactive(void)
{
	ereport(ERROR, (errcode(ERRCODE_UM_NOT_ACTIVE),
					errmsg("the person is not active in any tenant"),
					errhidestmt(true)));
}

/*
 * Use the link up and store the password; one of two racing callers finds it
 * used. The password comes last, because storing it ends the sessions.
 */
static void
consume(const LinkToken *token, const Account *account, const char *stored)
{
	if (spi_run(lock_account, ARG_UUID(account->user_id)) == 0)
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
	put_mail("password_changed", &tenant, &account, &token.object_id, 0);
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

static const char *
account_action(const AuditChange *change)
{
	if (change->before == NULL || change->after == NULL)
		return NULL;
	if (row_int(*change->before, "password_version") !=
		row_int(*change->after, "password_version"))
		return "account.password_changed";
	if (audit_differs(change, "password_hash"))
		return "account.password_rehashed";
	return NULL;
}

void
password_init(void)
{
	audit_register("password_reset", reset_action);
	audit_register("account", account_action);
	outbox_register(&reset_mail);
	outbox_register(&welcome_mail);
	outbox_register(&changed_mail);
}
