/*
 * row_insert.h: a row is inserted as by a statement that is set up already.
 *
 * ROW_INSERT declares a table, columns of it, and their types. Columns that are
 * not named stay NULL, or get the default that somebody gave them.
 */
#ifndef USERMGMT_ROW_INSERT_H
#define USERMGMT_ROW_INSERT_H

#include "core/spi_query.h"

typedef struct RowInsert
{
	SpiQuery statement;
	const char *table;
	const char *columns;
	struct Prepared *prepared;
	int changes; /* of the table, seen so far */
} RowInsert;

/* clang-format off */
#define ROW_INSERT(name, table, columns, parameters, ...) \
	static const Oid name##_types[] = {__VA_ARGS__}; \
	static RowInsert name = { \
		{"INSERT INTO usermgmt." table " (" columns ")" \
		 " VALUES (" parameters ")", \
		 lengthof(name##_types), name##_types, NULL}, table, columns, NULL, 0}

/* Insert this row. The caller runs as the owner of the table. */
#define row_insert(name, ...) \
	(StaticAssertExpr(sizeof(SPI_ARGS(__VA_ARGS__)) / sizeof(SpiArg) == \
					  lengthof(name##_types), "wrong number of arguments"), \
	 row_insert_values(&(name), SPI_ARGS(__VA_ARGS__)))
/* clang-format on */

/* What row_insert calls. */
extern void row_insert_values(RowInsert *insert, const SpiArg *args);

#endif
