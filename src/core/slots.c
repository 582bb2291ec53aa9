/*
 * slots.c
 *	  Locks outside the reach of SQL, and the bound on password hashing.
 */
#include "postgres.h"

#include <unistd.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "core/errors.h"
#include "core/settings.h"
#include "core/slots.h"

#define SLOT_MAGIC 0x756D /* "um" */
#define FIRST_PAUSE 2	  /* milliseconds between two looks at the slots */
#define LONGEST_PAUSE 20

LOCKTAG
slot_tag(SlotClass class, uint64 number, bool lasting)
{
	LOCKTAG tag;

	memset(&tag, 0, sizeof(tag));
	tag.locktag_field1 = class == SLOT_HASH ? InvalidOid : MyDatabaseId;
	tag.locktag_field2 = (uint32) (number >> 32);
	tag.locktag_field3 = (uint32) number;
	tag.locktag_field4 = SLOT_MAGIC + class;
	tag.locktag_type = LOCKTAG_USERLOCK;
	tag.locktag_lockmethodid = lasting ? USER_LOCKMETHOD : DEFAULT_LOCKMETHOD;
	return tag;
}

static int
slot_count(void)
{
	static long cores = 0;

	if (hash_slots > 0)
		return hash_slots;
	if (cores == 0)
		cores = Max(sysconf(_SC_NPROCESSORS_ONLN), 1);
	return Min(cores, 4);
}

/*
 * Take any free slot; false when there is none.
 */
static bool
take_free_slot(LOCKTAG *slot)
{
	int count = slot_count();

	for (int i = 0; i < count; i++)
	{
		*slot = slot_tag(SLOT_HASH, (MyProcPid + i) % count, false);
		if (LockAcquire(slot, ExclusiveLock, false, true) !=
			LOCKACQUIRE_NOT_AVAIL)
			return true;
	}
	return false;
}

static bool
take_this_slot(LOCKTAG *slot)
{
	return LockAcquire(slot, ExclusiveLock, false, true) !=
		   LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Wait up to hash_wait. Of many who wait, only the one with the lock "next",
 * where there is such a lock, goes on looking often: a slot that comes free
 * stays so for a moment only, and the others need not all be awake for that.
 */
static bool
wait_for(bool (*take)(LOCKTAG *slot), LOCKTAG *slot, LOCKTAG *next)
{
	TimestampTz begin = GetCurrentTimestamp();
	long pause = FIRST_PAUSE;
	bool is_next = false;
	bool taken;

	while (!(taken = take(slot)) &&
		   !TimestampDifferenceExceeds(begin, GetCurrentTimestamp(), hash_wait))
	{
		if (next != NULL && !is_next)
			is_next = take_this_slot(next);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, pause,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		pause = is_next ? FIRST_PAUSE : Min(pause + FIRST_PAUSE, LONGEST_PAUSE);
	}
	if (is_next)
		LockRelease(next, ExclusiveLock, false);
	return taken;
}

/*
 * Whoever must wait shows it by a lock of his own.
 */
bool
hash_slot_try(LOCKTAG *slot)
{
	LOCKTAG mark = slot_tag(SLOT_HASH_QUEUE, MyProcPid, false);
	LOCKTAG next = slot_tag(SLOT_HASH_NEXT, 0, false);
	bool taken = take_free_slot(slot);

	if (taken)
		return true;
	(void) LockAcquire(&mark, ExclusiveLock, false, true);
	taken = wait_for(take_free_slot, slot, &next);
	LockRelease(&mark, ExclusiveLock, false);
	return taken;
}

bool
login_slot_try(uint64 number)
{
	LOCKTAG slot = slot_tag(SLOT_LOGIN, number, false);

	return wait_for(take_this_slot, &slot, NULL);
}

void
login_slot_release(uint64 number)
{
	LOCKTAG slot = slot_tag(SLOT_LOGIN, number, false);

	LockRelease(&slot, ExclusiveLock, false);
}

LOCKTAG
hash_slot_take(void)
{
	LOCKTAG slot;

	if (!hash_slot_try(&slot))
		ereport(ERROR,
				(errcode(ERRCODE_UM_BUSY),
				 errmsg("too many passwords are being hashed"),
				 errhint("Try again in a few seconds."), errhidestmt(true)));
	return slot;
}

void
hash_slot_release(const LOCKTAG *slot)
{
	LockRelease(slot, ExclusiveLock, false);
}

/*
 * How many hashes run and how many backends wait for a slot, in all databases.
 */
PG_FUNCTION_INFO_V1(hash_queue);
Datum
hash_queue(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	LockData *locks = GetLockStatusData();
	int running = 0;
	int waiting = 0;
	bool nulls[2] = {false};

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < locks->nelements; i++)
	{
		const LOCKTAG *tag = &locks->locks[i].locktag;

		if (tag->locktag_type != LOCKTAG_USERLOCK)
			continue;
		running += tag->locktag_field4 == SLOT_MAGIC + SLOT_HASH;
		waiting += tag->locktag_field4 == SLOT_MAGIC + SLOT_HASH_QUEUE;
	}
	tuplestore_putvalues(
		result->setResult, result->setDesc,
		(Datum[]){Int32GetDatum(running), Int32GetDatum(waiting)}, nulls);
	return (Datum) 0;
}
