/*
 * lookup.c
 *	  Find a session by its primary key: the hot path of every request.
 *
 * A direct index scan, not SPI: it takes half the time, needs no privileges
 * and no search_path of the caller, and reads with a fresh snapshot, so that a
 * revocation is seen inside a running transaction at every isolation level.
 */
#include "postgres.h"

#include "sodium.h"

#include "access/genam.h"
#include "access/tableam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "core/compat.h"
#include "session/session.h"
#include "session/standby.h"

/* The columns that validation reads. */
typedef enum Column
{
	TOKEN_HASH,
	STATE,
	EXPIRES_AT,
	USER_ID,
	ROLE,
	EMAIL,
	LAST_USED_AT,
	IP,
	IDLE_SECONDS,
	COLUMN_COUNT
} Column;

#define FIRST_NULLABLE IP

static const char *const column_names[] = {
	[TOKEN_HASH] = "token_hash",
	[STATE] = "state",
	[EXPIRES_AT] = "expires_at",
	[USER_ID] = "user_id",
	[ROLE] = "role",
	[EMAIL] = "email",
	[LAST_USED_AT] = "last_used_at",
	[IP] = "ip",
	[IDLE_SECONDS] = "idle_seconds",
};

/*
 * A column by name. Where it was found the last time is only where to look
 * first: a later version of the table may have it elsewhere.
 */
static Datum
column(TupleTableSlot *slot, Column wanted, bool *isnull)
{
	static int last[COLUMN_COUNT];
	TupleDesc desc = slot->tts_tupleDescriptor;
	int number = last[wanted];

	if (number < 1 || number > desc->natts ||
		strcmp(NameStr(TupleDescAttr(desc, number - 1)->attname),
			   column_names[wanted]) != 0)
	{
		number = SPI_fnumber(desc, column_names[wanted]);
		if (number < 1)
			elog(ERROR, "the table of sessions has no column \"%s\"",
				 column_names[wanted]);
		last[wanted] = number;
	}
	return slot_getattr(slot, number, isnull);
}

static bool
same_text(Datum value, const char *expected)
{
	text *t = DatumGetTextPP(value);

	return VARSIZE_ANY_EXHDR(t) == strlen(expected) &&
		   memcmp(VARDATA_ANY(t), expected, strlen(expected)) == 0;
}

/*
 * When the session ends unless it is used: by its expiry, or by being idle.
 */
TimestampTz
session_end(const Actor *actor)
{
	if (actor->idle_seconds == 0)
		return actor->expires_at;
	return Min(actor->expires_at,
			   actor->last_used_at + actor->idle_seconds * USECS_PER_SEC);
}

/*
 * Take the actor from the row, if the session is open and the hash fits.
 */
static bool
read_row(TupleTableSlot *slot, const unsigned char *hash, Actor *actor)
{
	bool nulls[COLUMN_COUNT];
	Datum values[COLUMN_COUNT];
	bytea *stored;

	for (Column c = 0; c < COLUMN_COUNT; c++)
		values[c] = column(slot, c, &nulls[c]);
	for (Column c = 0; c < FIRST_NULLABLE; c++)
		if (nulls[c])
			return false;
	stored = DatumGetByteaPP(values[TOKEN_HASH]);
	if (VARSIZE_ANY_EXHDR(stored) != TOKEN_HASH_SIZE)
		return false;
	memcpy(actor->token_hash, VARDATA_ANY(stored), TOKEN_HASH_SIZE);
	if (hash != NULL &&
		sodium_memcmp(hash, actor->token_hash, TOKEN_HASH_SIZE) != 0)
		return false;
	actor->expires_at = DatumGetTimestampTz(values[EXPIRES_AT]);
	actor->last_used_at = DatumGetTimestampTz(values[LAST_USED_AT]);
	actor->idle_seconds =
		nulls[IDLE_SECONDS] ? 0 : DatumGetInt32(values[IDLE_SECONDS]);
	actor->ends_at = session_end(actor);
	if (!same_text(values[STATE], "open") ||
		actor->ends_at <= GetCurrentTimestamp())
		return false;
	actor->user_id = *DatumGetUUIDP(values[USER_ID]);
	actor->role = role_parse(TextDatumGetCString(values[ROLE]));
	text_to_cstring_buffer(DatumGetTextPP(values[EMAIL]), actor->email,
						   sizeof(actor->email));
	actor->ip[0] = '\0';
	if (!nulls[IP])
		text_to_cstring_buffer(DatumGetTextPP(values[IP]), actor->ip,
							   sizeof(actor->ip));
	return true;
}

bool
session_read(const pg_uuid_t *session_id, const pg_uuid_t *tenant_id,
			 const unsigned char *hash, Actor *actor)
{
	Relation sessions = table_open(
		get_relname_relid("session", get_namespace_oid("usermgmt", false)),
		AccessShareLock);
	Relation key = index_open(RelationGetPrimaryKeyIndex(sessions, false),
							  AccessShareLock);
	TupleTableSlot *slot = table_slot_create(sessions, NULL);
	Snapshot snapshot = RegisterSnapshot(
		IsInParallelMode() ? GetActiveSnapshot() : GetLatestSnapshot());
	IndexScanDesc scan = index_beginscan(sessions, key, snapshot, NULL, 2, 0);
	ScanKeyData keys[2];
	bool found;

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(session_id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_UUID_EQ,
				UUIDPGetDatum(tenant_id));
	index_rescan(scan, keys, 2, NULL, 0);
	found = index_getnext_slot(scan, ForwardScanDirection, slot) &&
			read_row(slot, hash, actor) && standby_is_fresh();
	actor->session_id = *session_id;
	actor->tenant_id = *tenant_id;
	index_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	index_close(key, AccessShareLock);
	table_close(sessions, AccessShareLock);
	return found;
}
