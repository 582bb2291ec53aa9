/*
 * html.c
 *	  The HTML that a mail may have: shapes and colors, nothing that acts.
 *
 * Elements and attributes are those listed here. Tags of templates stand
 * between elements, or are the value of an attribute that says so; sections
 * stand between elements only, so leaving one out makes no new element.
 */
#include "postgres.h"

#include "template/check.h"

static const char *const elements[] = {
	"html",	 "head",   "meta",	"title",  "style", "body",	  "table",
	"thead", "tbody",  "tfoot", "tr",	  "td",	   "th",	  "div",
	"span",	 "p",	   "a",		"strong", "b",	   "em",	  "i",
	"u",	 "s",	   "br",	"hr",	  "h1",	   "h2",	  "h3",
	"h4",	 "ul",	   "ol",	"li",	  "img",   "small",	  "sup",
	"sub",	 "center", "pre",	"code",	  "font",  "address", "blockquote"};

typedef enum ValueKind
{
	VALUE_PLAIN, /* no variables */
	VALUE_TEXT,	 /* variables, but no address */
	VALUE_STYLE,
	VALUE_HREF,
	VALUE_LOGO
} ValueKind;

static const struct
{
	const char *name;
	ValueKind kind;
} attributes[] = {{"href", VALUE_HREF},			{"src", VALUE_LOGO},
				  {"style", VALUE_STYLE},		{"bgcolor", VALUE_STYLE},
				  {"color", VALUE_STYLE},		{"alt", VALUE_TEXT},
				  {"title", VALUE_TEXT},		{"class", VALUE_PLAIN},
				  {"id", VALUE_PLAIN},			{"lang", VALUE_PLAIN},
				  {"dir", VALUE_PLAIN},			{"align", VALUE_PLAIN},
				  {"valign", VALUE_PLAIN},		{"width", VALUE_PLAIN},
				  {"height", VALUE_PLAIN},		{"border", VALUE_PLAIN},
				  {"cellpadding", VALUE_PLAIN}, {"cellspacing", VALUE_PLAIN},
				  {"colspan", VALUE_PLAIN},		{"rowspan", VALUE_PLAIN},
				  {"role", VALUE_PLAIN},		{"face", VALUE_PLAIN},
				  {"size", VALUE_PLAIN},		{"charset", VALUE_PLAIN},
				  {"name", VALUE_PLAIN},		{"content", VALUE_PLAIN},
				  {"xmlns", VALUE_PLAIN},		{"target", VALUE_PLAIN}};

typedef struct Scanner
{
	const char *source;
	bool trusted;
	TemplateProblem *problem;
} Scanner;

static const char *
fail(Scanner *scanner, const char *at, const char *message)
{
	scanner->problem->message = pstrdup(message);
	scanner->problem->at = at;
	return NULL;
}

/*
 * The letters and digits at s, in lower case; their number.
 */
static size_t
read_name(const char *s, char name[16])
{
	size_t length = 0;

	while (length < 15 &&
		   strchr("abcdefghijklmnopqrstuvwxyz0123456789-",
				  pg_ascii_tolower(s[length])) != NULL &&
		   s[length] != '\0')
	{
		name[length] = pg_ascii_tolower(s[length]);
		length++;
	}
	name[length] = '\0';
	return length;
}

/*
 * Whether text of this length holds the part, in any case.
 */
static bool
holds(const char *text, size_t length, const char *part)
{
	size_t size = strlen(part);

	for (size_t i = 0; i + size <= length; i++)
		if (pg_strncasecmp(text + i, part, size) == 0)
			return true;
	return false;
}

static bool
equals(const char *value, size_t length, const char *text)
{
	return strlen(text) == length && strncmp(value, text, length) == 0;
}

/*
 * Whether every tag in the text is a variable of a color.
 */
static bool
has_only_colors(const char *value, size_t length)
{
	const char *end = value + length;

	while (value < end && (value = strstr(value, "{{")) != NULL && value < end)
	{
		size_t color = strlen("{{brand_color}}");
		size_t contrast = strlen("{{brand_text_color}}");

		if (strncmp(value, "{{brand_color}}", color) == 0)
			value += color;
		else if (strncmp(value, "{{brand_text_color}}", contrast) == 0)
			value += contrast;
		else
			return false;
	}
	return true;
}

/*
 * Shapes and colors, but nothing that loads; no escapes that could hide it.
 */
static bool
style_fits(const char *value, size_t length)
{
	return has_only_colors(value, length) && !holds(value, length, "url") &&
		   !holds(value, length, "src(") &&
		   !holds(value, length, "expression") &&
		   !holds(value, length, "image") && !holds(value, length, "@import") &&
		   !holds(value, length, "behavior") && !holds(value, length, "/*") &&
		   memchr(value, '\\', length) == NULL &&
		   memchr(value, '<', length) == NULL;
}

/*
 * One of our addresses, with a path of its own for base_url, or a mailbox; who
 * is trusted may name another site.
 */
