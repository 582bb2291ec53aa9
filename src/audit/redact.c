/*
 * redact.c
 *	  A jsonb document without what it says of a person.
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

#include "audit/erase.h"

/* Personal in whatever is about the person. */
static const char *const personal_keys[] = {
	"name",		  "owner_name", "recipient_name", "ip",
	"user_agent", "metadata",	"subject",		  "message"};

List *
strings_of(Datum array)
{
	List *strings = NIL;
	Datum *values;
	bool *nulls;
	int count;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false,
					  TYPALIGN_INT, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
		if (!nulls[i])
			strings = lappend(strings, TextDatumGetCString(values[i]));
	return strings;
}

static bool
is_letter(char c)
{
	return isalnum((unsigned char) c) || IS_HIGHBIT_SET(c);
}

/*
 * Whether what stands at found, of this length, is no part of a longer address,
 * which is somebody else's.
 */
static bool
stands_alone(const char *text, const char *found, size_t length)
{
	const char *before = found;
	const char *after = found + length;

	while (before > text && strchr("._+-", before[-1]) != NULL)
		before--;
	after += strspn(after, ".-");
	return (before == text || !is_letter(before[-1])) && !is_letter(*after);
}

static bool
holds_alone(const char *text, const char *address)
{
	size_t length = strlen(address);

	for (const char *at = strstr(text, address); at != NULL;
		 at = strstr(at + 1, address))
		if (stands_alone(text, at, length))
			return true;
	return false;
}

/*
 * Addresses are erased where they stand alone: a short one is at the end of
 * many.
 */
bool
names_person(const char *text, int length, const ErasedPerson *person)
{
	char *folded = asc_tolower(text, length);
	bool found = false;
	ListCell *cell;

	foreach (cell, person->address_list)
		found = found || holds_alone(folded, lfirst(cell));
	pfree(folded);
	return found;
}

/*
 * names_address(said text, addresses text[]): the same for statements; the
 * addresses are in lower case.
 */
PG_FUNCTION_INFO_V1(names_address);
Datum
names_address(PG_FUNCTION_ARGS)
{
	text *said = PG_GETARG_TEXT_PP(0);
	ErasedPerson person = {.address_list = strings_of(PG_GETARG_DATUM(1))};

	PG_RETURN_BOOL(
		names_person(VARDATA_ANY(said), VARSIZE_ANY_EXHDR(said), &person));
}

static bool
is_personal_key(const JsonbValue *key)
{
	for (int i = 0; i < lengthof(personal_keys); i++)
		if (strlen(personal_keys[i]) == key->val.string.len &&
			memcmp(personal_keys[i], key->val.string.val,
				   key->val.string.len) == 0)
			return true;
	return false;
}

static bool
is_erased(const JsonbValue *value)
{
	return value->type == jbvString &&
		   value->val.string.len == strlen(ERASED) &&
		   memcmp(value->val.string.val, ERASED, strlen(ERASED)) == 0;
}

static JsonbValue
erased_value(void)
{
	JsonbValue value = {.type = jbvString};

	value.val.string.val = ERASED;
	value.val.string.len = strlen(ERASED);
	return value;
}

/*
 * Copy the document token by token; what stands under a personal key is
 * skipped whole.
 */
Datum
redact_document(Datum document, const ErasedPerson *person, bool about)
{
	Jsonb *original = DatumGetJsonbP(document);
	JsonbIterator *iterator = JsonbIteratorInit(&original->root);
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;
	JsonbValue value;
	JsonbIteratorToken token;
	bool personal = false; /* the next value stands under such a key */
	bool changed = false;

	while ((token = JsonbIteratorNext(&iterator, &value, personal)) != WJB_DONE)
	{
		bool holds = token == WJB_VALUE || token == WJB_ELEM;

		if (holds &&
			((personal && value.type != jbvNull && !is_erased(&value)) ||
			 (value.type == jbvString &&
			  names_person(value.val.string.val, value.val.string.len,
						   person))))
		{
			value = erased_value();
			changed = true;
		}
		personal = token == WJB_KEY && about && is_personal_key(&value);
		result = pushJsonbValue(
			&state, token,
			holds || token == WJB_KEY ||
					(token == WJB_BEGIN_ARRAY && value.val.array.rawScalar)
				? &value
				: NULL);
	}
	return changed ? JsonbPGetDatum(JsonbValueToJsonb(result)) : document;
}
