/*
 * public_id.c
 *	  Identifiers as the outside sees them: user_…, inv_…, ws_….
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "core/address.h"
#include "core/public_id.h"
#include "core/uuid.h"

#define DIGITS 26

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
static const char *const kinds[] = {"user", "inv", "ws"};

static const char *
find_kind(const char *name, size_t length)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (strlen(kinds[i]) == length && strncmp(kinds[i], name, length) == 0)
			return kinds[i];
	return NULL;
}

/*
 * Five bits a digit, the first digit having three.
 */
static bool
decode(const char *digits, pg_uuid_t *u)
{
	if (strlen(digits) != DIGITS || digits[0] > '7')
		return false;
	memset(u, 0, sizeof(*u));
	for (int i = 0; i < DIGITS; i++)
	{
		const char *found = strchr(alphabet, digits[i]);
		int shift = 5 * (DIGITS - 1 - i);
		int byte = UUID_LEN - 1 - shift / 8;
		uint32 bits;

		if (found == NULL)
			return false;
		bits = (uint32) (found - alphabet) << shift % 8;
		u->data[byte] |= (uint8) bits;
		if (byte > 0)
			u->data[byte - 1] |= (uint8) (bits >> 8);
	}
	return true;
}

static void
encode(const pg_uuid_t *u, StringInfo out)
{
	for (int i = 0; i < DIGITS; i++)
	{
		int shift = 5 * (DIGITS - 1 - i);
		int byte = UUID_LEN - 1 - shift / 8;
		uint32 bits = u->data[byte];

		if (byte > 0)
			bits |= (uint32) u->data[byte - 1] << 8;
		appendStringInfoChar(out, alphabet[bits >> shift % 8 & 31]);
	}
}

bool
public_id_parse(const char *text, const char *kind, pg_uuid_t *u)
{
	const char *underscore = strchr(text, '_');
	const char *found;

	if (underscore == NULL)
		return false;
	found = find_kind(text, underscore - text);
	if (found == NULL || (kind != NULL && strcmp(kind, found) != 0))
		return false;
	return decode(underscore + 1, u);
}

PG_FUNCTION_INFO_V1(id);
Datum
id(PG_FUNCTION_ARGS)
{
	char *given = text_to_cstring(PG_GETARG_TEXT_PP(0));
	pg_uuid_t *u = palloc(sizeof(pg_uuid_t));

	if (!public_id_parse(given, NULL, u) && !uuid_parse(given, u))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("public_id is not an identifier"),
						errhint("It looks like user_..., inv_... or ws_..., "
								"or is a UUID.")));
	PG_RETURN_UUID_P(u);
}

PG_FUNCTION_INFO_V1(public_id);
Datum
public_id(PG_FUNCTION_ARGS)
{
	char *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	StringInfoData out;

	if (find_kind(kind, strlen(kind)) == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("kind is not one of user, inv, ws")));
	initStringInfo(&out);
	appendStringInfo(&out, "%s_", kind);
	encode(PG_GETARG_UUID_P(1), &out);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
