/*
 * verify.c
 *	  Recompute the chain of seals, and say where it is broken.
 *
 * Everything is read with the snapshot of the calling query, so sealing and
 * retiring may go on. Seals and events are read side by side in order; memory
 * holds one seal and one event. Where a seal is missing or not genuine,
 * nothing is said about events up to the first of the next good one.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/memutils.h"

#include "audit/erase.h"
#include "audit/judge.h"
#include "audit/reader.h"
#include "core/address.h"
#include "core/errors.h"
#include "core/uuid.h"

SPI_QUERY(list_seals,
		  "SELECT " SEAL_COLUMNS " FROM usermgmt.audit_seal"
		  " WHERE seal_no <= $1 ORDER BY seal_no",
		  INT8OID);
SPI_QUERY(read_ends, "SELECT (SELECT h.seal_no FROM usermgmt.audit_head AS h)"
					 " AS head, (SELECT max(s.seal_no)"
					 " FROM usermgmt.audit_seal AS s) AS last");
SPI_QUERY(find_key_event,
		  "SELECT FROM usermgmt.audit_event WHERE tenant_id = $1"
		  " AND event_id = $2 AND action = 'audit.key_changed'"
		  " AND object_id = $3",
		  UUIDOID, UUIDOID, TEXTOID);
SPI_QUERY(find_retirement,
		  "SELECT FROM usermgmt.audit_event WHERE tenant_id = $1"
		  " AND event_id = $2 AND action = 'audit.retired'"
		  " AND (new ->> 'last_seal')::bigint >= $3",
		  UUIDOID, UUIDOID, INT8OID);
SPI_QUERY(find_tenant, "SELECT tenant_id FROM usermgmt.tenant WHERE slug = $1",
		  TEXTOID);

/* The walk along the chain. */
typedef struct Walk
{
	int64 seal_no; /* of the last seal */
	Digest hash;
	unsigned char public_key[crypto_sign_PUBLICKEYBYTES];
	bool is_lost; /* that seal can not be relied on */
	EventStream events;
} Walk;

void
verify_report(Verification *verification, int64 seal_no,
			  const pg_uuid_t *event_id, const char *problem)
{
	ReturnSetInfo *result = verification->result;
	bool nulls[] = {seal_no == 0, event_id == NULL, false};
	Datum values[] = {Int64GetDatum(seal_no),
					  event_id == NULL ? (Datum) 0 : UUIDPGetDatum(event_id),
					  (Datum) 0};

	verification->problems++;
	if (result == NULL)
		return;
	values[2] = CStringGetTextDatum(problem);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	pfree(DatumGetPointer(values[2]));
}

/*
 * Whether the list of members is the one that was signed.
 */
static bool
members_are_genuine(const AuditSeal *seal)
{
	size_t size = VARSIZE_ANY_EXHDR(seal->members);
	Digest digest;

	crypto_generichash(digest, HASH_SIZE,
					   (unsigned char *) VARDATA_ANY(seal->members), size, NULL,
					   0);
	return size == seal->event_count * sizeof(SealMember) &&
		   memcmp(digest, seal->members_digest, HASH_SIZE) == 0;
}

/*
 * What is wrong with the seal itself, or NULL.
 */
static const char *
flaw_of(const AuditSeal *seal, const Walk *walk)
{
	Digest none = {0};

	if (!seal_is_genuine(seal))
		return "the seal was altered: its signature is not genuine";
	if (!walk->is_lost &&
		memcmp(seal->previous, walk->seal_no > 0 ? walk->hash : none,
			   HASH_SIZE) != 0)
		return "the seal does not follow from the one before";
	if ((seal->members == NULL) == uuid_equal(&seal->retired, &uuid_nil))
		return "the seal was altered: its events are retired and listed, or "
			   "neither";
	if (seal->members != NULL && !members_are_genuine(seal))
		return "the seal was altered: the list of its events is not the signed "
			   "one";
	if (seal->members == NULL &&
		spi_read(find_retirement, ARG_UUID(uuid_nil), ARG_UUID(seal->retired),
				 ARG_BIGINT(seal->seal_no)) == 0)
		return "the events of the seal are gone, and no event says that they "
			   "were retired";
	return NULL;
}

/*
 * Whether the key is that of the seal before, or its change is in the trail.
 */
