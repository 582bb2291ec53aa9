/*
 * address.c
 *	  One strict grammar for addresses, one canonical form in every locale.
 *
 * lower() and citext follow the locale of the database (under a Turkish one
 * ADMIN@X and admin@x are two people), so the folding here is plain ASCII.
 * libcurl passes CR LF in an address on to the server, so no control
 * character gets this far. The errors keep the statement out of the server
 * log, because a password or token may stand beside the faulty argument.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "core/address.h"

#define LOCAL_PART_MAX 64 /* RFC 5321, 4.5.3.1.1 */
#define LABEL_MAX 63	  /* RFC 1035, 2.3.4 */
#define SLUG_MAX 63
#define OBJECT_MAX 100000 /* octets */

static bool
is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		   (c >= '0' && c <= '9');
}

/*
 * Whether these octets are a dot-atom (RFC 5322, 3.2.3).
 */
static bool
is_local_part(const char *s, size_t length)
{
	if (length == 0 || length > LOCAL_PART_MAX)
		return false;
	for (size_t i = 0; i < length; i++)
	{
		if (s[i] == '.')
		{
			if (i == 0 || i == length - 1 || s[i - 1] == '.')
				return false;
		}
		else if (!is_letter_or_digit(s[i]) &&
				 strchr("!#$%&'*+-/=?^_`{|}~", s[i]) == NULL)
			return false;
	}
	return true;
}

/*
 * Whether s is a host name of letters, digits and inner hyphens (RFC 1123).
 */
static bool
is_host_name(const char *s)
{
	size_t label = 0;

	if (strchr(s, '.') == NULL && pg_strcasecmp(s, "localhost") != 0)
		return false;
	for (; *s != '\0'; s++)
	{
		if (*s == '.')
		{
			if (label == 0 || s[-1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (!is_letter_or_digit(*s) && (*s != '-' || label == 0))
			return false;
		if (++label > LABEL_MAX)
			return false;
	}
	return label > 0 && s[-1] != '-';
}

bool
address_parse(const char *text, Address *address)
{
	size_t length;
	const char *at;

	while (*text == ' ')
		text++;
	length = strlen(text);
	while (length > 0 && text[length - 1] == ' ')
		length--;
	if (length == 0 || length > ADDRESS_MAX)
		return false;
	memcpy(address->typed, text, length);
	address->typed[length] = '\0';
	at = strrchr(address->typed, '@');
	if (at == NULL || !is_local_part(address->typed, at - address->typed) ||
		!is_host_name(at + 1))
		return false;
	for (size_t i = 0; i <= length; i++)
		address->canonical[i] = pg_ascii_tolower(address->typed[i]);
	return true;
}

Address
address_require(const char *text, const char *argument)
{
	Address address;

	if (text == NULL)
		refuse_null(argument);
	if (!address_parse(text, &address))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not a valid e-mail address", argument),
				 errhint("Write it as name@example.com, in ASCII, without "
						 "quotes or comments."),
				 errhidestmt(true)));
	return address;
}

char *
argument_text(FunctionCallInfo fcinfo, int n)
{
	return PG_ARGISNULL(n) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(n));
}

pg_uuid_t
argument_uuid(FunctionCallInfo fcinfo, int n, const char *argument)
{
	if (PG_ARGISNULL(n))
		refuse_null(argument);
	return *PG_GETARG_UUID_P(n);
}

/*
 * Whether a control character stands here, one of U+0080 to U+009F included.
 */
static bool
is_control(const char *c)
{
	unsigned char first = c[0];

	if (first == 0xC2 && GetDatabaseEncoding() == PG_UTF8)
		return (unsigned char) c[1] < 0xA0;
	return first < ' ' || first == 0x7F;
}

Jsonb *
object_argument(FunctionCallInfo fcinfo, int n, const char *argument)
{
	Jsonb *object = PG_ARGISNULL(n) ? NULL : PG_GETARG_JSONB_P(n);

	if (object != NULL &&
		(!JB_ROOT_IS_OBJECT(object) || VARSIZE(object) > OBJECT_MAX))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not an object of less than 100 kB", argument)));
	return object;
}

char *
plain_text(const char *text, const char *argument, int max, bool lines)
{
	char *copy;
	size_t length;

	if (text == NULL)
		return NULL;
	while (*text == ' ')
		text++;
	length = strlen(text);
	while (length > 0 && text[length - 1] == ' ')
		length--;
	if (length == 0)
		return NULL;
	if (pg_mbstrlen_with_len(text, length) > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is longer than %d characters", argument, max),
				 errhidestmt(true)));
	copy = pnstrdup(text, length);
	for (const char *c = copy; *c != '\0'; c++)
		if (is_control(c) && !(lines && strchr("\r\n\t", *c)))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("%s contains a control character", argument),
							errhidestmt(true)));
	return copy;
}

char *
plain_text_require(const char *text, const char *argument, int max)
{
	char *plain;

	if (text == NULL)
		refuse_null(argument);
	plain = plain_text(text, argument, max, false);
	if (plain == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be empty", argument), errhidestmt(true)));
	return plain;
}

char *
domain_require(const char *text, const char *argument)
{
	char *domain = plain_text_require(text, argument, ADDRESS_MAX);

	if (!is_host_name(domain[0] == '.' ? domain + 1 : domain))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s is not a domain", argument),
						errhint("Write example.com, or .example.com for its "
								"subdomains."),
						errhidestmt(true)));
	for (char *c = domain; *c != '\0'; c++)
		*c = pg_ascii_tolower(*c);
	return domain;
}

char *
slug_require(const char *text, const char *argument)
{
	size_t length;
	bool valid;

	if (text == NULL)
		refuse_null(argument);
	length = strlen(text);
	valid = length > 0 && length <= SLUG_MAX;
	for (size_t i = 0; valid && i < length; i++)
	{
		if (text[i] == '-')
			valid = i > 0 && i < length - 1 && text[i - 1] != '-';
		else
			valid =
				is_letter_or_digit(text[i]) && (text[i] < 'A' || text[i] > 'Z');
	}
	if (!valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid %s", argument),
				 errhint("Use 1 to %d of a-z, 0-9 and single inner hyphens.",
						 SLUG_MAX),
				 errhidestmt(true)));
	return pstrdup(text);
}

void
refuse_null(const char *argument)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s must not be null", argument), errhidestmt(true)));
}
