/*
 * setting_value.c
 *	  A tenant setting as people write it, and as they read it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"

#include "core/address.h"
#include "core/locale.h"
#include "core/settings.h"

#define SECONDS_MAX (3650.0 * SECS_PER_DAY)

static void
refuse_value(TenantSetting setting, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the value does not fit the setting %s",
						   setting_name(setting)),
					errhint("%s", hint)));
}

/*
 * The seconds of an interval such as "7 days", or -1 when it is none.
 */
static double
interval_seconds(const char *value)
{
	char work[MAXDATELEN];
	char *fields[MAXDATEFIELDS];
	int types[MAXDATEFIELDS];
	int count;
	int type;
	struct pg_itm_in found;

	if (ParseDateTime(value, work, sizeof(work), fields, types, MAXDATEFIELDS,
					  &count) != 0 ||
		DecodeInterval(fields, types, count, INTERVAL_FULL_RANGE, &type,
					   &found) != 0 ||
		type != DTK_DELTA)
		return -1;
	return found.tm_usec / (double) USECS_PER_SEC +
		   found.tm_mday * (double) SECS_PER_DAY +
		   (found.tm_mon + found.tm_year * 12.0) * 30 * SECS_PER_DAY;
}

double
setting_parse_seconds(const char *value)
{
	int seconds;

	return parse_int(value, &seconds, GUC_UNIT_S, NULL)
			   ? seconds
			   : interval_seconds(value);
}

/*
 * A time that the setting may have, in seconds.
 */
static int
parse_seconds(TenantSetting setting, const char *value)
{
	double total = setting_least(setting) == 0 && strcmp(value, "off") == 0
					   ? 0
					   : setting_parse_seconds(value);

	if (total < setting_least(setting) || total > SECONDS_MAX)
		refuse_value(setting,
					 psprintf("Give a time from %ds to ten years, such as "
							  "'7 days'.",
							  setting_least(setting)));
	return (int) total;
}

static char *
normalize_text(TenantSetting setting, const char *value)
{
	char *text = plain_text_require(value, setting_name(setting), 200);
	Address address;

	if (setting == SETTING_BASE_URL && strncmp(text, "https://", 8) != 0 &&
		strncmp(text, "http://", 7) != 0)
		refuse_value(setting, "Give an address that begins with https://.");
	if (setting == SETTING_FROM_EMAIL && !address_parse(text, &address))
		refuse_value(setting, "Give an e-mail address.");
	if (setting == SETTING_LOCALE)
		return locale_require(text, setting_name(setting));
	if (setting == SETTING_TIME_ZONE && !time_zone_exists(text))
		refuse_value(setting, "Give a time zone, such as Europe/Berlin.");
	return text;
}

static char *
normalize_limit(TenantSetting setting, const char *value)
{
	int limit;

	if (pg_strcasecmp(value, "none") == 0)
		return pstrdup("none");
	if (strspn(value, "0123456789") != strlen(value) ||
		!parse_int(value, &limit, 0, NULL) || limit < 1)
		refuse_value(setting, "Give a number from 1, or none.");
	return psprintf("%d", limit);
}

char *
setting_normalize(TenantSetting setting, const char *value)
{
	bool on;

	switch (setting_kind(setting))
	{
		case SECONDS:
			return psprintf("%d", parse_seconds(setting, value));
		case SWITCH:
			if (!parse_bool(value, &on))
				refuse_value(setting, "Give on or off.");
			return pstrdup(on ? "on" : "off");
		case TEXT:
			return normalize_text(setting, value);
		case LIMIT:
			return normalize_limit(setting, value);
	}
	return NULL;
}

char *
setting_show(TenantSetting setting, Jsonb *settings)
{
	int seconds;
	int limit;
	struct pg_itm time = {0};
	char *shown;

	switch (setting_kind(setting))
	{
		case SECONDS:
			seconds = setting_seconds(setting, settings);
			time.tm_mday = seconds / SECS_PER_DAY;
			time.tm_hour = seconds % SECS_PER_DAY / SECS_PER_HOUR;
			time.tm_min = seconds % SECS_PER_HOUR / SECS_PER_MINUTE;
			time.tm_sec = seconds % SECS_PER_MINUTE;
			shown = palloc(MAXDATELEN + 1);
			EncodeInterval(&time, INTSTYLE_POSTGRES, shown);
			return shown;
		case SWITCH:
			return pstrdup(setting_on(setting, settings) ? "on" : "off");
		case TEXT:
			return setting_text(setting, settings);
		case LIMIT:
			limit = setting_limit(setting, settings);
			return limit == 0 ? pstrdup("none") : psprintf("%d", limit);
	}
	return NULL;
}

void
settings_check(Jsonb *tenant_settings)
{
	for (TenantSetting setting = 0; setting < SETTING_COUNT; setting++)
	{
		char *own = setting_own(setting, tenant_settings);

		if (own != NULL)
			setting_normalize(setting, own);
	}
}
