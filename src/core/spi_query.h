/*
 * spi_query.h: a statement is declared once and runs in one line.
 *
 * SPI_QUERY declares a constant statement with the types of its parameters;
 * its plan is prepared at first use and kept for the life of the backend.
 * The caller holds the SPI connection, and rows live until SPI_finish().
 * The number of arguments is checked by the compiler, their types when run.
 */
#ifndef USERMGMT_SPI_QUERY_H
#define USERMGMT_SPI_QUERY_H

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

typedef struct SpiQuery
{
	const char *text;
	int nargs;
	const Oid *types;
	SPIPlanPtr plan;
} SpiQuery;

typedef struct SpiArg
{
	Oid type;
	Datum value;
	bool isnull;
} SpiArg;

/* One row of a result; its values live until SPI_finish(). */
typedef struct SpiRow
{
	HeapTuple tuple;
	TupleDesc desc;
} SpiRow;

/* The snapshot a statement sees. */
typedef enum SpiView
{
	SPI_VIEW_COMMAND, /* a new command of this transaction; may write */
	SPI_VIEW_QUERY,	  /* the snapshot of the calling query; reads only */
	SPI_VIEW_LATEST,  /* everything committed by now, at every isolation level;
						 reads only; within a parallel query, as above */
	SPI_VIEW_BEFORE	  /* for a trigger: the same, but nothing that the statement
						 that set it off has changed */
} SpiView;

/* clang-format off */
#define SPI_QUERY(name, sql, ...) \
	static const Oid name##_types[] = {__VA_ARGS__}; \
	static SpiQuery name = {sql, lengthof(name##_types), name##_types, NULL}

#define SPI_ARGS(...) ((SpiArg[]){__VA_ARGS__})
#define SPI_CALL(view, name, ...) \
	(AssertVariableIsOfTypeMacro(name, SpiQuery), \
	 StaticAssertExpr(sizeof(SPI_ARGS(__VA_ARGS__)) / sizeof(SpiArg) == \
					  lengthof(name##_types), "wrong number of arguments"), \
	 spi_execute(&(name), SPI_ARGS(__VA_ARGS__), view))
#define SPI_OPEN(view, name, ...) \
	(AssertVariableIsOfTypeMacro(name, SpiQuery), \
	 StaticAssertExpr(sizeof(SPI_ARGS(__VA_ARGS__)) / sizeof(SpiArg) == \
					  lengthof(name##_types), "wrong number of arguments"), \
	 spi_cursor(&(name), SPI_ARGS(__VA_ARGS__), view))

/* Run it; the number of rows found or changed. */
#define spi_run(...)	SPI_CALL(SPI_VIEW_COMMAND, __VA_ARGS__)
#define spi_read(...)	SPI_CALL(SPI_VIEW_QUERY, __VA_ARGS__)
#define spi_latest(...)	SPI_CALL(SPI_VIEW_LATEST, __VA_ARGS__)
#define spi_before(...)	SPI_CALL(SPI_VIEW_BEFORE, __VA_ARGS__)

#define ARG(oid, datum)		((SpiArg){(oid), (datum), false})
#define ARG_NULL(oid)		((SpiArg){(oid), (Datum) 0, true})
#define ARG_UUID(u)			ARG(UUIDOID, UUIDPGetDatum(&(u)))
#define ARG_OPT_UUID(p)		spi_arg_uuid(p)
#define ARG_TEXT(s)			spi_arg_text(s)
#define ARG_JSONB(j)		spi_arg_jsonb(j)
#define ARG_INT(i)			ARG(INT4OID, Int32GetDatum(i))
#define ARG_BIGINT(i)		ARG(INT8OID, Int64GetDatum(i))
#define ARG_BOOL(b)			ARG(BOOLOID, BoolGetDatum(b))
#define ARG_TIME(t)			ARG(TIMESTAMPTZOID, TimestampTzGetDatum(t))
/* clang-format on */

/* A text argument; NULL when s is NULL. */
extern SpiArg spi_arg_text(const char *s);

/* A uuid argument; NULL when u is NULL. */
extern SpiArg spi_arg_uuid(const pg_uuid_t *u);

/* A jsonb argument; NULL when j is NULL. */
extern SpiArg spi_arg_jsonb(const Jsonb *j);

/* What spi_run, spi_read, spi_latest and spi_before call. */
extern uint64 spi_execute(SpiQuery *query, const SpiArg *args, SpiView view);

/* Opens a cursor for reading many rows (SPI_cursor_fetch); not in parallel
 * mode with SPI_VIEW_LATEST. */
extern Portal spi_cursor(SpiQuery *query, const SpiArg *args, SpiView view);

/* The row of the last statement at this index, which must exist. */
extern SpiRow spi_row(uint64 index);

/* Values of a row by column name; NULL values are an internal error unless
 * the function is one of the nullable ones. Text is a fresh C string. */
extern Datum row_datum(SpiRow row, const char *column, bool *isnull);
extern Datum row_value(SpiRow row, const char *column);
extern pg_uuid_t row_uuid(SpiRow row, const char *column);
extern char *row_text(SpiRow row, const char *column);
extern char *row_text_or_null(SpiRow row, const char *column);
extern int32 row_int(SpiRow row, const char *column);
extern bool row_bool(SpiRow row, const char *column);
extern TimestampTz row_time(SpiRow row, const char *column);
extern bool row_is_null(SpiRow row, const char *column);

/* The first row of the last statement as the composite that the SQL function
 * returns, copied out of SPI; its first columns must match, more are left out.
 * Ends the connection. */
extern Datum spi_finish_with_row(FunctionCallInfo fcinfo);

/* The same with this row, of whichever statement. */
extern Datum spi_finish_with(FunctionCallInfo fcinfo, SpiRow row);

#endif
