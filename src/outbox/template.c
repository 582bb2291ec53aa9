/*
 * template.c
 *	  Variables and sections, escaped for the part they stand in.
 */
#include "postgres.h"

#include "outbox/template.h"

#define MAX_DEPTH 8
#define MAX_RENDERED (1024 * 1024)

typedef struct Renderer
{
	const char *source;
	const VariableList *variables;
	TemplatePart part;
	StringInfoData out;
	TemplateProblem *problem;
} Renderer;

Variable *
variable_find(const VariableList *list, const char *name)
{
	for (int i = 0; i < list->count; i++)
		if (strcmp(list->items[i].name, name) == 0)
			return unconstify(Variable *, &list->items[i]);
	return NULL;
}

void
variable_set(VariableList *list, const char *name, const char *value)
{
	Variable *variable = variable_find(list, name);

	if (variable != NULL)
		variable->value = value;
}

/*
 * How many octets at the beginning can be a name.
 */
static size_t
name_length(const char *name)
{
	const char *s = name;

	while ((*s >= 'a' && *s <= 'z') || *s == '_')
		s++;
	return s - name;
}

const char *
template_read_tag(const char *s, TemplateTag *tag, TemplateProblem *problem)
{
	const char *name = s + 2;
	size_t length;

	tag->sigil = *name != '\0' && strchr("#^/", *name) != NULL ? *name++ : '\0';
	length = name_length(name);
	if (length == 0 || length > VARIABLE_NAME_MAX ||
		strncmp(name + length, "}}", 2) != 0)
	{
		problem->message = pstrdup("a tag is faulty");
		problem->at = s;
		return NULL;
	}
	memcpy(tag->name, name, length);
	tag->name[length] = '\0';
	return name + length + 2;
}

static const char *
fail(Renderer *renderer, const char *at, char *message)
{
	renderer->problem->message = message;
	renderer->problem->at = at;
	return NULL;
}

/*
 * What follows a section tag: one alone on its line takes the line with it,
 * where a line also begins in what is rendered. Else a section that is left out
 * could take a line end away, and join what stands apart in the template.
 */
static const char *
after_section_tag(const Renderer *renderer, const char *tag, const char *s)
{
	const StringInfoData *out = &renderer->out;
	bool begins_line = (tag == renderer->source || tag[-1] == '\n') &&
					   (out->len == 0 || out->data[out->len - 1] == '\n');

	return begins_line && *s == '\n' ? s + 1 : s;
}

/*
 * What a character of a value becomes in this part; NULL: itself.
 */
static const char *
replacement(TemplatePart part, char c)
{
	if (part == PART_HEADER)
		return (unsigned char) c < ' ' || c == 0x7f ? " " : NULL;
	if (part == PART_TEXT)
		return NULL;
	switch (c)
	{
		case '&':
			return "&amp;";
		case '<':
			return "&lt;";
		case '>':
			return "&gt;";
		case '"':
			return "&quot;";
		case '\'':
			return "&#39;";
		case '\n':
			return "<br>\n";
		default:
			return NULL;
	}
}

static void
append_value(Renderer *renderer, const char *value)
{
	StringInfo out = &renderer->out;

	for (; *value != '\0' && out->len <= MAX_RENDERED; value++)
	{
		const char *other = replacement(renderer->part, *value);

		if (other != NULL)
			appendStringInfoString(out, other);
		else
			appendStringInfoCharMacro(out, *value);
	}
}

/*
 * Append what stands before the next tag; where that is, or the end.
 */
static const char *
append_plain(Renderer *renderer, const char *s, bool muted)
{
	const char *tag = strstr(s, "{{");
	size_t length = tag != NULL ? tag - s : strlen(s);

	if (!muted)
		appendBinaryStringInfo(&renderer->out, s, length);
	return s + length;
}

/*
 * Render up to the end tag of the section (NULL: the end of the text); what
 * follows it, or NULL on a problem. Muted output is checked but not kept.
 */
static const char *
render(Renderer *renderer, const char *s, const char *section, bool muted,
	   int depth)
{
	const char *begin = s;

	while (*s != '\0')
	{
		const char *at = s;
		TemplateTag tag;
		const Variable *variable;
		const char *value;

		if (renderer->out.len > MAX_RENDERED)
			return fail(renderer, s, pstrdup("it becomes too long"));
		if (strncmp(s, "{{", 2) != 0)
		{
			s = append_plain(renderer, s, muted);
			continue;
		}
		s = template_read_tag(s, &tag, renderer->problem);
		if (s == NULL)
			return NULL;
		if (tag.sigil != '\0')
			s = after_section_tag(renderer, at, s);
		if (tag.sigil == '/' && section != NULL &&
			strcmp(tag.name, section) == 0)
			return s;
		if (tag.sigil == '/' || depth == MAX_DEPTH)
			return fail(
				renderer, at,
				psprintf("section \"%s\" ends or nests wrongly", tag.name));
		variable = variable_find(renderer->variables, tag.name);
		if (variable == NULL)
			return fail(renderer, at,
						psprintf("unknown variable \"%s\"", tag.name));
		value = variable->value != NULL ? variable->value : "";
		if (tag.sigil != '\0')
			s = render(renderer, s, variable->name,
					   muted || (*value == '\0') != (tag.sigil == '^'),
					   depth + 1);
		else if (!muted)
			append_value(renderer, value);
		if (s == NULL)
			return NULL;
	}
	if (section == NULL)
		return s;
	return fail(renderer, begin,
				psprintf("section \"%s\" has no end", section));
}

char *
template_render(const char *source, const VariableList *variables,
				TemplatePart part, TemplateProblem *problem)
{
	Renderer renderer = {.source = source,
						 .variables = variables,
						 .part = part,
						 .problem = problem};

	initStringInfo(&renderer.out);
	if (render(&renderer, source, NULL, false, 0) != NULL)
		return renderer.out.data;
	return NULL;
}
