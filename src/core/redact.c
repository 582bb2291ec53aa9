/*
 * redact.c
 *	  Keep secrets out of the server log and of pg_stat_activity.
 *
 * Of a message about a statement that calls a function which takes a password,
 * nothing from the first literal on is logged, the bound parameters included:
 * cutting needs no parser, and so nothing can fool one. What EXECUTE runs is
 * not known when it fails: it is taken for such a call. Anything as long as a
 * token, in the letters of one, is left out of every message. What is logged
 * before the library is loaded passes unseen; preloading cures that.
 */
#include "postgres.h"

#include "access/xact.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/elog.h"

#include "core/redact.h"

#define REDACTED "[redacted]"
#define TOKEN_LENGTH 90 /* the shortest token is longer */
#define SESSION_PREFIX "ums_"
#define WORD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
#define TOKEN WORD "-"
#define SPACE " \t\n\r\f\v"
#define PREPARED "prepare: " /* what EXECUTE runs, in DETAIL */

char *redact_calls;

/* Functions with a password among their arguments. */
static const char *const calls[] = {
	"accept_invitation",	"change_password", "log_in",
	"request_email_change", "reset_password",  "sign_up",
};

static emit_log_hook_type next_hook;
static TimestampTz secret_since; /* when the statement with a secret began */

/*
 * Whether the list has the word.
 */
static bool
lists(const char *list, const char *word, size_t length)
{
	while (list != NULL && *list != '\0')
	{
		size_t here = strspn(list, WORD);

		if (here == length && pg_strncasecmp(list, word, length) == 0)
			return true;
		list += here > 0 ? here : 1;
	}
	return false;
}

static bool
is_call(const char *word, size_t length)
{
	for (int i = 0; i < lengthof(calls); i++)
		if (strlen(calls[i]) == length &&
			pg_strncasecmp(calls[i], word, length) == 0)
			return true;
	return lists(redact_calls, word, length);
}

/*
 * Whether the text names a function that takes a secret.
 */
static bool
mentions_call(const char *text)
{
	while (text != NULL && *text != '\0')
	{
		size_t length = strspn(text, WORD);

		if (length > 0 && is_call(text, length))
			return true;
		text += length > 0 ? length : 1;
	}
	return false;
}

/*
 * Where the first literal begins ('…', $$…$$, $tag$…$tag$, or the bytes of one
 * in a printed plan), or NULL.
 */
static const char *
first_literal(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text == '\'' ||
			(*text == '$' && !(text[1] >= '0' && text[1] <= '9')) ||
			(*text == ':' && strncmp(text, ":constvalue", 11) == 0))
			return text;
	return NULL;
}

/*
 * Whether the statement is EXECUTE of what was prepared, alone or in another
 * one, or names something in Unicode escapes: both might be such a call.
 */
static bool
may_hide_call(const char *text)
{
	const char *end = text != NULL ? first_literal(text) : NULL;

	while (end != NULL && text < end)
	{
		size_t length = strspn(text, WORD);

		if (length == 7 && pg_strncasecmp(text, "execute", length) == 0)
		{
			const char *next = text + length + strspn(text + length, SPACE);
			size_t word = strspn(next, WORD);

			if (word == 0 || !lists("function procedure on", next, word))
				return true;
		}
		if (pg_strncasecmp(text, "u&\"", 3) == 0)
			return true;
		text += length > 0 ? length : 1;
	}
	return false;
}

static bool
is_token(const char *text, size_t length)
{
	return length >= TOKEN_LENGTH ||
		   (length > 2 * strlen(SESSION_PREFIX) &&
			strncmp(text, SESSION_PREFIX, strlen(SESSION_PREFIX)) == 0);
}

/*
 * The text without its secrets, palloc'd; NULL when it has none.
 */
static char *
without_secrets(const char *text, bool cut)
{
	const char *end = cut ? first_literal(text) : NULL;
	bool found = end != NULL;
	StringInfoData out;

	initStringInfo(&out);
	while (*text != '\0' && text != end)
	{
		size_t length = strspn(text, TOKEN);

		if (is_token(text, length))
		{
			appendStringInfoString(&out, REDACTED);
			found = true;
		}
		else
			appendBinaryStringInfo(&out, text, Max(length, 1));
		text += Max(length, 1);
	}
	if (end != NULL)
		appendStringInfoString(&out, REDACTED);
	if (found)
		return out.data;
	pfree(out.data);
	return NULL;
}

static void
redact(char **text, bool cut)
{
	char *clean = *text != NULL ? without_secrets(*text, cut) : NULL;

	if (clean == NULL)
		return;
	pfree(*text);
	*text = clean;
}

static bool
statement_has_secret(bool cut)
{
	char *clean = debug_query_string != NULL
					  ? without_secrets(debug_query_string, cut)
					  : NULL;

	if (clean == NULL)
		return false;
	pfree(clean);
	return true;
}

static void
leave_out(char **text)
{
	if (*text != NULL)
		pfree(*text);
	*text = NULL;
}

/*
 * A value that does not fit its type stands in double quotes, in those of
 * another language, or in none.
 */
static void
redact_bad_value(ErrorData *edata)
{
	char *whole = edata->message;
	int plain = 0;

	if (ERRCODE_TO_CATEGORY(edata->sqlerrcode) != ERRCODE_DATA_EXCEPTION ||
		edata->sqlerrcode == ERRCODE_INVALID_PARAMETER_VALUE || whole == NULL)
		return;
	leave_out(&edata->detail);
	leave_out(&edata->context);
	while (whole[plain] != '\0' && whole[plain] != '"' &&
		   !IS_HIGHBIT_SET(whole[plain]))
		plain++;
	if (whole[plain] == '\0')
		return;
	edata->message = psprintf("%.*s" REDACTED, plain, whole);
	pfree(whole);
}

static void
redact_message(ErrorData *edata)
{
	bool cut =
		(secret_since != 0 &&
		 secret_since == GetCurrentStatementStartTimestamp()) ||
		mentions_call(debug_query_string) || mentions_call(edata->message) ||
		mentions_call(edata->detail) || mentions_call(edata->detail_log) ||
		mentions_call(edata->context) || mentions_call(edata->internalquery) ||
		((edata->detail == NULL ||
		  strncmp(edata->detail, PREPARED, strlen(PREPARED)) != 0) &&
		 may_hide_call(debug_query_string));

	if (cut && edata->elevel >= ERROR)
		redact_bad_value(edata);
	redact(&edata->message, cut);
	redact(&edata->detail, cut);
	redact(&edata->hint, cut);
	redact(&edata->detail_log, cut);
	redact(&edata->context, cut);
	redact(&edata->internalquery, cut);
	if (!edata->hide_stmt && statement_has_secret(cut))
		edata->hide_stmt = true;
	if (next_hook != NULL)
		next_hook(edata);
}

void
redact_statement(void)
{
	const char *literal;

	secret_since = GetCurrentStatementStartTimestamp();
	if (debug_query_string == NULL ||
		(literal = first_literal(debug_query_string)) == NULL)
		return;
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("%.*s" REDACTED,
									(int) (literal - debug_query_string),
									debug_query_string));
}

void
redact_init(void)
{
	next_hook = emit_log_hook;
	emit_log_hook = redact_message;
}
