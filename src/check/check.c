/*
 * check.c
 *	  Rows that break a foreign key.
 *
 * A parallel restore loads the tables in any order and the keys are armed
 * afterwards, unchecked: so whoever restored a part asks here. The keys are
 * read from the catalog, and their names quoted.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "core/spi_query.h"

SPI_QUERY(list_keys,
		  "SELECT c.conname::text AS name, child.relname::text AS child,"
		  " pg_catalog.format('SELECT count(*) FROM ONLY %s AS child"
		  " WHERE %s AND NOT EXISTS (SELECT FROM ONLY %s AS parent WHERE %s)',"
		  " c.conrelid::pg_catalog.regclass,"
		  " pg_catalog.string_agg(pg_catalog.format('child.%I IS NOT NULL',"
		  " a.attname), ' AND ' ORDER BY k.n),"
		  " c.confrelid::pg_catalog.regclass,"
		  " pg_catalog.string_agg(pg_catalog.format('parent.%I = child.%I',"
		  " p.attname, a.attname), ' AND ' ORDER BY k.n)) AS statement"
		  " FROM pg_catalog.pg_constraint AS c"
		  " JOIN pg_catalog.pg_class AS child ON child.oid = c.conrelid,"
		  " LATERAL unnest(c.conkey, c.confkey) WITH ORDINALITY"
		  " AS k (child_column, parent_column, n),"
		  " LATERAL (SELECT attname FROM pg_catalog.pg_attribute"
		  " WHERE attrelid = c.conrelid AND attnum = k.child_column) AS a,"
		  " LATERAL (SELECT attname FROM pg_catalog.pg_attribute"
		  " WHERE attrelid = c.confrelid AND attnum = k.parent_column) AS p"
		  " WHERE c.contype = 'f' AND child.relnamespace = $1"
		  " GROUP BY c.oid, c.conname, child.relname, c.conrelid, c.confrelid"
		  " ORDER BY child.relname, c.conname",
		  OIDOID);

static int64
count_broken(const char *statement)
{
	bool isnull;

	if (SPI_execute(statement, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not run \"%s\"", statement);
	return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0],
									   SPI_tuptable->tupdesc, 1, &isnull));
}

PG_FUNCTION_INFO_V1(check_references);
Datum
check_references(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	SPITupleTable *keys;
	uint64 count;

	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	count =
		spi_read(list_keys,
				 ARG(OIDOID, DirectFunctionCall1(regnamespacein,
												 CStringGetDatum("usermgmt"))));
	keys = SPI_tuptable;
	for (uint64 i = 0; i < count; i++)
	{
		SpiRow key = {keys->vals[i], keys->tupdesc};
		int64 broken = count_broken(row_text(key, "statement"));
		Datum values[4];
		bool nulls[4] = {false};

		if (broken == 0)
			continue;
		values[0] = CStringGetTextDatum("error");
		values[1] = CStringGetTextDatum("rows refer to what is not there");
		values[2] = CStringGetTextDatum(psprintf(
			"constraint %s.%s", row_text(key, "child"), row_text(key, "name")));
		values[3] = CStringGetTextDatum(psprintf(INT64_FORMAT " rows", broken));
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}
