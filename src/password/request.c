/*
 * request.c
 *	  Ask for a link to choose a new password, and mail it.
 *
 * A person has one open link: a newer one voids it, whoever asked. Locks:
 * tenant (for an admin's membership is another one), account, membership,
 * reset.
 */
#include "postgres.h"

#include "core/errors.h"
#include "core/installation.h"
#include "core/uuid.h"
#include "member/member.h"
#include "outbox/outbox.h"
#include "password/password.h"

SPI_QUERY(supersede,
		  "UPDATE usermgmt.password_reset SET state = 'superseded',"
		  " finished_at = $2 WHERE user_id = $1 AND state = 'open'"
		  " RETURNING reset_id AS subject_id, tenant_id",
		  UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(cancel,
		  "UPDATE usermgmt.password_reset SET state = 'cancelled',"
		  " finished_at = $3 WHERE user_id = $1 AND tenant_id = $2"
		  " AND state = 'open' RETURNING reset_id AS subject_id, tenant_id",
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
SPI_QUERY(reset_subject,
		  "SELECT r.state = 'open' AND r.expires_at > $3 AS wanted,"
		  " true AS linked, r.generation, pg_catalog.jsonb_build_object("
		  "'expires_at', usermgmt.mail_time(r.expires_at),"
		  " 'locale', (SELECT p.locale FROM usermgmt.account AS p"
		  " WHERE p.user_id = r.user_id), 'requested_by', CASE WHEN r.origin = "
		  "'admin'"
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
		  "'expires_at', usermgmt.mail_time(r.expires_at),"
		  " 'locale', (SELECT p.locale FROM usermgmt.account AS p"
		  " WHERE p.user_id = r.user_id)) AS variables"
		  " FROM usermgmt.password_reset AS r"
		  " WHERE r.reset_id = $1 AND r.tenant_id = $2"
		  " UNION ALL SELECT m.status = 'active', false, 0,"
		  " pg_catalog.jsonb_build_object('expires_at', NULL,"
		  " 'locale', a.locale) FROM usermgmt.membership AS m"
		  " JOIN usermgmt.account AS a ON a.user_id = m.user_id"
		  " WHERE m.user_id = $1 AND m.tenant_id = $2",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(changed_subject,
		  "SELECT r.finished_at <= $3 AS wanted, false AS linked,"
		  " r.generation,"
		  " pg_catalog.jsonb_build_object("
		  "'changed_at', usermgmt.mail_time(r.finished_at),"
		  " 'locale', (SELECT p.locale FROM usermgmt.account AS p"
		  " WHERE p.user_id = r.user_id)) AS variables"
		  " FROM usermgmt.password_reset AS r"
		  " WHERE r.reset_id = $1 AND r.tenant_id = $2"
		  " UNION ALL SELECT a.closed_at IS NULL, false, 0,"
		  " pg_catalog.jsonb_build_object("
		  "'changed_at', usermgmt.mail_time(a.password_changed_at),"
		  " 'locale', a.locale)"
		  " FROM usermgmt.account AS a WHERE a.user_id = $1",
		  UUIDOID, UUIDOID, TIMESTAMPTZOID);

/*
 * A transaction with a fixed snapshot can not void a link made after it: it
 * gives way instead.
 */
static void
require_none_open(const pg_uuid_t *user_id, const pg_uuid_t *tenant_id)
{
	if (spi_latest(find_open, ARG_UUID(*user_id), ARG_OPT_UUID(tenant_id)) > 0)
		refuse_concurrent("change of the link");
}

void
password_reset_cancel(const pg_uuid_t *tenant_id, const pg_uuid_t *user_id)
{
	outbox_cancel_returned(spi_run(cancel, ARG_UUID(*user_id),
								   ARG_UUID(*tenant_id),
								   ARG_TIME(GetCurrentTimestamp())),
						   "the person lost access");
	require_none_open(user_id, tenant_id);
}

void
password_reset_void(const pg_uuid_t *user_id, const char *why)
{
	outbox_cancel_returned(
		spi_run(supersede, ARG_UUID(*user_id), ARG_TIME(GetCurrentTimestamp())),
		why);
	require_none_open(user_id, NULL);
}

void
password_mail(const char *kind, const Tenant *tenant, const Account *account,
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

/*
 * Open a link, and describe its mail.
 */
static Mail
open_reset(const Tenant *tenant, const Account *account, const char *origin,
		   const pg_uuid_t *requested_by)
{
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t reset_id = uuid_make(now);
	bool welcome = strcmp(origin, "welcome") == 0;
	TimestampTz expires_at = setting_after(welcome ? SETTING_INVITATION_TTL
												   : SETTING_PASSWORD_RESET_TTL,
										   tenant->settings, now);

	account_lock(&account->user_id);
	password_reset_void(&account->user_id, "a newer link was asked for");
	spi_run(insert_reset, ARG_UUID(reset_id), ARG_UUID(account->user_id),
			ARG_UUID(tenant->tenant_id), ARG_TEXT(origin),
			ARG_OPT_UUID(requested_by), ARG_TIME(now), ARG_TIME(expires_at));
	return (Mail){.kind = welcome ? "welcome" : "password_reset",
				  .tenant_id = tenant->tenant_id,
				  .subject_id = reset_id,
				  .recipient = account->email,
				  .recipient_name = account->name,
				  .due_at = now,
				  .expires_at = expires_at};
}

/*
 * Open a link for a new password, which voids the person's earlier ones, and
 * queue its mail. requested_by is the admin who asked for it, or NULL; origin
 * is self, admin or welcome. The account's lock comes before any membership's.
 */
static void
put_reset(const Tenant *tenant, const Account *account, const char *origin,
		  const pg_uuid_t *requested_by)
{
	Mail mail = open_reset(tenant, account, origin, requested_by);

	outbox_put(&mail);
}

void
password_welcome(const Tenant *tenant, const Account *account)
{
	if (account->password_hash == NULL || !account->verified)
		put_reset(tenant, account, "welcome", NULL);
	else
		password_mail("welcome", tenant, account, &account->user_id, 0);
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

	user_id = argument_uuid(fcinfo, 0, "user_id");
	SPI_connect();
	begin_writing(fcinfo);
	tenant = tenant_lock_shared(&caller.tenant_id);
	membership_require(&caller.tenant_id, &user_id);
	account_lock(&user_id);
	caller_lock(&caller, ROLE_ADMIN);
	membership_require_active(&caller.tenant_id, &user_id);
	account_read(&user_id, &account);
	if (asked_recently(&tenant, &account, "admin"))
		ereport(ERROR, (errcode(ERRCODE_UM_TOO_SOON),
						errmsg("a mail was sent to this person a moment ago"),
						errhint("Wait for the time set by resend_cooldown.")));
	put_reset(&tenant, &account, "admin",
			  caller.actor != NULL ? &caller.actor->user_id : NULL);
	SPI_finish();
	PG_RETURN_VOID();
}

/*
 * Give the request of an anonymous caller to the person who has the address,
 * unless it was made a moment ago before or the person has lost access.
 */
static const char *
resolve_request(Mail *mail)
{
	static const char *const nobody = "no active person has this address";
	Address address = address_require(mail->recipient, "email");
	pg_uuid_t tenant_id;
	Account account;
	Tenant tenant;

	if (!account_find(&address, &account) ||
		spi_latest(home_tenant, ARG_UUID(account.user_id)) == 0)
		return nobody;
	tenant_id = row_uuid(spi_row(0), "tenant_id");
	tenant = tenant_read(&tenant_id);
	account_lock(&account.user_id);
	if (spi_run(share_active, ARG_UUID(account.user_id), ARG_UUID(tenant_id)) ==
		0)
		return nobody;
	if (asked_recently(&tenant, &account, "self"))
		return "a link was mailed a moment ago";
	*mail = open_reset(&tenant, &account, "self", NULL);
	return NULL;
}

/*
 * The same answer, the same row and the same work for every address: whose it
 * is comes out when the mail is claimed.
 */
PG_FUNCTION_INFO_V1(request_password_reset);
Datum
request_password_reset(PG_FUNCTION_ARGS)
{
	Address address = address_require(argument_text(fcinfo, 0), "email");

	SPI_connect();
	begin_writing(fcinfo);
	outbox_request(
		"password_reset", address.typed,
		setting_after(SETTING_PASSWORD_RESET_TTL, NULL, GetCurrentTimestamp()));
	SPI_finish();
	PG_RETURN_VOID();
}

static const MailKind reset_mail = {"password_reset", "/reset-password",
									LINK_PASSWORD_RESET, &reset_subject,
									resolve_request};
static const MailKind welcome_mail = {
	"welcome", "/set-password", LINK_PASSWORD_RESET, &welcome_subject, NULL};
static const MailKind changed_mail = {"password_changed", NULL, LINK_NONE,
									  &changed_subject, NULL};

void
password_mails_register(void)
{
	outbox_register(&reset_mail);
	outbox_register(&welcome_mail);
	outbox_register(&changed_mail);
}
