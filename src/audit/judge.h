/*
 * judge.h: compares the events of one seal with what was sealed.
 */
#ifndef USERMGMT_AUDIT_JUDGE_H
#define USERMGMT_AUDIT_JUDGE_H

#include "audit/reader.h"
#include "audit/verify.h"

/* The events in the order of sealing, one ahead. */
typedef struct EventStream
{
	RowReader reader;
	MemoryContext each; /* reset for every event */
	AuditLeaf leaf;
	bool has_leaf;
} EventStream;

extern void stream_open(EventStream *stream);
extern void stream_next(EventStream *stream);
extern void stream_close(EventStream *stream);

/* Skips the events before this position, which nothing can be said about. */
extern void stream_skip(EventStream *stream, const AuditPosition *first);

/* Compares the events up to the last one of the seal, whose header and list of
 * members are genuine. */
extern void judge_events(Verification *verification, const AuditSeal *seal,
						 EventStream *stream);

/* Compares the events of a retired seal: there must be none. */
extern void judge_retired(Verification *verification, const AuditSeal *seal,
						  EventStream *stream);

#endif
