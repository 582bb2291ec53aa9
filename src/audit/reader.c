/*
 * reader.c
 *	  Fetch from a cursor in steps, and free what was read.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "audit/reader.h"

RowReader
reader_open(Portal portal, int step)
{
	return (RowReader){.portal = portal, .step = step};
}

bool
reader_next(RowReader *reader, SpiRow *row)
{
	if (reader->rows == NULL || reader->next == reader->rows->numvals)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_freetuptable(reader->rows);
		SPI_cursor_fetch(reader->portal, true, reader->step);
		reader->rows = SPI_tuptable;
		reader->next = 0;
		if (reader->rows->numvals == 0)
			return false;
	}
	row->tuple = reader->rows->vals[reader->next++];
	row->desc = reader->rows->tupdesc;
	return true;
}

void
reader_close(RowReader *reader)
{
	SPI_freetuptable(reader->rows);
	SPI_cursor_close(reader->portal);
	reader->rows = NULL;
}
