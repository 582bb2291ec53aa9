/*
 * render.c
 *	  Subject, text, HTML and link of a claimed message.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "core/locale.h"
#include "core/settings.h"
#include "core/uuid.h"
#include "outbox/brand.h"
#include "outbox/outbox.h"
#include "outbox/render.h"
#include "outbox/words.h"

SPI_QUERY(find_frame,
		  "SELECT name, settings, branding,"
		  " suspended_at IS NOT NULL AS suspended"
		  " FROM usermgmt.tenant WHERE tenant_id = $1",
		  UUIDOID);
/* Part by part, the first that has it: the languages in their order; in each
 * the tenant's own, an operator's, the shipped one. */
SPI_QUERY(find_template,
		  "SELECT (pg_catalog.array_agg(subject ORDER BY place) FILTER"
		  " (WHERE subject IS NOT NULL))[1] AS subject,"
		  " (pg_catalog.array_agg(text_body ORDER BY place) FILTER"
		  " (WHERE text_body IS NOT NULL))[1] AS text_body,"
		  " (pg_catalog.array_agg(html_body ORDER BY place) FILTER"
		  " (WHERE html_body IS NOT NULL))[1] AS html_body"
		  " FROM (SELECT subject, text_body, html_body, pg_catalog.row_number()"
		  " OVER (ORDER BY pg_catalog.array_position($3, locale), built_in,"
		  " tenant_id = $1 DESC) AS place FROM usermgmt.email_template"
		  " WHERE tenant_id IN ($1, '00000000-0000-0000-0000-000000000000')"
		  " AND kind = $2 AND locale = ANY ($3)) AS t",
		  UUIDOID, TEXTOID, TEXTARRAYOID);

typedef struct MailTemplate
{
	const char *kind;
	const char *locale;
	char *subject;
	char *text_body;
	char *html_body;
} MailTemplate;

/* What the last mail of this claim was made of. */
static const MailFrame *last_frame;
static const MailTemplate *last_template;

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

/*
 * A suspended tenant admits nobody, so only mails about the account go out.
 */
static bool
is_shut(const char *kind, bool suspended)
{
	const MailDescription *mail = mail_describe(kind);

	return suspended && (mail == NULL || !mail->about_account);
}

bool
mail_is_wanted(SpiRow message)
{
	char *name = row_text(message, "kind");
	const MailKind *kind = mail_kind(name);
	pg_uuid_t subject_id = row_uuid(message, "subject_id");
	pg_uuid_t tenant_id = row_uuid(message, "tenant_id");

	return kind != NULL && !row_is_null(message, "suspended") &&
		   !is_shut(name, row_bool(message, "suspended")) &&
		   ask_room(kind, &subject_id, &tenant_id);
}

bool
mail_frame_read(const pg_uuid_t *tenant_id, MailFrame *frame)
{
	Jsonb *settings = NULL;
	char *own;

	memset(frame, 0, sizeof(*frame));
	frame->tenant_name = "Example";
	if (tenant_id != NULL)
	{
		if (spi_run(find_frame, ARG_UUID(*tenant_id)) == 0)
			return false;
		frame->tenant_id = *tenant_id;
		frame->tenant_name = row_text(spi_row(0), "name");
		frame->branding = DatumGetJsonbP(row_value(spi_row(0), "branding"));
		frame->suspended = row_bool(spi_row(0), "suspended");
		settings = DatumGetJsonbP(row_value(spi_row(0), "settings"));
	}
	frame->sender = setting_text(SETTING_FROM_EMAIL, settings);
	frame->from_name = setting_text(SETTING_FROM_NAME, settings);
	if (frame->from_name[0] == '\0')
		frame->from_name = frame->tenant_name;
	frame->base_url = setting_text(SETTING_BASE_URL, settings);
	frame->time_zone = setting_text(SETTING_TIME_ZONE, settings);
	own = setting_text(SETTING_LOCALE, settings);
	frame->locale = palloc(LOCALE_MAX + 1);
	if (!locale_parse(own, frame->locale))
		frame->locale = "en";
	return true;
}

void
mail_frame_variables(const MailFrame *frame, VariableList *list)
{
	Brand brand = brand_read(frame->branding);

	variable_set(list, "tenant_name", text_tame(frame->tenant_name));
	variable_set(
		list, "brand_name",
		text_tame(brand.name != NULL ? brand.name : frame->tenant_name));
	variable_set(list, "brand_color", brand.color);
	variable_set(list, "brand_text_color", brand.contrast);
	variable_set(list, "logo_url", brand.logo_url);
	variable_set(list, "base_url", frame->base_url);
}

/*
 * The text of this key, palloc'd, or NULL.
 */
