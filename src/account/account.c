/*
 * account.c
 *	  People: one account per address, whatever the tenant.
 */
#include "postgres.h"

#include "access/htup_details.h"

#include "account/account.h"
#include "audit/audit.h"
#include "core/actor.h"
#include "core/errors.h"
#include "core/transition.h"
#include "core/uuid.h"
#include "core/within.h"
#include "session/revoke.h"

#define ACCOUNT_COLUMNS                                                        \
	"SELECT user_id, email, name, password_hash, password_version,"            \
	" verified_at IS NOT NULL AS verified"                                     \
	" FROM usermgmt.account WHERE closed_at IS NULL AND "

SPI_QUERY(find_account, ACCOUNT_COLUMNS "canonical_email = $1", TEXTOID);
SPI_QUERY(read_account, ACCOUNT_COLUMNS "user_id = $1", UUIDOID);
SPI_QUERY(insert_account,
		  "INSERT INTO usermgmt.account (user_id, email, canonical_email,"
		  " name, password_hash, created_at, verified_at)"
		  " VALUES ($1, $2, $3, $4, $5, $6, $7)"
		  " ON CONFLICT (canonical_email) WHERE closed_at IS NULL DO NOTHING",
		  UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID,
		  TIMESTAMPTZOID);
SPI_QUERY(lock_account,
		  "SELECT FROM usermgmt.account WHERE user_id = $1"
		  " AND closed_at IS NULL FOR NO KEY UPDATE",
		  UUIDOID);
SPI_QUERY(lock_unchanged,
		  "SELECT email FROM usermgmt.account WHERE user_id = $1"
		  " AND password_version = $2 AND canonical_email = $3"
		  " AND closed_at IS NULL FOR SHARE",
		  UUIDOID, INT4OID, TEXTOID);
SPI_QUERY(set_password,
		  "UPDATE usermgmt.account SET password_hash = $2,"
		  " password_version = password_version + 1, password_changed_at = $3,"
		  " verified_at = CASE WHEN $4 THEN coalesce(verified_at, $3)"
		  " ELSE verified_at END WHERE user_id = $1",
		  UUIDOID, TEXTOID, TIMESTAMPTZOID, BOOLOID);
SPI_QUERY(set_verified,
		  "UPDATE usermgmt.account SET verified_at = $2 WHERE user_id = $1"
		  " AND verified_at IS NULL",
		  UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(rehash,
		  "UPDATE usermgmt.account SET password_hash = $4"
		  " WHERE user_id = $1 AND password_version = $2"
		  " AND canonical_email = $3 AND closed_at IS NULL RETURNING email",
		  UUIDOID, INT4OID, TEXTOID, TEXTOID);
SPI_QUERY(close_account,
		  "UPDATE usermgmt.account SET closed_at = $2, password_hash = NULL"
		  " WHERE user_id = $1 AND closed_at IS NULL",
		  UUIDOID, TIMESTAMPTZOID);
SPI_QUERY(delete_identities,
		  "DELETE FROM usermgmt.account_identity WHERE user_id = $1", UUIDOID);
SPI_QUERY(find_home,
		  "SELECT FROM usermgmt.membership WHERE user_id = $1 LIMIT 1",
		  UUIDOID);
SPI_QUERY(rename_sessions,
		  "UPDATE usermgmt.session SET email = $2"
		  " WHERE user_id = $1 AND state = 'open'",
		  UUIDOID, TEXTOID);
SPI_QUERY(find_misnamed,
		  "SELECT FROM usermgmt.session"
		  " WHERE user_id = $1 AND state = 'open' AND email <> $2 LIMIT 1",
		  UUIDOID, TEXTOID);

static Within keeping; /* the session that account_change_password() keeps */
static pg_uuid_t kept_session;
static Within rehashing; /* account_lock_unchanged() is at work */

static bool
account_of_row(uint64 found, Account *account)
{
	SpiRow row;

	if (found == 0)
		return false;
	row = spi_row(0);
	account->user_id = row_uuid(row, "user_id");
	account->email = row_text(row, "email");
	account->name = row_text_or_null(row, "name");
	account->password_hash = row_text_or_null(row, "password_hash");
	account->password_version = row_int(row, "password_version");
	account->verified = row_bool(row, "verified");
	return true;
}

bool
account_find(const Address *address, Account *account)
{
	return account_of_row(
		spi_latest(find_account, ARG_TEXT(address->canonical)), account);
}

bool
account_read(const pg_uuid_t *user_id, Account *account)
{
	return account_of_row(spi_latest(read_account, ARG_UUID(*user_id)),
						  account);
}

bool
account_create(const Address *address, const char *name,
			   const char *password_hash, bool verified, Account *account)
{
	TimestampTz now = GetCurrentTimestamp();
	pg_uuid_t user_id = uuid_make(now);

	if (spi_run(insert_account, ARG_UUID(user_id), ARG_TEXT(address->typed),
				ARG_TEXT(address->canonical), ARG_TEXT(name),
				ARG_TEXT(password_hash), ARG_TIME(now),
				verified ? ARG_TIME(now) : ARG_NULL(TIMESTAMPTZOID)) == 0)
		return false;
	return account_read(&user_id, account);
}

Account
account_find_or_create(const Address *address, const char *name)
{
	Account account;

	if ((!account_find(address, &account) &&
		 !account_create(address, name, NULL, false, &account) &&
		 !account_find(address, &account)) ||
		!account_lock_unchanged(&account, NULL))
		refuse_concurrent("change of the account");
	return account;
}

bool
account_lock(const pg_uuid_t *user_id)
{
	return spi_run(lock_account, ARG_UUID(*user_id)) == 1;
}

static uint64
store_rehashed(const Account *account, const char *canonical_email,
			   const char *rehashed)
{
	uint64 found;

	within_begin(&rehashing);
	found = spi_run(rehash, ARG_UUID(account->user_id),
					ARG_INT(account->password_version),
					ARG_TEXT(canonical_email), ARG_TEXT(rehashed));
	within_end(&rehashing);
	return found;
}

bool
account_lock_unchanged(Account *account, const char *rehashed)
{
	Address address = address_require(account->email, "email");
	uint64 found = rehashed != NULL
					   ? store_rehashed(account, address.canonical, rehashed)
					   : spi_run(lock_unchanged, ARG_UUID(account->user_id),
								 ARG_INT(account->password_version),
								 ARG_TEXT(address.canonical));

	if (found == 0)
		return false;
	account->email = row_text(spi_row(0), "email");
	return true;
}

void
account_set_password(const pg_uuid_t *user_id, const char *password_hash)
{
	spi_run(set_password, ARG_UUID(*user_id), ARG_TEXT(password_hash),
			ARG_TIME(GetCurrentTimestamp()), ARG_BOOL(true));
}

void
account_change_password(const pg_uuid_t *user_id, const char *password_hash,
						const pg_uuid_t *kept)
{
	kept_session = *kept;
	within_begin(&keeping);
	spi_run(set_password, ARG_UUID(*user_id), ARG_TEXT(password_hash),
			ARG_TIME(GetCurrentTimestamp()), ARG_BOOL(false));
	within_end(&keeping);
}

void
account_set_verified(const pg_uuid_t *user_id)
{
	spi_run(set_verified, ARG_UUID(*user_id), ARG_TIME(GetCurrentTimestamp()));
}

void
account_close(const pg_uuid_t *user_id)
{
	spi_run(close_account, ARG_UUID(*user_id), ARG_TIME(GetCurrentTimestamp()));
	spi_run(delete_identities, ARG_UUID(*user_id));
}

/*
 * Raise UM036 for reopening an account, and for closing one that somebody
 * still uses.
 */
static void
check_closing(SpiRow before, SpiRow after)
{
	bool was_closed = !row_is_null(before, "closed_at");
	bool is_closed = !row_is_null(after, "closed_at");
	pg_uuid_t user_id = row_uuid(after, "user_id");

	if (was_closed && !is_closed)
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg("a closed account is not opened again"),
						errhint("Invite the person again.")));
	if (was_closed || !is_closed)
		return;
	SPI_connect();
	if (spi_latest(find_home, ARG_UUID(user_id)) > 0)
		ereport(ERROR, (errcode(ERRCODE_UM_WRONG_STATE),
						errmsg("the person still belongs to a tenant"),
						errhint("usermgmt.remove_user() closes the account "
								"with the last membership.")));
	SPI_finish();
}

