/*
 * witness.c
 *	  Count a wrong password although the caller's transaction will not.
 *
 * A function that answers a wrong password with an error takes back whatever it
 * wrote. So a background worker writes it down, in a transaction of its own,
 * before the error is raised; hashing bounds how many of them run at once.
 * Where no worker is to be had the backend remembers, as for a rollback.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "account/account.h"
#include "session/throttle.h"

PGDLLEXPORT void usermgmt_witness_main(Datum database);

/*
 * The worker: it is told the database and, in bgw_extra, the account.
 */
void
usermgmt_witness_main(Datum database)
{
	pg_uuid_t user_id;
	Account account;
	Address address;

	memcpy(&user_id, MyBgworkerEntry->bgw_extra, sizeof(user_id));
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(database),
											  InvalidOid, 0);
	SetConfigOption("search_path", "pg_catalog, usermgmt, pg_temp", PGC_SUSET,
					PGC_S_SESSION);
	/* Whatever the database's transactions begin with. */
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET,
					PGC_S_SESSION);
	SetConfigOption("default_transaction_isolation", "read committed",
					PGC_SUSET, PGC_S_SESSION);
	/* The caller waits, and may hold what this would wait for. */
	SetConfigOption("lock_timeout", "1s", PGC_SUSET, PGC_S_SESSION);
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	if (account_read(&user_id, &account) &&
		address_parse(account.email, &address))
		throttle_failure(&address);
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
}

void
throttle_failure_apart(const pg_uuid_t *user_id, const Address *address)
{
	BackgroundWorkerHandle *handle;
	BackgroundWorker worker = {.bgw_flags =
								   BGWORKER_SHMEM_ACCESS |
								   BGWORKER_BACKEND_DATABASE_CONNECTION,
							   .bgw_start_time = BgWorkerStart_RecoveryFinished,
							   .bgw_restart_time = BGW_NEVER_RESTART,
							   .bgw_main_arg = ObjectIdGetDatum(MyDatabaseId),
							   .bgw_notify_pid = MyProcPid};

	strlcpy(worker.bgw_name, "usermgmt wrong password", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "usermgmt", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "usermgmt", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "usermgmt_witness_main", BGW_MAXLEN);
	memcpy(worker.bgw_extra, user_id, sizeof(*user_id));
	throttle_remember(address);
	if (RegisterDynamicBackgroundWorker(&worker, &handle))
		WaitForBackgroundWorkerShutdown(handle);
}