static char *
find_text(Jsonb *object, const char *key)
{
	JsonbValue value;

	if (getKeyJsonValueFromContainer(&object->root, key, strlen(key), &value) ==
			NULL ||
		value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

/*
 * A moment as mail_time() hands it over, in the language and zone of the mail.
 */
static char *
show_moment(char *value, const char *locale, const char *time_zone)
{
	struct pg_tm tm = {0};
	Timestamp at;

	if (sscanf(value, "%d-%d-%dT%d:%d:%dZ", &tm.tm_year, &tm.tm_mon,
			   &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6 ||
		tm2timestamp(&tm, 0, NULL, &at) != 0)
		return value;
	return moment_text(at, locale, time_zone);
}

/*
 * Fill in what the room says of the subject.
 */
static void
set_subject_variables(VariableList *list, Jsonb *values, const char *locale,
					  const char *time_zone)
{
	for (int i = 0; i < list->count; i++)
	{
		Variable *variable = &list->items[i];
		char *value = find_text(values, variable->name);
		size_t length = strlen(variable->name);

		if (value == NULL)
			continue;
		if (length > 3 && strcmp(variable->name + length - 3, "_at") == 0)
			variable->value = show_moment(value, locale, time_zone);
		else
			variable->value = text_tame(word_in(locale, variable->name, value));
	}
}

void
mail_render_begin(void)
{
	last_frame = NULL;
	last_template = NULL;
}

/*
 * The frame of the tenant, read once for mails in a row; NULL when it is gone.
 */
static const MailFrame *
frame_of(const pg_uuid_t *tenant_id)
{
	MailFrame *frame;

	if (last_frame != NULL &&
		memcmp(&last_frame->tenant_id, tenant_id, UUID_LEN) == 0)
		return last_frame;
	frame = palloc(sizeof(MailFrame));
	if (!mail_frame_read(tenant_id, frame))
		return NULL;
	last_frame = frame;
	last_template = NULL;
	return frame;
}

/*
 * The template for the last frame's tenant, found once for mails in a row;
 * NULL when there is none.
 */
static const MailTemplate *
template_of(const char *kind, const char *locale)
{
	MailTemplate *template;
	SpiRow row;

	if (last_template != NULL && strcmp(last_template->kind, kind) == 0 &&
		strcmp(last_template->locale, locale) == 0)
		return last_template;
	if (!mail_template_find(&last_frame->tenant_id, kind, locale))
		return NULL;
	row = spi_row(0);
	template = palloc(sizeof(MailTemplate));
	template->kind = kind;
	template->locale = locale;
	template->subject = row_text(row, "subject");
	template->text_body = row_text(row, "text_body");
	template->html_body = row_text(row, "html_body");
	last_template = template;
	return template;
}

bool
mail_template_find(const pg_uuid_t *tenant_id, const char *kind,
				   const char *locale)
{
	SpiRow row;

	spi_run(find_template, ARG_UUID(*tenant_id), ARG_TEXT(kind),
			ARG(TEXTARRAYOID, locale_chain(locale)));
	row = spi_row(0);
	return !row_is_null(row, "subject") && !row_is_null(row, "text_body") &&
		   !row_is_null(row, "html_body");
}

/*
 * One part of a mail; NULL where an earlier one failed already.
 */
static char *
render_part(const char *source, const char *part, const VariableList *variables,
			TemplatePart as, RenderedMail *mail)
{
	TemplateProblem problem = {0};
	char *text = NULL;

	if (mail->problem == NULL)
		text = template_render(source, variables, as, &problem);
	if (problem.message != NULL)
		mail->problem = psprintf("template: %s: %s", part, problem.message);
	return text;
}

static void
render_parts(RenderedMail *mail, const MailTemplate *template,
			 const VariableList *variables)
{
	mail->subject =
		render_part(template->subject, "subject", variables, PART_HEADER, mail);
	mail->text_body = render_part(template->text_body, "text_body", variables,
								  PART_TEXT, mail);
	mail->html_body = render_part(template->html_body, "html_body", variables,
								  PART_HTML, mail);
}

/*
 * The recipient's language where the room knows one, else the tenant's.
 */
static char *
choose_locale(Jsonb *values, const MailFrame *frame)
{
	char *wish = find_text(values, "locale");
	char *locale = palloc(LOCALE_MAX + 1);

	return wish != NULL && locale_parse(wish, locale) ? locale : frame->locale;
}

/*
 * The variables of a message, when its room wants it sent. The last statement
 * is the room's.
 */
static VariableList
message_variables(SpiRow message, const MailKind *kind, const MailFrame *frame,
				  Jsonb **values)
{
	VariableList list = mail_variables(mail_describe(kind->name));
	SpiRow row = spi_row(0);
	char *name = row_text_or_null(message, "recipient_name");
	LinkToken token = {.purpose = kind->purpose,
					   .tenant_id = frame->tenant_id,
					   .object_id = row_uuid(message, "subject_id"),
					   .generation = row_int(row, "generation")};

	*values = DatumGetJsonbP(row_value(row, "variables"));
	mail_frame_variables(frame, &list);
	variable_set(&list, "recipient", row_text(message, "recipient"));
	variable_set(&list, "recipient_name",
				 name != NULL ? text_tame(name) : NULL);
	if (row_bool(row, "linked"))
		variable_set(&list, "link", mail_link(kind, frame->base_url, &token));
	return list;
}

RenderedMail
mail_render(SpiRow message)
{
	RenderedMail mail = {0};
	char *name = row_text(message, "kind");
	const MailKind *kind = mail_kind(name);
	pg_uuid_t tenant_id = row_uuid(message, "tenant_id");
	pg_uuid_t subject_id = row_uuid(message, "subject_id");
	const MailFrame *frame;
	const MailTemplate *template;
	VariableList variables;
	Jsonb *values;
	char *locale;

	if (kind == NULL || mail_describe(name) == NULL)
	{
		mail.problem = psprintf("there is no mail kind \"%s\"", name);
		return mail;
	}
	frame = frame_of(&tenant_id);
	mail.unwanted = frame == NULL || is_shut(name, frame->suspended) ||
					!ask_room(kind, &subject_id, &tenant_id);
	if (mail.unwanted)
		return mail;
	mail.sender = frame->sender;
	mail.from_name = text_tame(frame->from_name);
	variables = message_variables(message, kind, frame, &values);
	locale = choose_locale(values, frame);
	set_subject_variables(&variables, values, locale, frame->time_zone);
	template = template_of(name, locale);
	if (template != NULL)
		render_parts(&mail, template, &variables);
	else
		mail.problem = psprintf("there is no template for \"%s\"", name);
	return mail;
}
