/*
 * spi_query.c
 *	  A statement is declared once, its plan is kept, and it runs in one line.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "funcapi.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "core/spi_query.h"

#define OUR_PATH "pg_catalog, usermgmt, pg_temp" /* of every definer */

SpiArg
spi_arg_text(const char *s)
{
	if (s == NULL)
		return ARG_NULL(TEXTOID);
	return ARG(TEXTOID, CStringGetTextDatum(s));
}

SpiArg
spi_arg_uuid(const pg_uuid_t *u)
{
	if (u == NULL)
		return ARG_NULL(UUIDOID);
	return ARG(UUIDOID, UUIDPGetDatum(u));
}

SpiArg
spi_arg_jsonb(const Jsonb *j)
{
	if (j == NULL)
		return ARG_NULL(JSONBOID);
	return ARG(JSONBOID, JsonbPGetDatum(j));
}

/*
 * Prepare a generic plan once; a plan for particular values would never pay.
 */
static void
prepare(SpiQuery *query)
{
	SPIPlanPtr plan =
		SPI_prepare_cursor(query->text, query->nargs, (Oid *) query->types,
						   CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", query->text,
			 SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	query->plan = plan;
}

/*
 * Whatever a statement of ours sets off, such as a trigger behind a foreign key
 * of the application, may have changed the search_path: the next would call
 * operators that somebody else chose, with our rights.
 */
static void
keep_path(void)
{
	if (strcmp(namespace_search_path, OUR_PATH) != 0)
		(void) set_config_option("search_path", OUR_PATH, PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
								 false);
}

/*
 * Prepare the statement where that is still to be done, and take its arguments
 * apart.
 */
static void
set_out(SpiQuery *query, const SpiArg *args, Datum *values, char *nulls)
{
	keep_path();
	if (query->plan == NULL)
		prepare(query);
	for (int i = 0; i < query->nargs; i++)
	{
		if (args[i].type != query->types[i])
			elog(ERROR, "argument %d of \"%s\" has type %u, not %u", i + 1,
				 query->text, args[i].type, query->types[i]);
		values[i] = args[i].value;
		nulls[i] = args[i].isnull ? 'n' : ' ';
	}
}

/*
 * What is committed by now, and of this transaction all commands so far, or
 * those before the present one.
 */
static Snapshot
snapshot_of(SpiView view)
{
	Snapshot latest = GetLatestSnapshot();

	if (view == SPI_VIEW_BEFORE)
		latest->curcid = GetActiveSnapshot()->curcid;
	return latest;
}

uint64
spi_execute(SpiQuery *query, const SpiArg *args, SpiView view)
{
	Datum values[FUNC_MAX_ARGS];
	char nulls[FUNC_MAX_ARGS];
	int result;
	MemoryContext context = CurrentMemoryContext;

	set_out(query, args, values, nulls);
	if (view >= SPI_VIEW_LATEST && !IsInParallelMode())
		result =
			SPI_execute_snapshot(query->plan, values, nulls, snapshot_of(view),
								 InvalidSnapshot, true, true, 0);
	else
		result = SPI_execute_plan(query->plan, values, nulls,
								  view != SPI_VIEW_COMMAND, 0);
	MemoryContextSwitchTo(context); /* SPI leaves its own */
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", query->text,
			 SPI_result_code_string(result));
	return SPI_processed;
}

Portal
spi_cursor(SpiQuery *query, const SpiArg *args, SpiView view)
{
	Datum values[FUNC_MAX_ARGS];
	char nulls[FUNC_MAX_ARGS];
	Portal portal;

	set_out(query, args, values, nulls);
	if (view == SPI_VIEW_LATEST)
		PushActiveSnapshot(GetLatestSnapshot());
	portal = SPI_cursor_open(NULL, query->plan, values, nulls,
							 view != SPI_VIEW_COMMAND);
	if (view == SPI_VIEW_LATEST)
		PopActiveSnapshot();
	return portal;
}

SpiRow
spi_row(uint64 index)
{
	SpiRow row;

	if (SPI_tuptable == NULL || index >= SPI_tuptable->numvals)
		elog(ERROR, "statement gave no row " UINT64_FORMAT, index);
	row.tuple = SPI_tuptable->vals[index];
	row.desc = SPI_tuptable->tupdesc;
	return row;
}

Datum
row_datum(SpiRow row, const char *column, bool *isnull)
{
	int number = SPI_fnumber(row.desc, column);

	if (number <= 0)
		elog(ERROR, "statement gave no column \"%s\"", column);
	return SPI_getbinval(row.tuple, row.desc, number, isnull);
}

/*
 * The value of a column that is never NULL; in a BEFORE trigger it may be, and
 * what the constraint would say is said here.
 */
Datum
row_value(SpiRow row, const char *column)
{
	bool isnull;
	Datum value = row_datum(row, column, &isnull);

	if (isnull)
		ereport(ERROR, (errcode(ERRCODE_NOT_NULL_VIOLATION),
						errmsg("column \"%s\" must not be null", column)));
	return value;
}

pg_uuid_t
row_uuid(SpiRow row, const char *column)
{
	return *DatumGetUUIDP(row_value(row, column));
}

char *
row_text(SpiRow row, const char *column)
{
	Assert(SPI_gettypeid(row.desc, SPI_fnumber(row.desc, column)) == TEXTOID);
	return TextDatumGetCString(row_value(row, column));
}

char *
row_text_or_null(SpiRow row, const char *column)
{
	return row_is_null(row, column) ? NULL : row_text(row, column);
}

int32
row_int(SpiRow row, const char *column)
{
	return DatumGetInt32(row_value(row, column));
}

bool
row_bool(SpiRow row, const char *column)
{
	return DatumGetBool(row_value(row, column));
}

TimestampTz
row_time(SpiRow row, const char *column)
{
	return DatumGetTimestampTz(row_value(row, column));
}

bool
row_is_null(SpiRow row, const char *column)
{
	bool isnull;

	row_datum(row, column, &isnull);
	return isnull;
}

Datum
spi_finish_with_row(FunctionCallInfo fcinfo)
{
	return spi_finish_with(fcinfo, spi_row(0));
}

Datum
spi_finish_with(FunctionCallInfo fcinfo, SpiRow row)
{
	Datum *values = palloc(row.desc->natts * sizeof(Datum));
	bool *nulls = palloc(row.desc->natts * sizeof(bool));
	TupleDesc result;
	HeapTupleHeader tuple;

	if (get_call_result_type(fcinfo, NULL, &result) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "function does not return a row");
	if (result->natts > row.desc->natts)
		elog(ERROR, "statement gave %d columns where %d were declared",
			 row.desc->natts, result->natts);
	for (int i = 0; i < result->natts; i++)
		if (TupleDescAttr(result, i)->atttypid !=
			TupleDescAttr(row.desc, i)->atttypid)
			elog(ERROR, "statement gave another type in column \"%s\"",
				 NameStr(TupleDescAttr(result, i)->attname));
	heap_deform_tuple(row.tuple, row.desc, values, nulls);
	tuple = SPI_returntuple(heap_form_tuple(result, values, nulls),
							BlessTupleDesc(result));
	SPI_finish();
	return HeapTupleHeaderGetDatum(tuple);
}