/*
 * BEFORE UPDATE trigger: another hash by whatever path is another version,
 * unless it is the same password at a raised cost; an account is closed only
 * when nobody uses it, and for good.
 */
PG_FUNCTION_INFO_V1(account_guard);
Datum
account_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_BEFORE | TRIGGER_EVENT_ROW);
	SpiRow before = trigger_row(trigger);
	SpiRow after = trigger_new_row(trigger);
	AuditChange change = {&before, &after};
	int32 version = row_int(before, "password_version");
	int column = SPI_fnumber(after.desc, "password_version");
	Datum next = Int32GetDatum(version + 1);
	bool isnull = false;

	check_closing(before, after);
	if (within_holds(&rehashing) ||
		row_int(after, "password_version") != version ||
		!audit_differs(&change, "password_hash"))
		return PointerGetDatum(after.tuple);
	return PointerGetDatum(heap_modify_tuple_by_cols(after.tuple, after.desc, 1,
													 &column, &next, &isnull));
}

/*
 * A transaction with a fixed snapshot can not rename a session opened after
 * it: it gives way instead.
 */
static void
rename_all(const pg_uuid_t *user_id, const char *email)
{
	spi_run(rename_sessions, ARG_UUID(*user_id), ARG_TEXT(email));
	if (spi_latest(find_misnamed, ARG_UUID(*user_id), ARG_TEXT(email)) > 0)
		refuse_concurrent("log-in");
}

/*
 * AFTER UPDATE trigger: a new password or a closing ends every session; a new
 * address shows in the sessions that go on.
 */
PG_FUNCTION_INFO_V1(account_changed);
Datum
account_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger =
		trigger_require(fcinfo, TRIGGER_EVENT_AFTER | TRIGGER_EVENT_ROW);
	SpiRow before = trigger_row(trigger);
	SpiRow after = trigger_new_row(trigger);
	pg_uuid_t user_id = row_uuid(after, "user_id");

	SPI_connect();
	if (row_int(before, "password_version") !=
		row_int(after, "password_version"))
		session_end_person(&user_id,
						   within_holds(&keeping) ? &kept_session : NULL,
						   "password changed");
	if (!row_is_null(after, "closed_at") && row_is_null(before, "closed_at"))
		session_end_person(&user_id, NULL, "account closed");
	if (strcmp(row_text(before, "email"), row_text(after, "email")) != 0)
		rename_all(&user_id, row_text(after, "email"));
	SPI_finish();
	return PointerGetDatum(NULL);
}

static const char *
account_action(const AuditChange *change)
{
	if (change->before == NULL || change->after == NULL)
		return NULL;
	if (audit_differs(change, "closed_at"))
		return "account.closed";
	if (audit_differs(change, "email"))
		return "account.email_changed";
	if (audit_differs(change, "successor_id"))
		return "account.linked";
	if (audit_differs(change, "password_version"))
		return "account.password_changed";
	if (audit_differs(change, "password_hash"))
		return "account.password_rehashed";
	return NULL;
}

void
account_init(void)
{
	audit_register("account", account_action);
}
