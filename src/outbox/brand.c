/*
 * brand.c
 *	  How a tenant looks in its mails: name, logo and color.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"

#include "outbox/brand.h"

#define MAX_NAME 200
#define MAX_LOGO_URL 500
#define DEFAULT_COLOR "#1f4fd8"
#define LIGHT_TEXT "#ffffff"
#define DARK_TEXT "#111111"

/*
 * The text of this key, palloc'd; NULL when there is none. *other says that
 * it is something else than a text.
 */
static char *
find_text(Jsonb *branding, const char *key, bool *other)
{
	JsonbValue value;

	*other = false;
	if (branding == NULL || !JB_ROOT_IS_OBJECT(branding) ||
		getKeyJsonValueFromContainer(&branding->root, key, strlen(key),
									 &value) == NULL ||
		value.type == jbvNull)
		return NULL;
	*other = value.type != jbvString;
	return *other ? NULL : pnstrdup(value.val.string.val, value.val.string.len);
}

static bool
name_fits(const char *name)
{
	for (const char *c = name; *c != '\0'; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			return false;
	return name[0] != '\0' && pg_mbstrlen(name) <= MAX_NAME;
}

/*
 * An https address of plain ASCII, without anything that ends an attribute.
 */
static bool
logo_fits(const char *url)
{
	size_t length = strlen(url);

	return length > strlen("https://x") && length <= MAX_LOGO_URL &&
		   strncmp(url, "https://", 8) == 0 &&
		   strspn(url, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789-._~:/?#[]@!$&()*+,;=%") == length;
}

static bool
color_fits(const char *color)
{
	return strlen(color) == 7 && color[0] == '#' &&
		   strspn(color + 1, "0123456789abcdefABCDEF") == 6;
}

/*
 * Relative luminance (WCAG 2.2), from 0 (black) to 1 (white).
 */
static double
luminance(const char *color)
{
	static const double share[] = {0.2126, 0.7152, 0.0722};
	double sum = 0;

	for (int i = 0; i < 3; i++)
	{
		char part[3] = {color[1 + 2 * i], color[2 + 2 * i], '\0'};
		double c = strtol(part, NULL, 16) / 255.0;

		sum += share[i] *
			   (c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
	}
	return sum;
}

static double
contrast(const char *color, const char *other)
{
	double a = luminance(color);
	double b = luminance(other);

	return (Max(a, b) + 0.05) / (Min(a, b) + 0.05);
}

Brand
brand_read(Jsonb *branding)
{
	bool other;
	Brand brand = {.name = find_text(branding, "name", &other),
				   .logo_url = find_text(branding, "logo_url", &other),
				   .color = find_text(branding, "color", &other)};

	if (brand.name != NULL && !name_fits(brand.name))
		brand.name = NULL;
	if (brand.logo_url != NULL && !logo_fits(brand.logo_url))
		brand.logo_url = NULL;
	if (brand.color == NULL || !color_fits(brand.color))
		brand.color = pstrdup(DEFAULT_COLOR);
	brand.contrast =
		contrast(brand.color, LIGHT_TEXT) >= contrast(brand.color, DARK_TEXT)
			? LIGHT_TEXT
			: DARK_TEXT;
	return brand;
}

static void
check_key(Jsonb *branding, const char *key, bool (*fits)(const char *),
		  const char *hint)
{
	bool other;
	char *value = find_text(branding, key, &other);

	if (other || (value != NULL && !fits(value)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("branding has a %s that does not fit", key),
						errhint("%s", hint)));
}

void
brand_check(Jsonb *branding)
{
	check_key(branding, "name", name_fits,
			  "Give 1 to 200 characters without control characters.");
	check_key(branding, "logo_url", logo_fits,
			  "Give an address that begins with https://, of at most 500 "
			  "characters, without spaces and quotes.");
	check_key(branding, "color", color_fits,
			  "Give a color as #rrggbb, such as #1f4fd8.");
}
