/*
 * erase.c
 *	  Erase a person, and leave the trail verifiable.
 *
 * The other tables come first, the trail last and in two passes: all of it, and
 * then, locked against every writer, what has come since. Who wrote before is
 * waited for and seen; who writes after reads what is left (audit_begin() locks
 * before it reads). So nothing of the person slips through in between, writers
 * wait only for the short second pass, and what this call itself makes the
 * triggers write is erased with the rest. Erasures go one after the other, and
 * not beside a retirement: each would hold what the other's lock of the trail
 * waits for.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "audit/audit.h"
#include "audit/erase.h"
#include "audit/reader.h"
#include "core/address.h"
#include "core/installation.h"
#include "core/slots.h"
#include "core/uuid.h"

#define NAMED_IN(x) " OR usermgmt.names_address(e." x ", $2)"

/* An event is about the person, or only written for the same reason in the same
 * transaction as one that is, or else names the person or what the person did.
 */
#define ABOUT                                                                  \
	" e.object_id = $1::text OR e.old ->> 'user_id' = $1::text"                \
	" OR e.new ->> 'user_id' = $1::text"                                       \
	" OR lower(e.subject_email COLLATE \"C\") = ANY ($2)"

#define TRACES(since)                                                          \
	"WITH shared AS MATERIALIZED (SELECT DISTINCT e.epoch,"                    \
	" e.transaction_id, e.reason FROM usermgmt.audit_event AS e"               \
	" WHERE " since " e.reason IS NOT NULL AND e.object_id = $1::text"         \
	" AND e.action <> 'person.erased')"                                        \
	" SELECT " LEAF_COLUMNS ", CASE"                                           \
	" WHEN e.action = 'person.erased' THEN 0 WHEN " ABOUT " THEN 2"            \
	" WHEN (e.epoch, e.transaction_id, e.reason) IN (TABLE shared)"            \
	" THEN 1 ELSE 0 END AS about FROM usermgmt.audit_event AS e"               \
	" WHERE " since " (e.actor_user_id = $1 OR " ABOUT                         \
	" OR (e.epoch, e.transaction_id, e.reason) IN (TABLE shared)" NAMED_IN(    \
		"subject_email") NAMED_IN("actor_email") NAMED_IN("object_id")         \
		NAMED_IN("reason") NAMED_IN("old::text") NAMED_IN("new::text") ")"

SPI_QUERY(find_horizon,
		  "SELECT i.epoch, pg_snapshot_xmin(pg_current_snapshot()) AS oldest"
		  " FROM usermgmt.installation AS i");
SPI_QUERY(list_traces, TRACES(""), UUIDOID, TEXTARRAYOID);
SPI_QUERY(list_late_traces,
		  TRACES("(e.epoch, e.transaction_id) >= ($3, $4) AND"), UUIDOID,
		  TEXTARRAYOID, INT4OID, XID8OID);
SPI_QUERY(change_event,
		  "UPDATE usermgmt.audit_event SET actor_email = $3, ip = $4,"
		  " object_id = $5, subject_email = $6, old = $7, new = $8,"
		  " reason = $9, salt = $10 WHERE tenant_id = $1 AND event_id = $2",
		  UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID,
		  JSONBOID, TEXTOID, UUIDOID);
SPI_QUERY(insert_erasure,
		  "INSERT INTO usermgmt.audit_erasure (erasure_id, tenant_id,"
		  " event_id, before, after) VALUES ($1, $2, $3, $4, $5)",
		  UUIDOID, UUIDOID, UUIDOID, BYTEAOID, BYTEAOID);

/* The columns under the commitment, counted from the first of them. */
enum
{
	ACTOR_EMAIL,
	IP,
	OBJECT_ID,
	SUBJECT_EMAIL,
	OLD,
	NEW,
	REASON,
	SALT,
	COMMITTED
};

/* How much an event has to do with the person. */
enum
{
	NAMES_ONLY,
	SHARES_REASON,
	IS_ABOUT
};

