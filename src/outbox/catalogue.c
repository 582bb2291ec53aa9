/*
 * catalogue.c
 *	  Every kind of mail and what its texts may say.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "core/locale.h"
#include "outbox/catalogue.h"
#include "outbox/words.h"

/* clang-format off */
static const MailDescription kinds[] = {
	{"invitation", {"link", "expires_at", "role", "message", "inviter_name"}, .needs_link = true},
	{"invitation_reminder", {"link", "expires_at", "role", "message", "inviter_name"}, .needs_link = true},
	{"welcome", {"link", "expires_at"}, .needs_link = true},
	{"password_reset", {"link", "expires_at", "requested_by"}, .needs_link = true, .about_account = true},
	{"password_changed", {"changed_at"}, .about_account = true, .unlimited = true},
	{"email_change", {"link", "expires_at", "old_email", "new_email"}, .needs_link = true, .about_account = true},
	{"email_change_requested", {"expires_at", "old_email", "new_email"}, .about_account = true},
	{"email_changed", {"old_email", "new_email"}, .about_account = true, .unlimited = true},
	{"role_changed", {"role", "permissions"}},
	{"deactivated", {NULL}},
	{"reactivated", {"role"}},
	{"removed", {NULL}},
};

static const char *const common[] = {
	"tenant_name", "brand_name", "brand_color", "brand_text_color", "logo_url",
	"base_url", "recipient", "recipient_name"};

/* What a preview shows. */
static const struct
{
	const char *name;
	const char *english;
	const char *german;
} samples[] = {
	{"recipient", "eva@example.org", "eva@example.org"},
	{"recipient_name", "Eva Example", "Eva Beispiel"},
	{"inviter_name", "Olivia Owner", "Olivia Inhaber"},
	{"requested_by", "Olivia Owner", "Olivia Inhaber"},
	{"role", "member", "member"},
	{"permissions", "view own evidence, create evidence", "view own evidence, create evidence"},
	{"message", "Hello Eva,\nit would be great to have you with us.",
		"Hallo Eva,\nschön, wenn Du bei uns mitmachst."},
	{"old_email", "eva.before@example.org", "eva.vorher@example.org"},
	{"new_email", "eva@example.org", "eva@example.org"},
};
/* clang-format on */

const MailDescription *
mail_describe(const char *kind)
{
	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i].kind, kind) == 0)
			return &kinds[i];
	return NULL;
}

const MailDescription *
mail_describe_require(const char *kind)
{
	const MailDescription *mail = kind != NULL ? mail_describe(kind) : NULL;
	StringInfoData names;

	if (mail != NULL)
		return mail;
	initStringInfo(&names);
	for (int i = 0; i < lengthof(kinds); i++)
		appendStringInfo(&names, "%s%s", i == 0 ? "" : ", ", kinds[i].kind);
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("there is no such kind of mail"),
					errhint("Kinds: %s.", names.data)));
}

Datum
mail_kinds_about_accounts(void)
{
	Datum names[lengthof(kinds)];
	int count = 0;

	for (int i = 0; i < lengthof(kinds); i++)
		if (kinds[i].about_account)
			names[count++] = CStringGetTextDatum(kinds[i].kind);
	return PointerGetDatum(
		construct_array(names, count, TEXTOID, -1, false, TYPALIGN_INT));
}

VariableList
mail_variables(const MailDescription *mail)
{
	VariableList list = {0};

	for (int i = 0; i < lengthof(common); i++)
		list.items[list.count++].name = common[i];
	for (int i = 0; mail->variables[i] != NULL; i++)
		list.items[list.count++].name = mail->variables[i];
	Assert(list.count <= MAX_VARIABLES);
	return list;
}

static const char *
sample_in(const char *locale, int i)
{
	const char *sample =
		locale_is(locale, "de") ? samples[i].german : samples[i].english;

	return pg_any_to_server(sample, strlen(sample), PG_UTF8);
}

VariableList
mail_samples(const MailDescription *mail, const char *locale,
			 const char *time_zone)
{
	VariableList list = mail_variables(mail);
	TimestampTz now = GetCurrentTimestamp();

	for (int i = 0; i < lengthof(samples); i++)
		variable_set(&list, samples[i].name,
					 word_in(locale, samples[i].name, sample_in(locale, i)));
	variable_set(&list, "changed_at", moment_text(now, locale, time_zone));
	variable_set(&list, "expires_at",
				 moment_text(now + 7 * USECS_PER_DAY, locale, time_zone));
	return list;
}

char *
mail_variable_names(const MailDescription *mail)
{
	VariableList list = mail_variables(mail);
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < list.count; i++)
		appendStringInfo(&names, "%s%s", i == 0 ? "" : ", ",
						 list.items[i].name);
	return names.data;
}
