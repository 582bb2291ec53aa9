/*
 * template.h: mail templates, a strict subset of Mustache.
 *
 * {{name}} is a variable; {{#name}} ... {{/name}} stands when it is not
 * empty, {{^name}} ... {{/name}} when it is. Nothing else is accepted. A value
 * is never read for tags.
 */
#ifndef USERMGMT_TEMPLATE_H
#define USERMGMT_TEMPLATE_H

#include "lib/stringinfo.h"

#define MAX_VARIABLES 20
#define VARIABLE_NAME_MAX 63

typedef struct Variable
{
	const char *name;
	const char *value; /* NULL: empty */
} Variable;

typedef struct VariableList
{
	int count;
	Variable items[MAX_VARIABLES];
} VariableList;

/* The variable of this name, or NULL. */
extern Variable *variable_find(const VariableList *list, const char *name);

/* Sets it, if the list has it. */
extern void variable_set(VariableList *list, const char *name,
						 const char *value);

typedef enum TemplatePart
{
	PART_HEADER, /* control characters become spaces */
	PART_TEXT,	 /* as it is */
	PART_HTML	 /* escaped */
} TemplatePart;

/* What is wrong with a template, and where. */
typedef struct TemplateProblem
{
	char *message; /* NULL: nothing */
	const char *at;
} TemplateProblem;

typedef struct TemplateTag
{
	char sigil; /* '#', '^', '/' or 0 for a variable */
	char name[VARIABLE_NAME_MAX + 1];
} TemplateTag;

/* Reads the tag at s, which begins with "{{"; what follows it, or NULL when it
 * is faulty. */
extern const char *template_read_tag(const char *s, TemplateTag *tag,
									 TemplateProblem *problem);

/* The rendered template, palloc'd. NULL when it is faulty, names a variable
 * that is not in the list, or becomes longer than a megabyte; *problem says
 * why. Raises nothing, so that one bad mail holds up no other. */
extern char *template_render(const char *source, const VariableList *variables,
							 TemplatePart part, TemplateProblem *problem);

#endif
