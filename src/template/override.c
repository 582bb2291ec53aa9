/*
 * override.c
 *	  A tenant's own texts of mails, and an operator's for all.
 *
 * What is kept has been checked, so that no mail fails for its template.
 * Locks: tenant, the caller's membership, then the template.
 */
#include "postgres.h"

#include "audit/audit.h"
#include "core/address.h"
#include "core/errors.h"
#include "core/installation.h"
#include "core/locale.h"
#include "member/member.h"
#include "outbox/render.h"
#include "template/check.h"
#include "template/keeper.h"
#include "tenant/tenant.h"

#define MAX_TEMPLATES 200 /* of one tenant */

SPI_QUERY(put_template,
		  "INSERT INTO usermgmt.email_template AS e (tenant_id, kind, locale,"
		  " subject, text_body, html_body) VALUES ($1, $2, $3, $4, $5, $6)"
		  " ON CONFLICT (tenant_id, kind, locale, built_in) DO UPDATE SET"
		  " subject = coalesce(excluded.subject, e.subject),"
		  " text_body = coalesce(excluded.text_body, e.text_body),"
		  " html_body = coalesce(excluded.html_body, e.html_body)"
		  " WHERE (coalesce(excluded.subject, e.subject),"
		  " coalesce(excluded.text_body, e.text_body),"
		  " coalesce(excluded.html_body, e.html_body))"
		  " IS DISTINCT FROM (e.subject, e.text_body, e.html_body)",
		  UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID);
SPI_QUERY(find_parts,
		  "SELECT coalesce(pg_catalog.bool_or(subject IS NOT NULL)"
		  " AND pg_catalog.bool_or(text_body IS NOT NULL)"
		  " AND pg_catalog.bool_or(html_body IS NOT NULL), false) AS complete"
		  " FROM usermgmt.email_template WHERE tenant_id"
		  " IN ($1, '00000000-0000-0000-0000-000000000000') AND kind = $2"
		  " AND locale = ANY ($3) AND (locale <> 'en' OR $4)",
		  UUIDOID, TEXTOID, TEXTARRAYOID, BOOLOID);
SPI_QUERY(count_templates,
		  "SELECT count(*)::integer AS templates FROM usermgmt.email_template"
		  " WHERE tenant_id = $1 AND NOT built_in",
		  UUIDOID);
SPI_QUERY(drop_template,
		  "DELETE FROM usermgmt.email_template WHERE tenant_id = $1"
		  " AND kind = $2 AND locale = $3 AND NOT built_in",
		  UUIDOID, TEXTOID, TEXTOID);
SPI_QUERY(show_template,
		  "SELECT nullif(tenant_id, '00000000-0000-0000-0000-000000000000')"
		  " AS tenant_id, kind, locale, CASE WHEN tenant_id"
		  " = '00000000-0000-0000-0000-000000000000' THEN 'default'"
		  " ELSE 'tenant' END AS origin, subject, text_body, html_body"
		  " FROM usermgmt.email_template WHERE tenant_id = $1 AND kind = $2"
		  " AND locale = $3 AND NOT built_in",
		  UUIDOID, TEXTOID, TEXTOID);

TemplateKeeper
template_keeper(void)
{
	TemplateKeeper keeper = {.for_all =
								 !actor_is_bound() && caller_is_operator()};
	pg_uuid_t tenant_id;

	keeper.for_all = keeper.for_all && !actor_operator_tenant(&tenant_id);
	if (!keeper.for_all)
	{
		keeper.caller = caller_require(ROLE_ADMIN);
		keeper.tenant_id = keeper.caller.tenant_id;
	}
	keeper.trusted = keeper.for_all || keeper.caller.is_operator;
	return keeper;
}

void
template_keeper_frame(const TemplateKeeper *keeper, MailFrame *frame)
{
	if (!mail_frame_read(keeper->for_all ? NULL : &keeper->tenant_id, frame))
		ereport(ERROR, (errcode(ERRCODE_UM_NOT_FOUND),
						errmsg("the tenant does not exist")));
}

