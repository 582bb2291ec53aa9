/*
 * template.h: mail templates, a strict subset of Mustache.
 *
 * {{name}} is a variable; {{#name}} ... {{/name}} stands when it is not
 * empty, {{^name}} ... {{/name}} when it is. Nothing else is accepted.
 */
#ifndef USERMGMT_TEMPLATE_H
#define USERMGMT_TEMPLATE_H

#include "lib/stringinfo.h"
#include "utils/jsonb.h"

typedef enum TemplatePart
{
	PART_HEADER, /* control characters become spaces */
	PART_TEXT,	 /* as it is */
	PART_HTML	 /* escaped */
} TemplatePart;

/* The rendered template, palloc'd; variables is an object of texts and nulls.
 * NULL when the template is faulty or names an unknown variable; then
 * *problem says why. Raises nothing, so that one bad mail holds up no other. */
extern char *template_render(const char *source, Jsonb *variables,
							 TemplatePart part, char **problem);

#endif