typedef struct Redaction
{
	Datum values[COMMITTED];
	bool nulls[COMMITTED];
	bool changed;
} Redaction;

static void
blot(Redaction *redaction, int column)
{
	if (redaction->nulls[column] ||
		strcmp(TextDatumGetCString(redaction->values[column]), ERASED) == 0)
		return;
	redaction->values[column] = CStringGetTextDatum(ERASED);
	redaction->changed = true;
}

static void
blot_naming(Redaction *redaction, int column, const ErasedPerson *person)
{
	text *value;

	if (redaction->nulls[column])
		return;
	value = DatumGetTextPP(redaction->values[column]);
	if (names_person(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), person))
		blot(redaction, column);
}

static void
blot_document(Redaction *redaction, int column, const ErasedPerson *person,
			  bool about)
{
	Datum redacted;

	if (redaction->nulls[column])
		return;
	redacted = redact_document(redaction->values[column], person, about);
	redaction->changed |= redacted != redaction->values[column];
	redaction->values[column] = redacted;
}

/*
 * What is left of the event: of who acted address and network address go; of
 * the person concerned also names, the reason, and what the application kept.
 */
static Redaction
redact_event(const AuditLeaf *leaf, const ErasedPerson *person, int about)
{
	const int first = LEAF_WIDTH - COMMITTED;
	bool acted = !leaf->nulls[5] &&
				 uuid_equal(DatumGetUUIDP(leaf->values[5]), &person->user_id);
	Redaction redaction;

	memcpy(redaction.values, leaf->values + first, sizeof(redaction.values));
	memcpy(redaction.nulls, leaf->nulls + first, sizeof(redaction.nulls));
	redaction.changed = false;
	for (int i = ACTOR_EMAIL; i <= SUBJECT_EMAIL; i++)
		blot_naming(&redaction, i, person);
	blot_naming(&redaction, REASON, person);
	if (acted)
	{
		blot(&redaction, ACTOR_EMAIL);
		blot(&redaction, IP);
	}
	if (about >= SHARES_REASON)
		blot(&redaction, REASON);
	if (about == IS_ABOUT)
	{
		blot(&redaction, SUBJECT_EMAIL);
		if (strcmp(TextDatumGetCString(leaf->values[9]), "account_identity") ==
			0)
			blot(&redaction, OBJECT_ID);
	}
	blot_document(&redaction, OLD, person, about == IS_ABOUT);
	blot_document(&redaction, NEW, person, about == IS_ABOUT);
	return redaction;
}

static SpiArg
arg_of(const Redaction *redaction, int column, Oid type)
{
	return (SpiArg){type, redaction->values[column], redaction->nulls[column]};
}

/*
 * Store what is left, and both commitments.
 */
static void
store_redaction(const pg_uuid_t *erasure_id, const AuditLeaf *leaf,
				Redaction *redaction)
{
	pg_uuid_t salt = uuid_random();
	Digest after;

	redaction->values[SALT] = UUIDPGetDatum(&salt);
	leaf_commit(redaction->values, redaction->nulls, after);
	spi_run(
		change_event, ARG_UUID(leaf->tenant_id), ARG_UUID(leaf->at.event_id),
		arg_of(redaction, ACTOR_EMAIL, TEXTOID), arg_of(redaction, IP, TEXTOID),
		arg_of(redaction, OBJECT_ID, TEXTOID),
		arg_of(redaction, SUBJECT_EMAIL, TEXTOID),
		arg_of(redaction, OLD, JSONBOID), arg_of(redaction, NEW, JSONBOID),
		arg_of(redaction, REASON, TEXTOID), arg_of(redaction, SALT, UUIDOID));
	spi_run(
		insert_erasure, ARG_UUID(*erasure_id), ARG_UUID(leaf->tenant_id),
		ARG_UUID(leaf->at.event_id),
		ARG(BYTEAOID, PointerGetDatum(bytea_of(leaf->commitment, HASH_SIZE))),
		ARG(BYTEAOID, PointerGetDatum(bytea_of(after, HASH_SIZE))));
}

/*
 * Erase the person from these events; how many changed.
 */