char *
template_locale(FunctionCallInfo fcinfo, int n, const MailFrame *frame)
{
	char *locale = argument_text(fcinfo, n);

	return locale != NULL ? locale_require(locale, "locale") : frame->locale;
}

/*
 * Line ends as templates have them.
 */
static char *
without_returns(char *text)
{
	char *to = text;

	for (char *from = text; *from != '\0'; from++)
		if (from[0] != '\r' || from[1] != '\n')
			*to++ = *from;
	*to = '\0';
	return text;
}

char *
template_part(FunctionCallInfo fcinfo, int n, const MailDescription *mail,
			  const char *part, bool trusted)
{
	char *source = argument_text(fcinfo, n);

	if (source != NULL)
		template_check(mail, part, without_returns(source), trusted);
	return source;
}

static void
lock(TemplateKeeper *keeper)
{
	if (keeper->for_all)
		return;
	(void) tenant_lock_shared(&keeper->tenant_id);
	caller_lock(&keeper->caller, ROLE_ADMIN);
}

/*
 * A mail is in one language: what this template leaves to others must be there
 * in its own.
 */
static void
check_complete(const TemplateKeeper *keeper, const char *kind,
			   const char *locale)
{
	spi_run(find_parts, ARG_UUID(keeper->tenant_id), ARG_TEXT(kind),
			ARG(TEXTARRAYOID, locale_chain(locale)),
			ARG_BOOL(locale_is(locale, "en")));
	if (!row_bool(spi_row(0), "complete"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there are no other parts in this language"),
				 errhint("Give subject, text_body and html_body together.")));
}

static void
check_count(const TemplateKeeper *keeper)
{
	spi_run(count_templates, ARG_UUID(keeper->tenant_id));
	if (row_int(spi_row(0), "templates") > MAX_TEMPLATES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("there are %d templates already", MAX_TEMPLATES),
						errhint("Drop some with "
								"usermgmt.reset_email_template().")));
}

PG_FUNCTION_INFO_V1(set_email_template);
Datum
set_email_template(PG_FUNCTION_ARGS)
{
	TemplateKeeper keeper = template_keeper();
	const MailDescription *mail =
		mail_describe_require(argument_text(fcinfo, 0));
	char *subject = template_part(fcinfo, 2, mail, "subject", keeper.trusted);
	char *text = template_part(fcinfo, 3, mail, "text_body", keeper.trusted);
	char *html = template_part(fcinfo, 4, mail, "html_body", keeper.trusted);
	MailFrame frame;
	char *locale;

	if (subject == NULL && text == NULL && html == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("no part is given"),
						errhint("Give subject, text_body or html_body.")));
	SPI_connect();
	begin_writing(fcinfo);
	lock(&keeper);
	template_keeper_frame(&keeper, &frame);
	locale = template_locale(fcinfo, 1, &frame);
	spi_run(put_template, ARG_UUID(keeper.tenant_id), ARG_TEXT(mail->kind),
			ARG_TEXT(locale), ARG_TEXT(subject), ARG_TEXT(text),
			ARG_TEXT(html));
	check_complete(&keeper, mail->kind, locale);
	check_count(&keeper);
	spi_run(show_template, ARG_UUID(keeper.tenant_id), ARG_TEXT(mail->kind),
			ARG_TEXT(locale));
	return spi_finish_with_row(fcinfo);
}

PG_FUNCTION_INFO_V1(reset_email_template);
Datum
reset_email_template(PG_FUNCTION_ARGS)
{
	TemplateKeeper keeper = template_keeper();
	const MailDescription *mail =
		mail_describe_require(argument_text(fcinfo, 0));
	MailFrame frame;

	SPI_connect();
	begin_writing(fcinfo);
	lock(&keeper);
	template_keeper_frame(&keeper, &frame);
	if (spi_run(drop_template, ARG_UUID(keeper.tenant_id), ARG_TEXT(mail->kind),
				ARG_TEXT(template_locale(fcinfo, 1, &frame))) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UM_NOT_FOUND),
				 errmsg("there is no such template to drop"),
				 errhint("usermgmt.email_templates lists them; shipped ones "
						 "stay.")));
	SPI_finish();
	PG_RETURN_VOID();
}
