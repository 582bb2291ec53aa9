/*
 * standby.c
 *	  What the end of a session means on a hot standby.
 *
 * A session that was ended on the primary lives on a standby until that has
 * replayed it. So a revocation can wait for the standbys, and a standby that
 * has not heard of the primary for too long can refuse to judge.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "replication/walreceiver.h"
#include "storage/spin.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "core/errors.h"
#include "session/standby.h"

static int revoke_sync;			  /* a SyncCommitLevel; off leaves it alone */
static int max_standby_staleness; /* seconds; 0 is no limit */

static const struct config_enum_entry levels[] = {
	{"off", SYNCHRONOUS_COMMIT_OFF, false},
	{"remote_write", SYNCHRONOUS_COMMIT_REMOTE_WRITE, false},
	{"on", SYNCHRONOUS_COMMIT_REMOTE_FLUSH, false},
	{"remote_apply", SYNCHRONOUS_COMMIT_REMOTE_APPLY, false},
	{NULL, 0, false}};

void
standby_revoke(void)
{
	const char *level = NULL;

	if (synchronous_commit >= revoke_sync)
		return;
	for (int i = 0; levels[i].name != NULL; i++)
		if (levels[i].val == revoke_sync)
			level = levels[i].name;
	(void) set_config_option("synchronous_commit", level, PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * When this standby was last known to have everything: the primary's last word,
 * if all that was received is replayed, else the last commit that was.
 */
static TimestampTz
last_fresh(void)
{
	TimestampTz heard;

	if (!WalRcvStreaming() ||
		GetXLogReplayRecPtr(NULL) < GetWalRcvFlushRecPtr(NULL, NULL))
		return GetLatestXTime();
	SpinLockAcquire(&WalRcv->mutex);
	heard = WalRcv->lastMsgReceiptTime;
	SpinLockRelease(&WalRcv->mutex);
	return heard;
}

bool
standby_is_fresh(void)
{
	return max_standby_staleness == 0 || !RecoveryInProgress() ||
		   GetCurrentTimestamp() - last_fresh() <=
			   max_standby_staleness * USECS_PER_SEC;
}

void
standby_require_fresh(void)
{
	if (!standby_is_fresh())
		ereport(ERROR,
				(errcode(ERRCODE_UM_BUSY),
				 errmsg("this standby is too far behind to judge a session"),
				 errhint("Ask the primary."), errhidestmt(true)));
}

void
standby_define(void)
{
	DefineCustomEnumVariable(
		"usermgmt.revoke_sync",
		"What the commit of a revocation waits for, as synchronous_commit.",
		"Off leaves synchronous_commit as it is; it is never lowered.",
		&revoke_sync, SYNCHRONOUS_COMMIT_OFF, levels, PGC_SUSET, 0, NULL, NULL,
		NULL);
	DefineCustomIntVariable(
		"usermgmt.max_standby_staleness",
		"How long a standby may not have heard of the primary and still judge "
		"sessions.",
		"0 is no limit.", &max_standby_staleness, 0, 0, INT_MAX / 1000,
		PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
}
