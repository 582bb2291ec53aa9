/*
 * reader.h: many rows, one after the other, in bounded memory.
 */
#ifndef USERMGMT_AUDIT_READER_H
#define USERMGMT_AUDIT_READER_H

#include "core/spi_query.h"

typedef struct RowReader
{
	Portal portal;
	int step; /* rows fetched at once */
	SPITupleTable *rows;
	uint64 next;
} RowReader;

/* Reads from the cursor, step rows at a time. */
extern RowReader reader_open(Portal portal, int step);

/* The next row, which lives until the next call; false at the end. */
extern bool reader_next(RowReader *reader, SpiRow *row);

extern void reader_close(RowReader *reader);

#endif
