/*
 * judge.c
 *	  The events of one seal against its list of members and its root.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "audit/erase.h"
#include "audit/judge.h"
#include "core/uuid.h"

SPI_QUERY(list_events, "SELECT " LEAF_COLUMNS " FROM usermgmt.audit_event"
					   " ORDER BY epoch, transaction_id, event_id");

/* One seal on trial. */
typedef struct Trial
{
	Verification *verification;
	const AuditSeal *seal;
	const SealMember *members;
	unsigned char tenant[8]; /* the tag of the tenant to judge */
	int expected;			 /* the member that is to come next */
	bool *found;
	Digest *leaves;
	bool is_sound;
} Trial;

void
stream_next(EventStream *stream)
{
	MemoryContext outer;
	SpiRow row;

	MemoryContextReset(stream->each);
	outer = MemoryContextSwitchTo(stream->each);
	stream->has_leaf = reader_next(&stream->reader, &row);
	if (stream->has_leaf)
		leaf_of(row, &stream->leaf);
	MemoryContextSwitchTo(outer);
}

void
stream_open(EventStream *stream)
{
	stream->reader = reader_open(SPI_OPEN(SPI_VIEW_QUERY, list_events), 500);
	stream->each = AllocSetContextCreate(CurrentMemoryContext, "judged event",
										 ALLOCSET_DEFAULT_SIZES);
	stream_next(stream);
}

void
stream_close(EventStream *stream)
{
	reader_close(&stream->reader);
	MemoryContextDelete(stream->each);
}

void
stream_skip(EventStream *stream, const AuditPosition *first)
{
	while (stream->has_leaf && position_compare(&stream->leaf.at, first) < 0)
		stream_next(stream);
}

/*
 * Report a problem with an event, if it is one of the tenant to judge: by the
 * list, or by what the row says now.
 */
static void
blame(Trial *trial, int member, const AuditLeaf *leaf, const char *problem)
{
	const pg_uuid_t *tenant = trial->verification->tenant;
	const pg_uuid_t *event_id =
		leaf != NULL ? &leaf->at.event_id : &trial->members[member].event_id;

	trial->is_sound = false;
	if (tenant == NULL ||
		(leaf != NULL && uuid_equal(&leaf->tenant_id, tenant)) ||
		(member >= 0 && memcmp(trial->members[member].tenant, trial->tenant,
							   sizeof(trial->tenant)) == 0))
		verify_report(trial->verification, trial->seal->seal_no, event_id,
					  problem);
}

/*
 * Which member this event is; -1 when it is none. In a sound seal it is the
 * expected one.
 */
static int
find_member(const Trial *trial, const pg_uuid_t *event_id)
{
	int count = trial->seal->event_count;

	for (int i = 0; i < count; i++)
	{
		int member = (trial->expected + i) % count;

		if (uuid_equal(&trial->members[member].event_id, event_id))
			return member;
	}
	return -1;
}

static void
judge_event(Trial *trial, const AuditLeaf *leaf)
{
	int member = find_member(trial, &leaf->at.event_id);
	SealMember now;

	if (member < 0 || trial->found[member])
	{
		blame(trial, -1, leaf, "inserted: no seal lists this event");
		return;
	}
	trial->found[member] = true;
	member_of(leaf, &now);
	memcpy(trial->leaves[member], leaf->hash, HASH_SIZE);
	if (memcmp(&now, &trial->members[member], sizeof(now)) != 0 &&
		!erasure_explains(trial->verification->bad_erasures, leaf,
						  &trial->members[member], trial->leaves[member]))
		blame(trial, member, leaf, "changed since it was sealed");
	else if (member < trial->expected)
		blame(trial, member, leaf, "reordered: it was sealed at another place");
	trial->expected = Max(trial->expected, member + 1);
}

void
judge_events(Verification *verification, const AuditSeal *seal,
			 EventStream *stream)
{
	int count = seal->event_count;
	Trial trial = {.verification = verification,
				   .seal = seal,
				   .members = (SealMember *) VARDATA_ANY(seal->members),
				   .found = palloc0(count * sizeof(bool)),
				   .leaves = palloc(count * sizeof(Digest)),
				   .is_sound = true};
	Digest root;

	if (verification->tenant != NULL)
		member_tenant(verification->tenant, trial.tenant);
	while (stream->has_leaf &&
		   position_compare(&stream->leaf.at, &seal->last) <= 0)
	{
		judge_event(&trial, &stream->leaf);
		stream_next(stream);
	}
	for (int i = 0; i < count; i++)
		if (!trial.found[i])
			blame(&trial, i, NULL, "missing: it was sealed and is not there");
	if (!trial.is_sound)
		return;
	merkle_root(trial.leaves, count, root);
	if (memcmp(root, seal->root, HASH_SIZE) != 0)
		verify_report(verification, seal->seal_no, NULL,
					  "the events of the seal do not give its root");
}

void
judge_retired(Verification *verification, const AuditSeal *seal,
			  EventStream *stream)
{
	Trial trial = {.verification = verification, .seal = seal};

	while (stream->has_leaf &&
		   position_compare(&stream->leaf.at, &seal->last) <= 0)
	{
		blame(&trial, -1, &stream->leaf,
			  "inserted: the events of its time were retired");
		stream_next(stream);
	}
}
