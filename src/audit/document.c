/*
 * document.c
 *	  A row as jsonb, the same as to_jsonb(row) would make it.
 *
 * The common types are put together without a detour over text; a row with
 * any other takes that.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/bytea.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "audit/audit.h"
#include "core/uuid.h"

static void
set_plain(const char *setting, const char *value)
{
	(void) set_config_option(setting, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * 0 where nothing has to be set, which is nearly always: a level of settings
 * costs a look at every setting there is.
 */
int
plain_values_begin(void)
{
	int level;

	if (DateStyle == USE_ISO_DATES && IntervalStyle == INTSTYLE_POSTGRES &&
		bytea_output == BYTEA_OUTPUT_HEX && extra_float_digits >= 1)
		return 0;
	level = NewGUCNestLevel();
	set_plain("datestyle", "ISO");
	set_plain("intervalstyle", "postgres");
	set_plain("bytea_output", "hex");
	set_plain("extra_float_digits", "1");
	return level;
}

void
plain_values_end(int level)
{
	if (level > 0)
		AtEOXact_GUC(false, level);
}

/*
 * Through the text of row_to_json().
 */
static Datum
row_through_text(TupleDesc desc, const Datum *values, const bool *nulls,
				 const bool *include)
{
	Datum *shown = palloc(desc->natts * sizeof(Datum));
	bool *absent = palloc(desc->natts * sizeof(bool));
	TupleDesc part;
	int count = 0;
	Datum record;

	for (int i = 0; i < desc->natts; i++)
		count += include[i];
	part = CreateTemplateTupleDesc(count);
	count = 0;
	for (int i = 0; i < desc->natts; i++)
	{
		if (!include[i])
			continue;
		shown[count] = values[i];
		absent[count] = nulls[i];
		TupleDescCopyEntry(part, ++count, desc, i + 1);
	}
	part = BlessTupleDesc(part);
	record =
		heap_copy_tuple_as_datum(heap_form_tuple(part, shown, absent), part);
	return DirectFunctionCall1(jsonb_in,
							   CStringGetDatum(TextDatumGetCString(
								   DirectFunctionCall1(row_to_json, record))));
}

static void
set_string(JsonbValue *member, char *text, int length)
{
	member->type = jbvString;
	member->val.string.val = text;
	member->val.string.len = length;
}

static void
set_numeric(JsonbValue *member, Numeric number)
{
	member->type = jbvNumeric;
	member->val.numeric = number;
}

static void
set_jsonb(JsonbValue *member, Jsonb *document)
{
	if (JB_ROOT_IS_SCALAR(document))
		JsonbExtractScalar(&document->root, member);
	else
	{
		member->type = jbvBinary;
		member->val.binary.data = &document->root;
		member->val.binary.len = VARSIZE(document) - VARHDRSZ;
	}
}

static void
set_time(JsonbValue *member, Datum value, Oid type)
{
	char *text = JsonEncodeDateTime(palloc(MAXDATELEN + 1), value, type, NULL);

	set_string(member, text, strlen(text));
}

/*
 * The value as a member of an object; false when the type is not a common one.
 */
static bool
set_member(JsonbValue *member, Datum value, Oid type)
{
	char *text;
	struct varlena *packed;

	switch (type)
	{
		case BOOLOID:
			member->type = jbvBool;
			member->val.boolean = DatumGetBool(value);
			return true;
		case INT2OID:
			set_numeric(member, int64_to_numeric(DatumGetInt16(value)));
			return true;
		case INT4OID:
			set_numeric(member, int64_to_numeric(DatumGetInt32(value)));
			return true;
		case INT8OID:
			set_numeric(member, int64_to_numeric(DatumGetInt64(value)));
			return true;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			packed = PG_DETOAST_DATUM_PACKED(value);
			set_string(member, VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
			return true;
		case UUIDOID:
			text = uuid_text(DatumGetUUIDP(value));
			set_string(member, text, strlen(text));
			return true;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			set_time(member, value, type);
			return true;
		case JSONBOID:
			set_jsonb(member, DatumGetJsonbP(value));
			return true;
		default:
			return false;
	}
}

Datum
row_to_jsonb(TupleDesc desc, const Datum *values, const bool *nulls,
			 const bool *include)
{
	JsonbParseState *state = NULL;
	JsonbValue *document;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);
		JsonbValue member = {.type = jbvNull};
		JsonbValue name;

		if (!include[i])
			continue;
		if (!nulls[i] && !set_member(&member, values[i], column->atttypid))
			return row_through_text(desc, values, nulls, include);
		set_string(&name, NameStr(column->attname),
				   strlen(NameStr(column->attname)));
		pushJsonbValue(&state, WJB_KEY, &name);
		pushJsonbValue(&state, WJB_VALUE, &member);
	}
	document = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbPGetDatum(JsonbValueToJsonb(document));
}
