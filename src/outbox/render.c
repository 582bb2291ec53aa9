/*
 * render.c
 *	  Subject, text, HTML and link of a claimed message.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "core/settings.h"
#include "core/uuid.h"
#include "outbox/claim.h"
#include "outbox/outbox.h"
#include "outbox/template.h"

SPI_QUERY(find_sender,
		  "SELECT name, settings FROM usermgmt.tenant WHERE tenant_id = $1",
		  UUIDOID);
/* The tenant's own template wins over an operator's, over the shipped one;
 * then the language asked for wins over English. */
SPI_QUERY(find_template,
		  "SELECT subject, text_body, html_body FROM usermgmt.email_template"
		  " WHERE tenant_id IN ($1, '00000000-0000-0000-0000-000000000000')"
		  " AND kind = $2 AND locale IN ($3, 'en')"
		  " ORDER BY locale = $3 DESC, built_in,"
		  " tenant_id = $1 DESC LIMIT 1",
		  UUIDOID, TEXTOID, TEXTOID);
SPI_QUERY(merge_variables,
		  "SELECT $1 || pg_catalog.jsonb_build_object('tenant_name', $2,"
		  " 'base_url', $3, 'link', $4, 'recipient_name', $5,"
		  " 'recipient', $6) AS variables",
		  JSONBOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID);

/*
 * Ask the room about the subject; its answer is the last statement's row.
 */
static bool
ask_room(const MailKind *kind, const pg_uuid_t *subject_id,
		 const pg_uuid_t *tenant_id)
{
	SpiArg subject[] = {ARG_UUID(*subject_id), ARG_UUID(*tenant_id),
						ARG_TIME(GetCurrentTimestamp())};

	return spi_execute(kind->subject, subject, SPI_VIEW_COMMAND) > 0 &&
		   row_bool(spi_row(0), "wanted");
}

bool
mail_is_wanted(SpiRow message)
{
	const MailKind *kind = mail_kind(row_text(message, "kind"));
	pg_uuid_t subject_id = row_uuid(message, "subject_id");
	pg_uuid_t tenant_id = row_uuid(message, "tenant_id");

	return kind != NULL && ask_room(kind, &subject_id, &tenant_id);
}

/*
 * What the room says of the subject: its variables with ours and the link.
 * NULL when the mail is not wanted any more.
 */
static Jsonb *
mail_variables(SpiRow message, const MailKind *kind, const char *tenant_name,
			   Jsonb *settings)
{
	pg_uuid_t tenant_id = row_uuid(message, "tenant_id");
	LinkToken token = {.purpose = kind->purpose,
					   .tenant_id = tenant_id,
					   .object_id = row_uuid(message, "subject_id")};
	char *base_url = setting_text(SETTING_BASE_URL, settings);
	char *link = NULL;
	Datum variables;
	bool isnull;

	if (!ask_room(kind, &token.object_id, &tenant_id))
		return NULL;
	variables = row_datum(spi_row(0), "variables", &isnull);
	token.generation = row_int(spi_row(0), "generation");
	if (row_bool(spi_row(0), "linked"))
		link = mail_link(kind, base_url, &token);
	spi_run(merge_variables, ARG(JSONBOID, variables), ARG_TEXT(tenant_name),
			ARG_TEXT(base_url), ARG_TEXT(link),
			ARG_TEXT(row_text_or_null(message, "recipient_name")),
			ARG_TEXT(row_text(message, "recipient")));
	return DatumGetJsonbP(row_datum(spi_row(0), "variables", &isnull));
}

static void
render_parts(RenderedMail *mail, Jsonb *variables, SpiRow template)
{
	mail->subject = template_render(row_text(template, "subject"), variables,
									PART_HEADER, &mail->problem);
	if (mail->subject != NULL)
		mail->text_body = template_render(row_text(template, "text_body"),
										  variables, PART_TEXT, &mail->problem);
	if (mail->text_body != NULL)
		mail->html_body = template_render(row_text(template, "html_body"),
										  variables, PART_HTML, &mail->problem);
}

RenderedMail
mail_render(SpiRow message)
{
	RenderedMail mail = {0};
	char *name = row_text(message, "kind");
	const MailKind *kind = mail_kind(name);
	pg_uuid_t tenant_id = row_uuid(message, "tenant_id");
	char *tenant_name;
	Jsonb *settings;
	Jsonb *variables;
	bool isnull;

	if (kind == NULL)
	{
		mail.problem = psprintf("there is no mail kind \"%s\"", name);
		return mail;
	}
	if (spi_run(find_sender, ARG_UUID(tenant_id)) == 0)
	{
		mail.unwanted = true;
		return mail;
	}
	tenant_name = row_text(spi_row(0), "name");
	settings = DatumGetJsonbP(row_datum(spi_row(0), "settings", &isnull));
	mail.sender = setting_text(SETTING_FROM_EMAIL, settings);
	mail.from_name = setting_text(SETTING_FROM_NAME, settings);
	if (mail.from_name[0] == '\0')
		mail.from_name = tenant_name;
	variables = mail_variables(message, kind, tenant_name, settings);
	mail.unwanted = variables == NULL;
	if (mail.unwanted)
		return mail;
	if (spi_run(find_template, ARG_UUID(tenant_id), ARG_TEXT(name),
				ARG_TEXT(setting_text(SETTING_LOCALE, settings))) == 0)
		mail.problem = psprintf("there is no template for \"%s\"", name);
	else
		render_parts(&mail, variables, spi_row(0));
	return mail;
}
