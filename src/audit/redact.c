/*
 * redact.c
 *	  A jsonb document without what it says of a person.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/formatting.h"

#include "audit/erase.h"

/* Personal in whatever is about the person. */
static const char *const personal_keys[] = {
	"name",		  "owner_name", "recipient_name", "ip",
	"user_agent", "metadata",	"subject",		  "message"};

bool
names_person(const char *text, int length, const ErasedPerson *person)
{
	char *folded = asc_tolower(text, length);
	bool found = false;
	ListCell *cell;

	foreach (cell, person->address_list)
		found = found || strstr(folded, lfirst(cell)) != NULL;
	pfree(folded);
	return found;
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
