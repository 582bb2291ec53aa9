/*
 * facade.c
 *	  Ordinary views and functions over the extension's, in a schema of the
 *	  application.
 *
 * Everything is made as the caller, and runs with the rights of whoever uses
 * it: the facade opens nothing that the role could not do before.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "core/address.h"
#include "core/spi_query.h"

SPI_QUERY(list_statements,
		  "SELECT s.text FROM usermgmt.facade_statements($1, $2)"
		  " WITH ORDINALITY AS s (text, n) ORDER BY s.n",
		  NAMEOID, NAMEOID);
SPI_QUERY(has_access,
		  "SELECT pg_catalog.has_function_privilege($1,"
		  " 'usermgmt.use_session(text, text)', 'execute') AS granted",
		  OIDOID);
SPI_QUERY(count_made,
		  "SELECT ((SELECT count(*) FROM pg_catalog.pg_class AS c"
		  " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
		  " WHERE n.nspname = $1 AND c.relkind = 'v')"
		  " + (SELECT count(*) FROM pg_catalog.pg_proc AS p"
		  " JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace"
		  " WHERE n.nspname = $1))::integer AS made",
		  NAMEOID);

static void
require_access(Oid role, const char *name)
{
	spi_run(has_access, ARG(OIDOID, ObjectIdGetDatum(role)));
	if (!row_bool(spi_row(0), "granted"))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" has no access to usermgmt", name),
				 errhint("Give it usermgmt.grant_access('%s', 'application') "
						 "first.",
						 name)));
}

static void
run_statements(Datum schema, Datum for_role)
{
	uint64 count =
		spi_run(list_statements, ARG(NAMEOID, schema), ARG(NAMEOID, for_role));
	SPITupleTable *rows = SPI_tuptable;

	for (uint64 i = 0; i < count; i++)
		if (SPI_execute(
				row_text((SpiRow){rows->vals[i], rows->tupdesc}, "text"), false,
				0) < 0)
			elog(ERROR, "could not make the facade");
}

PG_FUNCTION_INFO_V1(expose);
Datum
expose(PG_FUNCTION_ARGS)
{
	int32 made;

	if (PG_ARGISNULL(0))
		refuse_null("schema");
	if (NameStr(*PG_GETARG_NAME(0))[0] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("schema is empty")));
	if (PG_ARGISNULL(1))
		refuse_null("for_role");
	SPI_connect();
	require_access(get_role_oid(NameStr(*PG_GETARG_NAME(1)), false),
				   NameStr(*PG_GETARG_NAME(1)));
	run_statements(PG_GETARG_DATUM(0), PG_GETARG_DATUM(1));
	spi_run(count_made, ARG(NAMEOID, PG_GETARG_DATUM(0)));
	made = row_int(spi_row(0), "made");
	SPI_finish();
	PG_RETURN_INT32(made);
}
