/*
 * writer.h: rows into the trail without a statement for each.
 */
#ifndef USERMGMT_AUDIT_WRITER_H
#define USERMGMT_AUDIT_WRITER_H

#include "nodes/execnodes.h"

#define EVENT_WIDTH 18
#define WRITER_ROWS 256 /* kept before they are stored */

/* The columns of audit_event in their order. */
typedef struct EventRow
{
	Datum values[EVENT_WIDTH];
	bool nulls[EVENT_WIDTH];
} EventRow;

typedef struct TrailWriter
{
	EState *estate; /* NULL: the table has triggers, so SPI inserts */
	ResultRelInfo *target;
	MemoryContext memory; /* of the rows kept now */
	TupleTableSlot *slots[WRITER_ROWS];
	int slot_count; /* made so far */
	int row_count;	/* kept now */
} TrailWriter;

/* Locks the trail; the SPI connection is open until writer_close(), which
 * stores what is left. Constraints are checked; an error leaves nothing that
 * the end of the transaction does not free. */
extern void writer_open(TrailWriter *writer);

/* Takes a row, whose values stay until the end or are in the writer's memory:
 * that is emptied when rows were stored, which leaves row_count at 0. */
extern void writer_add(TrailWriter *writer, const EventRow *row);
extern void writer_close(TrailWriter *writer);

#endif
