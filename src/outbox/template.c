/*
 * template.c
 *	  Variables and sections, escaped for the part they stand in.
 */
#include "postgres.h"

#include "outbox/template.h"

#define MAX_NAME 63
#define MAX_DEPTH 8

typedef struct Renderer
{
	const char *source;
	Jsonb *variables;
	TemplatePart part;
	StringInfoData out;
	char *problem;
} Renderer;

typedef struct Tag
{
	char sigil; /* '#', '^', '/' or 0 for a variable */
	char name[MAX_NAME + 1];
} Tag;

/*
 * Read the tag at s, which begins with "{{"; the rest after it, or NULL. A
 * section tag alone on its line takes the line with it.
 */
static const char *
read_tag(Renderer *renderer, const char *s, Tag *tag)
{
	size_t length;
	bool begins_line = s == renderer->source || s[-1] == '\n';

	s += 2;
	tag->sigil = *s != '\0' && strchr("#^/", *s) != NULL ? *s++ : '\0';
	length = strspn(s, "abcdefghijklmnopqrstuvwxyz_");
	if (length == 0 || length > MAX_NAME || strncmp(s + length, "}}", 2) != 0)
	{
		renderer->problem = psprintf("faulty tag near \"{{%.20s\"", s);
		return NULL;
	}
	memcpy(tag->name, s, length);
	tag->name[length] = '\0';
	s += length + 2;
	if (tag->sigil != '\0' && begins_line && *s == '\n')
		s++;
	return s;
}

static void
append(Renderer *renderer, char c)
{
	StringInfo out = &renderer->out;

	if (renderer->part == PART_HEADER && (unsigned char) c < ' ')
		appendStringInfoChar(out, ' ');
	else if (renderer->part != PART_HTML)
		appendStringInfoChar(out, c);
	else if (c == '&')
		appendStringInfoString(out, "&amp;");
	else if (c == '<')
		appendStringInfoString(out, "&lt;");
	else if (c == '>')
		appendStringInfoString(out, "&gt;");
	else if (c == '"')
		appendStringInfoString(out, "&quot;");
	else if (c == '\'')
		appendStringInfoString(out, "&#39;");
	else
		appendStringInfoChar(out, c);
}

/*
 * Look the variable up; false when it is unknown, empty when it is null.
 */
static bool
find_variable(Renderer *renderer, const char *name, JsonbValue *value)
{
	if (getKeyJsonValueFromContainer(&renderer->variables->root, name,
									 strlen(name), value) == NULL ||
		(value->type != jbvString && value->type != jbvNull))
	{
		renderer->problem = psprintf("unknown variable \"%s\"", name);
		return false;
	}
	if (value->type == jbvNull)
		value->val.string.len = 0;
	return true;
}

/*
 * Render up to the end tag of the section (NULL: the end of the text); what
 * follows it, or NULL on a problem. Muted output is checked but not kept.
 */
static const char *
render(Renderer *renderer, const char *s, const char *section, bool muted,
	   int depth)
{
	while (*s != '\0')
	{
		Tag tag;
		JsonbValue value;
		bool empty;

		if (strncmp(s, "{{", 2) != 0)
		{
			if (!muted)
				appendStringInfoChar(&renderer->out, *s);
			s++;
			continue;
		}
		s = read_tag(renderer, s, &tag);
		if (s == NULL)
			return NULL;
		if (tag.sigil == '/' && section != NULL &&
			strcmp(tag.name, section) == 0)
			return s;
		if (tag.sigil == '/' || depth == MAX_DEPTH)
		{
			renderer->problem =
				psprintf("section \"%s\" ends or nests wrongly", tag.name);
			return NULL;
		}
		if (!find_variable(renderer, tag.name, &value))
			return NULL;
		empty = value.val.string.len == 0;
		if (tag.sigil != '\0')
			s = render(renderer, s, tag.name,
					   muted || empty != (tag.sigil == '^'), depth + 1);
		else
			for (int i = 0; !muted && i < value.val.string.len; i++)
				append(renderer, value.val.string.val[i]);
		if (s == NULL)
			return NULL;
	}
	if (section == NULL)
		return s;
	renderer->problem = psprintf("section \"%s\" has no end", section);
	return NULL;
}

char *
template_render(const char *source, Jsonb *variables, TemplatePart part,
				char **problem)
{
	Renderer renderer = {
		.source = source, .variables = variables, .part = part};

	initStringInfo(&renderer.out);
	if (render(&renderer, source, NULL, false, 0) != NULL)
		return renderer.out.data;
	*problem = renderer.problem;
	return NULL;
}
