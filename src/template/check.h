/*
 * check.h: what a template must be before it is kept.
 */
#ifndef USERMGMT_CHECK_H
#define USERMGMT_CHECK_H

#include "outbox/catalogue.h"

/* Raises 22023, with the place, unless the part ("subject", "text_body",
 * "html_body") is one that can always be rendered, shows the link where the
 * kind needs one, and sends the reader and the link nowhere else. Who is
 * trusted may also write addresses of other sites. */
extern void template_check(const MailDescription *mail, const char *part,
						   const char *source, bool trusted);

/* Whether {{link}} or {{base_url}}, which stands from tag to after, can not be
 * made part of another address by what is around it. */
extern bool link_stands_alone(const char *source, const char *tag,
							  const char *after);

/* The same in HTML, where an element that breaks the text may go before it. */
extern bool link_stands_alone_in_html(const char *source, const char *tag,
									  const char *after);

/* The HTML has only harmless elements, in quotes what belongs there, and loads
 * nothing but the logo; else false, and *problem says why. */
extern bool html_check(const char *source, bool trusted,
					   TemplateProblem *problem);

#endif