static bool
key_is_explained(const AuditSeal *seal, const Walk *walk)
{
	if (walk->is_lost || walk->seal_no == 0 || seal->members == NULL ||
		memcmp(seal->public_key, walk->public_key, sizeof(seal->public_key)) ==
			0)
		return true;
	return spi_read(
			   find_key_event, ARG_UUID(uuid_nil), ARG_UUID(seal->key_event_id),
			   ARG_TEXT(hex_of(seal->public_key, sizeof(seal->public_key)))) >
		   0;
}

static void
judge_seal(Verification *verification, const AuditSeal *seal, Walk *walk)
{
	const char *flaw;

	if (seal->seal_no != walk->seal_no + 1)
	{
		verify_report(verification, walk->seal_no + 1, NULL,
					  "the seal is missing");
		walk->is_lost = true;
	}
	flaw = flaw_of(seal, walk);
	if (flaw != NULL)
		verify_report(verification, seal->seal_no, NULL, flaw);
	else if (!key_is_explained(seal, walk))
		verify_report(verification, seal->seal_no, NULL,
					  "the seal was made with another key, and no event says "
					  "so");
	if (flaw == NULL)
	{
		if (walk->is_lost)
			stream_skip(&walk->events, &seal->first);
		if (seal->members == NULL)
			judge_retired(verification, seal, &walk->events);
		else
			judge_events(verification, seal, &walk->events);
	}
	walk->is_lost = flaw != NULL;
	walk->seal_no = seal->seal_no;
	seal_hash(seal, walk->hash);
	memcpy(walk->public_key, seal->public_key, sizeof(walk->public_key));
}

/*
 * The head of the chain is the number of its last seal.
 */
static void
judge_head(Verification *verification)
{
	SpiRow row;
	int64 head = 0;
	int64 last = 0;

	spi_read(read_ends);
	row = spi_row(0);
	if (!row_is_null(row, "head"))
		head = DatumGetInt64(row_value(row, "head"));
	if (!row_is_null(row, "last"))
		last = DatumGetInt64(row_value(row, "last"));
	if (last < head)
		verify_report(
			verification, last + 1, NULL,
			psprintf("the seal is missing, and all up to " INT64_FORMAT, head));
	if (last > head)
		verify_report(verification, last, NULL,
					  "the seal is later than the head of the chain");
}

void
verify_chain(Verification *verification)
{
	RowReader seals = reader_open(
		SPI_OPEN(SPI_VIEW_QUERY, list_seals, ARG_BIGINT(verification->upto)),
		16);
	MemoryContext each = AllocSetContextCreate(
		CurrentMemoryContext, "judged seal", ALLOCSET_DEFAULT_SIZES);
	Walk walk = {0};
	SpiRow row;

	verification->bad_erasures = judge_erasures(verification);
	stream_open(&walk.events);
	while (reader_next(&seals, &row))
	{
		MemoryContext outer = MemoryContextSwitchTo(each);
		AuditSeal seal;

		seal_of(row, &seal);
		judge_seal(verification, &seal, &walk);
		MemoryContextSwitchTo(outer);
		MemoryContextReset(each);
	}
	stream_close(&walk.events);
	reader_close(&seals);
	MemoryContextDelete(each);
	judge_head(verification);
}

/*
 * The tenant of this slug or id; an id need not exist any more.
 */
static pg_uuid_t
tenant_named(const char *name)
{
	pg_uuid_t tenant_id;

	if (uuid_parse(name, &tenant_id))
		return tenant_id;
	if (spi_read(find_tenant, ARG_TEXT(name)) == 0)
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
						errmsg("there is no such tenant"),
						errhint("Give the slug or the id of a tenant.")));
	return row_uuid(spi_row(0), "tenant_id");
}

PG_FUNCTION_INFO_V1(audit_verify);
Datum
audit_verify(PG_FUNCTION_ARGS)
{
	char *name = argument_text(fcinfo, 0);
	Verification verification = {.upto = PG_INT64_MAX};
	pg_uuid_t tenant_id;

	InitMaterializedSRF(fcinfo, 0);
	verification.result = (ReturnSetInfo *) fcinfo->resultinfo;
	SPI_connect();
	if (name != NULL)
	{
		tenant_id = tenant_named(name);
		verification.tenant = &tenant_id;
	}
	verify_chain(&verification);
	SPI_finish();
	return (Datum) 0;
}
