/*
 * check.c
 *	  What a template must be before it is kept.
 *
 * Whoever follows a link is let in, so a template must not be able to carry it
 * elsewhere: it stands alone, also in an attribute, and no text around it makes
 * it a parameter of another address.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "template/check.h"

#define MAX_SUBJECT 300
#define MAX_BODY (100 * 1024) /* some readers cut what is longer */

typedef struct Part
{
	const MailDescription *mail;
	const char *name;
	const char *source;
	bool trusted;
} Part;

static void
refuse(const Part *part, const TemplateProblem *problem)
{
	int line = 1;
	const char *begin = part->source;

	for (const char *c = part->source; c < problem->at; c++)
		if (*c == '\n')
		{
			line++;
			begin = c + 1;
		}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the template does not fit: %s", problem->message),
			 errdetail("In %s, line %d, character %d.", part->name, line,
					   pg_mbstrlen_with_len(begin, problem->at - begin) + 1),
			 errhint("Variables of %s: %s.", part->mail->kind,
					 mail_variable_names(part->mail))));
}

static void
refuse_at(const Part *part, const char *at, const char *message)
{
	TemplateProblem problem = {pstrdup(message), at};

	refuse(part, &problem);
}

static bool
is_subject(const Part *part)
{
	return strcmp(part->name, "subject") == 0;
}

static void
check_characters(const Part *part)
{
	bool subject = is_subject(part);
	const char *c = part->source;

	if (c[strspn(c, " \t\r\n")] == '\0')
		refuse_at(part, c, "it is empty");
	if (subject ? pg_mbstrlen(c) > MAX_SUBJECT : strlen(c) > MAX_BODY)
		refuse_at(part, c,
				  subject ? "it is longer than 300 characters"
						  : "it is longer than 100 kB");
	for (; *c != '\0'; c++)
		if (((unsigned char) *c < ' ' || *c == 0x7f) &&
			(subject || (*c != '\n' && *c != '\t')))
			refuse_at(part, c, "a control character");
}

static bool
ends_word(char c)
{
	return c == '\0' || strchr(" \t\n<>", c) != NULL;
}

static bool
link_ends(const char *after)
{
	return ends_word(*after) ||
		   (strchr(".,;:!?)", *after) != NULL && ends_word(after[1]));
}

bool
link_stands_alone(const char *source, const char *tag, const char *after)
{
	return (tag == source || strchr(" \t\n<", tag[-1]) != NULL) &&
		   link_ends(after);
}

/*
 * Whether the element tag that ends at end is one that breaks the text, or an
 * anchor, whose text is no part of what goes before.
 */
static bool
breaks_text(const char *source, const char *end)
{
	static const char *const names[] = {
		"a",  "p",	 "br",	   "td",	"th",	"div",		 "li",
		"h1", "h2",	 "h3",	   "h4",	"tr",	"hr",		 "ul",
		"ol", "pre", "center", "table", "body", "blockquote"};
	const char *begin = end;
	size_t length;

	while (begin > source && *begin != '<')
		begin--;
	begin += begin[1] == '/' ? 2 : 1;
	length = strcspn(begin, " \t\n/>");
	for (int i = 0; i < lengthof(names); i++)
		if (strlen(names[i]) == length &&
			pg_strncasecmp(begin, names[i], length) == 0)
			return true;
	return false;
}

bool
link_stands_alone_in_html(const char *source, const char *tag,
						  const char *after)
{
	if (tag > source && tag[-1] == '>')
		return breaks_text(source, tag - 1) && link_ends(after);
	return link_stands_alone(source, tag, after);
}

/*
 * The link is shown if it stands in no section but its own.
 */
static void
check_link(const Part *part)
{
	int others = 0;
	bool shown = false;
	bool in_html = strcmp(part->name, "html_body") == 0;
	const char *s = part->source;
	TemplateProblem problem = {0};
	TemplateTag tag;

	while ((s = strstr(s, "{{")) != NULL)
	{
		const char *at = s;
		bool is_link;

		s = template_read_tag(s, &tag, &problem);
		is_link = strcmp(tag.name, "link") == 0;
		if (tag.sigil == '/')
			others -= others > 0 && !is_link;
		else if (tag.sigil != '\0')
			others += !is_link || tag.sigil == '^';
		else if (is_link && is_subject(part))
			refuse_at(part, at, "a subject has no link");
		else if (!in_html && (is_link || strcmp(tag.name, "base_url") == 0) &&
				 !link_stands_alone(part->source, at, s))
			refuse_at(part, at, "an address has a space on both sides");
		else
			shown = shown || (is_link && others == 0);
	}
	if (part->mail->needs_link && !is_subject(part) && !shown)
		refuse_at(part, part->source,
				  "it needs {{link}}, outside of other sections");
}

/*
 * What a reader's program makes a link of, whoever wrote it.
 */
static void
check_addresses(const Part *part)
{
	const char *c;

	for (c = part->source; *c != '\0'; c++)
		if (strncmp(c, "://", 3) == 0 || pg_strncasecmp(c, "www.", 4) == 0)
			refuse_at(part, c,
					  "only an operator names other sites; use {{link}} or "
					  "{{base_url}}");
}

void
template_check(const MailDescription *mail, const char *name,
			   const char *source, bool trusted)
{
	Part part = {mail, name, source, trusted};
	VariableList variables = mail_variables(mail);
	TemplateProblem problem = {0};

	check_characters(&part);
	if (template_render(source, &variables, PART_TEXT, &problem) == NULL)
		refuse(&part, &problem);
	check_link(&part);
	if (strcmp(name, "html_body") == 0 &&
		!html_check(source, trusted, &problem))
		refuse(&part, &problem);
	if (!trusted)
		check_addresses(&part);
}
