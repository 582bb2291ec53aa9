/*
 * account.c
 *	  People: one account per address, whatever the tenant.
 */
#include "postgres.h"

#include "access/htup_details.h"

#include "account/account.h"
#include "audit/audit.h"
#include "core/actor.h"
#include "core/transition.h"
#include "core/uuid.h"
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
		  "SELECT FROM usermgmt.account WHERE user_id = $1"
		  " AND password_version = $2 AND closed_at IS NULL FOR SHARE",
		  UUIDOID, INT4OID);
SPI_QUERY(set_password,
		  "UPDATE usermgmt.account SET password_hash = $2,"
		  " password_version = password_version + 1,"
		  " verified_at = coalesce(verified_at, $3) WHERE user_id = $1",
		  UUIDOID, TEXTOID, TIMESTAMPTZOID);
SPI_QUERY(rehash,
		  "UPDATE usermgmt.account SET password_hash = $3"
		  " WHERE user_id = $1 AND password_version = $2"
		  " AND closed_at IS NULL",
		  UUIDOID, INT4OID, TEXTOID);
SPI_QUERY(rename_sessions,
		  "UPDATE usermgmt.session SET email = $2"
		  " WHERE user_id = $1 AND state = 'open'",
		  UUIDOID, TEXTOID);

static bool rehashing; /* account_lock_unchanged() is at work */

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

	if (!account_find(address, &account) &&
		!account_create(address, name, NULL, false, &account) &&
		!account_find(address, &account))
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("could not serialize access due to a "
							   "concurrent change of the account")));
	return account;
}

bool
account_lock(const pg_uuid_t *user_id)
{
	return spi_run(lock_account, ARG_UUID(*user_id)) == 1;
}

bool
account_lock_unchanged(const Account *account, const char *rehashed)
{
	bool unchanged;

	if (rehashed != NULL)
	{
		PG_TRY();
		{
			rehashing = true;
			unchanged = spi_run(rehash, ARG_UUID(account->user_id),
								ARG_INT(account->password_version),
								ARG_TEXT(rehashed)) == 1;
		}
		PG_FINALLY();
		{
			rehashing = false;
		}
		PG_END_TRY();
		return unchanged;
	}
	return spi_run(lock_unchanged, ARG_UUID(account->user_id),
				   ARG_INT(account->password_version)) == 1;
}

void
account_set_password(const pg_uuid_t *user_id, const char *password_hash)
{
	spi_run(set_password, ARG_UUID(*user_id), ARG_TEXT(password_hash),
			ARG_TIME(GetCurrentTimestamp()));
}

/*
 * BEFORE UPDATE trigger: another hash by whatever path is another version,
 * unless it is the same password at a raised cost.
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

	if (rehashing || row_int(after, "password_version") != version ||
		!audit_differs(&change, "password_hash"))
		return PointerGetDatum(after.tuple);
	return PointerGetDatum(heap_modify_tuple_by_cols(after.tuple, after.desc, 1,
													 &column, &next, &isnull));
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
		session_end_person(&user_id, "password changed");
	if (!row_is_null(after, "closed_at") && row_is_null(before, "closed_at"))
		session_end_person(&user_id, "account closed");
	if (strcmp(row_text(before, "email"), row_text(after, "email")) != 0)
		spi_run(rename_sessions, ARG_UUID(user_id),
				ARG_TEXT(row_text(after, "email")));
	SPI_finish();
	return PointerGetDatum(NULL);
}