static bool
href_fits(const char *value, size_t length, bool trusted)
{
	size_t base = strlen("{{base_url}}");
	size_t plain = strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRS"
								 "TUVWXYZ0123456789-._~:/?#@!$()*+,;=%");

	if (equals(value, length, "{{link}}") ||
		equals(value, length, "{{base_url}}"))
		return true;
	if (length > base && strncmp(value, "{{base_url}}/", base + 1) == 0)
		return strspn(value + base,
					  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP"
					  "QRSTUVWXYZ0123456789-._~/?#=") >= length - base;
	if (plain < length)
		return false;
	return strncmp(value, "mailto:", 7) == 0 ||
		   (trusted && strncmp(value, "https://", 8) == 0);
}

/*
 * Whether the text has no section, and no variable that is an address.
 */
static bool
text_fits(const char *value, size_t length)
{
	const char *end = value + length;
	TemplateProblem problem = {0};
	TemplateTag tag;

	while ((value = strstr(value, "{{")) != NULL && value < end)
	{
		value = template_read_tag(value, &tag, &problem);
		if (value == NULL || value > end || tag.sigil != '\0' ||
			strcmp(tag.name, "link") == 0 || strcmp(tag.name, "base_url") == 0)
			return false;
	}
	return true;
}

static bool
value_fits(ValueKind kind, const char *value, size_t length, bool trusted)
{
	switch (kind)
	{
		case VALUE_PLAIN:
			return !holds(value, length, "{{");
		case VALUE_TEXT:
			return text_fits(value, length);
		case VALUE_STYLE:
			return memchr(value, '&', length) == NULL &&
				   style_fits(value, length);
		case VALUE_HREF:
			return href_fits(value, length, trusted);
		case VALUE_LOGO:
			return equals(value, length, "{{logo_url}}");
	}
	return false;
}

/*
 * Read one attribute at s; what follows it.
 */
static const char *
read_attribute(Scanner *scanner, const char *s)
{
	char name[16];
	size_t length = read_name(s, name);
	const char *value = s + length + 2;
	size_t size;

	if (length == 0 || s[length] != '=' || s[length + 1] != '"')
		return fail(scanner, s, "an attribute is written name=\"value\"");
	size = strcspn(value, "\"<>");
	if (value[size] != '"')
		return fail(scanner, s, "the value of an attribute has no end");
	for (int i = 0; i < lengthof(attributes); i++)
	{
		if (strcmp(attributes[i].name, name) != 0)
			continue;
		if (value_fits(attributes[i].kind, value, size, scanner->trusted))
			return value + size + 1;
		return fail(scanner, value,
					attributes[i].kind == VALUE_HREF
						? "a link leads to {{link}} or {{base_url}}"
					: attributes[i].kind == VALUE_LOGO
						? "the only image is {{logo_url}}"
						: "this is not allowed in the attribute");
	}
	return fail(scanner, s, "an attribute that is not allowed");
}

/*
 * The text of a style element, up to its end tag.
 */
static const char *
read_style(Scanner *scanner, const char *s)
{
	const char *end = strstr(s, "</style>");

	if (end == NULL)
		return fail(scanner, s, "the element style has no end");
	if (!style_fits(s, end - s))
		return fail(scanner, s, "a style that could load something");
	return end;
}

/*
 * Read the element tag at s, which begins with "<"; what follows it.
 */
static const char *
read_element(Scanner *scanner, const char *s)
{
	const char *at = s++;
	char name[16];
	bool closes = *s == '/';
	bool known = false;

	if (pg_strncasecmp(s, "!doctype html>", 14) == 0)
		return s + 14;
	s += closes;
	s += read_name(s, name);
	for (int i = 0; i < lengthof(elements); i++)
		known = known || strcmp(elements[i], name) == 0;
	if (!known)
		return fail(scanner, at,
					"an element that is not allowed, or a bare \"<\"");
	for (;;)
	{
		size_t space = strspn(s, " \t\n");

		s += space;
		if (*s == '/' && s[1] == '>' && !closes)
			s++;
		if (*s == '>')
			break;
		if (space == 0 || closes)
			return fail(scanner, at, "an element that is written wrongly");
		s = read_attribute(scanner, s);
		if (s == NULL)
			return NULL;
	}
	if (!closes && strcmp(name, "style") == 0)
		return read_style(scanner, s + 1);
	return s + 1;
}

bool
html_check(const char *source, bool trusted, TemplateProblem *problem)
{
	Scanner scanner = {source, trusted, problem};
	const char *s = source;
	TemplateTag tag;

	while (s != NULL && *s != '\0')
	{
		const char *at = s;

		if (*s == '<')
			s = read_element(&scanner, s);
		else if (strncmp(s, "{{", 2) != 0)
			s++;
		else
		{
			s = template_read_tag(s, &tag, problem);
			if (s != NULL && tag.sigil == '\0' &&
				(strcmp(tag.name, "link") == 0 ||
				 strcmp(tag.name, "base_url") == 0) &&
				!link_stands_alone_in_html(source, at, s))
				s = fail(&scanner, at,
						 "an address has a space or an element on both sides");
		}
	}
	return s != NULL;
}