static int32
erase_listed(const pg_uuid_t *erasure_id, const ErasedPerson *person,
			 Portal traces)
{
	RowReader events = reader_open(traces, 100);
	MemoryContext each = AllocSetContextCreate(
		CurrentMemoryContext, "erased event", ALLOCSET_DEFAULT_SIZES);
	int32 count = 0;
	SpiRow row;

	audit_unlock();
	while (reader_next(&events, &row))
	{
		MemoryContext outer = MemoryContextSwitchTo(each);
		AuditLeaf leaf;
		Redaction redaction;
		int about = row_int(row, "about");

		leaf_of(row, &leaf);
		redaction = redact_event(&leaf, person, about);
		if (redaction.changed)
		{
			store_redaction(erasure_id, &leaf, &redaction);
			count++;
		}
		MemoryContextSwitchTo(outer);
		MemoryContextReset(each);
	}
	audit_lock();
	reader_close(&events);
	MemoryContextDelete(each);
	return count;
}

/*
 * From all events; from the lock on nobody writes any until the transaction
 * ends, nor a reason anywhere else. What the first pass does not see is of a
 * transaction that was running when it began, or is newer.
 */
static int32
erase_traces(const pg_uuid_t *erasure_id, const ErasedPerson *person)
{
	SpiArg id = ARG_UUID(person->user_id);
	SpiArg addresses = ARG(TEXTARRAYOID, person->addresses);
	SpiArg epoch;
	SpiArg oldest;
	int32 count;

	spi_latest(find_horizon);
	epoch = ARG_INT(row_int(spi_row(0), "epoch"));
	oldest = ARG(XID8OID, row_value(spi_row(0), "oldest"));
	count = erase_listed(erasure_id, person,
						 SPI_OPEN(SPI_VIEW_LATEST, list_traces, id, addresses));
	LockRelationOid(
		get_relname_relid("audit_event", get_namespace_oid("usermgmt", false)),
		ShareRowExclusiveLock);
	person_forget_words(person);
	return count + erase_listed(erasure_id, person,
								SPI_OPEN(SPI_VIEW_LATEST, list_late_traces, id,
										 addresses, epoch, oldest));
}

static void
record_erasure(const pg_uuid_t *erasure_id, const pg_uuid_t *user_id,
			   const char *reason, int32 count)
{
	Digest digest;
	char *document;

	erasure_digest(erasure_id, SPI_VIEW_LATEST, digest);
	document = psprintf("{\"events\": %d, \"digest\": \"%s\"}", count,
						hex_of(digest, HASH_SIZE));
	audit_write(&(AuditEvent){
		.event_id = erasure_id,
		.action = "person.erased",
		.object_type = "account",
		.object_id = uuid_text(user_id),
		.tenant_id = &uuid_nil,
		.after = DirectFunctionCall1(jsonb_in, CStringGetDatum(document)),
		.reason = reason});
}

PG_FUNCTION_INFO_V1(erase_person);
Datum
erase_person(PG_FUNCTION_ARGS)
{
	LOCKTAG eraser = slot_tag(SLOT_ERASE, 0, false);
	char *reason = plain_text(argument_text(fcinfo, 1), "reason", 500, true);
	pg_uuid_t erasure_id = uuid_make(GetCurrentTimestamp());
	pg_uuid_t user_id;
	ErasedPerson person;
	int32 count;

	user_id = argument_uuid(fcinfo, 0, "user_id");
	if (IsolationUsesXactSnapshot())
		ereport(ERROR, (errcode(ERRCODE_INVALID_TRANSACTION_STATE),
						errmsg("a person can only be erased in a transaction "
							   "of the isolation level READ COMMITTED")));
	SPI_connect();
	begin_writing(fcinfo);
	(void) LockAcquire(&eraser, ExclusiveLock, false, false);
	person = person_forget(&user_id);
	count = erase_traces(&erasure_id, &person);
	if (count > 0)
		record_erasure(&erasure_id, &user_id, reason, count);
	SPI_finish();
	PG_RETURN_INT32(count);
}
