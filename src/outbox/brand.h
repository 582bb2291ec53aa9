/*
 * brand.h: how a tenant looks in its mails.
 *
 * In a tenant's branding name, logo_url and color are ours; other keys are the
 * application's.
 */
#ifndef USERMGMT_BRAND_H
#define USERMGMT_BRAND_H

#include "utils/jsonb.h"

typedef struct Brand
{
	char *name;			  /* or NULL */
	char *logo_url;		  /* or NULL */
	char *color;		  /* #rrggbb */
	const char *contrast; /* the color of text that is readable on it */
} Brand;

/* The brand in this branding (NULL: none). What does not fit is left out.
 * palloc'd. */
extern Brand brand_read(Jsonb *branding);

/* Raises 22023 where the branding has a name, logo_url or color that does not
 * fit. */
extern void brand_check(Jsonb *branding);

#endif
