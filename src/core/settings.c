/*
 * settings.c
 *	  The settings of the server, and what a tenant makes of them.
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "core/address.h"
#include "core/redact.h"
#include "core/settings.h"

#define HASH_MEMORY_FLOOR 19456 /* kB; OWASP Password Storage, Argon2id */
#define HASH_PASSES_FLOOR 2

char *key_file;
bool notify_relay;
bool notify_events;
bool log_events;
int hash_memory;
int hash_passes;
int hash_slots;
int hash_wait;
int mail_retry_after;
int mails_per_address;
int password_min_length;
bool allow_sign_up;
char *workspace_health_function;

typedef struct SettingRow
{
	const char *name;
	SettingKind kind;
	int initial;
	int least;
	const char *initial_text;
	const char *description;
	SettingKeeper keeper;
	/* where the server's value lives */
	int number; /* of seconds, or a limit */
	bool on;
	char *text;
} SettingRow;

#define MINUTE 60
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* clang-format off */
static SettingRow tenant_settings_table[SETTING_COUNT] = {
	[SETTING_INVITATION_TTL] = {"invitation_ttl", SECONDS, 7 * DAY, 1, NULL,
		"How long an invitation can be accepted."},
	[SETTING_PASSWORD_RESET_TTL] = {"password_reset_ttl", SECONDS, HOUR, 1, NULL,
		"How long a password-reset link can be used."},
	[SETTING_SESSION_TTL] = {"session_ttl", SECONDS, 8 * HOUR, 1, NULL,
		"How long a session lives at most."},
	[SETTING_SESSION_IDLE_TTL] = {"session_idle_ttl", SECONDS, 0, 0, NULL,
		"How long a session lives without being used; 0 is no such limit."},
	[SETTING_RESEND_COOLDOWN] = {"resend_cooldown", SECONDS, 10 * MINUTE, 0, NULL,
		"How long after a mail the same one can not be asked for again."},
	[SETTING_REMINDER_AFTER] = {"reminder_after", SECONDS, 0, 0, NULL,
		"How long after its mail an open invitation is reminded of, once; 0 is never."},
	[SETTING_INACTIVE_AFTER] = {"inactive_after", SECONDS, 30 * DAY, 1, NULL,
		"How long after the last login a member counts as inactive."},
	[SETTING_LICENSE_WINDOW] = {"license_window", SECONDS, DAY, 1, NULL,
		"A member with a session used within this time counts as licensed.", KEPT_BY_OWNER},
	[SETTING_SEAT_LIMIT] = {"seat_limit", LIMIT, 0, 0, NULL,
		"How many seats active members and open invitations may take.", KEPT_BY_OWNER},
	[SETTING_PENDING_LIMIT] = {"pending_limit", LIMIT, 0, 0, NULL,
		"How many invitations may be open at once.", KEPT_BY_OWNER},
	[SETTING_LICENSE_TIER] = {"license_tier", TEXT, 0, 0, "none",
		"The license of the tenant, as the application names it.", KEPT_BY_OWNER},
	[SETTING_INVITATIONS_ENABLED] = {"invitations_enabled", SWITCH, true, 0, NULL,
		"Whether people can be invited."},
	[SETTING_ALLOW_OWNER_INVITATIONS] = {"allow_owner_invitations", SWITCH, false, 0, NULL,
		"Whether someone can be invited as owner.", KEPT_BY_OWNER},
	[SETTING_MEMBERS_SEE_MEMBERS] = {"members_see_members", SWITCH, false, 0, NULL,
		"Whether ordinary members see the list of members."},
	[SETTING_MEMBER_NOTICES] = {"member_notices", SWITCH, true, 0, NULL,
		"Whether people are told by mail that their role or their access changed."},
	[SETTING_REVOKE_SESSIONS_ON_ROLE_CHANGE] = {"revoke_sessions_on_role_change", SWITCH, true, 0, NULL,
		"Whether a change of role ends the person's sessions in the tenant."},
	[SETTING_RESEND_KEEPS_OLD_LINKS] = {"resend_keeps_old_links", SWITCH, true, 0, NULL,
		"Whether resending a pending invitation leaves its earlier links valid."},
	[SETTING_BASE_URL] = {"base_url", TEXT, 0, 0, "http://localhost:3000",
		"What the links in mails begin with.", KEPT_BY_OPERATOR},
	[SETTING_FROM_EMAIL] = {"from_email", TEXT, 0, 0, "no-reply@localhost",
		"The address that mails are sent from.", KEPT_BY_OPERATOR},
	[SETTING_FROM_NAME] = {"from_name", TEXT, 0, 0, "",
		"The name that mails are sent from; empty is the tenant's name."},
	[SETTING_LOCALE] = {"locale", TEXT, 0, 0, "en",
		"The language of mails."},
	[SETTING_TIME_ZONE] = {"time_zone", TEXT, 0, 0, "UTC",
		"The time zone of the moments in mails."},
};
/* clang-format on */

char *
setting_own(TenantSetting setting, Jsonb *settings)
{
	const SettingRow *row = &tenant_settings_table[setting];
	JsonbValue value;

	if (settings == NULL || !JB_ROOT_IS_OBJECT(settings) ||
		getKeyJsonValueFromContainer(&settings->root, row->name,
									 strlen(row->name), &value) == NULL)
		return NULL;
	switch (value.type)
	{
		case jbvString:
			return pnstrdup(value.val.string.val, value.val.string.len);
		case jbvBool:
			return pstrdup(value.val.boolean ? "on" : "off");
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(
				numeric_out, NumericGetDatum(value.val.numeric)));
		default:
			return NULL;
	}
}

int
setting_seconds(TenantSetting setting, Jsonb *settings)
{
	const SettingRow *row = &tenant_settings_table[setting];
	char *own = setting_own(setting, settings);
	double seconds = own != NULL ? setting_parse_seconds(own) : -1;

	Assert(row->kind == SECONDS);
	return seconds >= row->least && seconds <= INT_MAX ? (int) seconds
													   : row->number;
}

int
setting_limit(TenantSetting setting, Jsonb *settings)
{
	const SettingRow *row = &tenant_settings_table[setting];
	char *own = setting_own(setting, settings);
	int limit;

	Assert(row->kind == LIMIT);
	if (own == NULL)
		return row->number;
	return parse_int(own, &limit, 0, NULL) ? limit : 0;
}

bool
setting_on(TenantSetting setting, Jsonb *settings)
{
	const SettingRow *row = &tenant_settings_table[setting];
	char *own = setting_own(setting, settings);
	bool on;

	Assert(row->kind == SWITCH);
	if (own != NULL && parse_bool(own, &on))
		return on;
	return row->on;
}

char *
setting_text(TenantSetting setting, Jsonb *settings)
{
	const SettingRow *row = &tenant_settings_table[setting];
	char *own = setting_own(setting, settings);

	Assert(row->kind == TEXT);
	return own != NULL ? own : pstrdup(row->text);
}

TimestampTz
setting_after(TenantSetting setting, Jsonb *settings, TimestampTz from)
{
	return from + setting_seconds(setting, settings) * USECS_PER_SEC;
}

TenantSetting
setting_require(const char *name)
{
	if (name == NULL)
		refuse_null("name");
	for (int i = 0; i < SETTING_COUNT; i++)
		if (strcmp(tenant_settings_table[i].name, name) == 0)
			return i;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("there is no such tenant setting"),
					errhint("The manual lists them all.")));
}

SettingKeeper
setting_keeper(TenantSetting setting)
{
	return tenant_settings_table[setting].keeper;
}

const char *
setting_name(TenantSetting setting)
{
	return tenant_settings_table[setting].name;
}

SettingKind
setting_kind(TenantSetting setting)
{
	return tenant_settings_table[setting].kind;
}

int
setting_least(TenantSetting setting)
{
	return tenant_settings_table[setting].least;
}

/*
 * The setting of this name and kind, for the views.
 */
static TenantSetting
setting_of_kind(const char *name, SettingKind kind)
{
	TenantSetting setting = setting_require(name);

	if (tenant_settings_table[setting].kind != kind)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the setting %s is of another kind", name),
				 errhint("Times are read by effective_seconds(), limits by "
						 "effective_limit(), switches by "
						 "effective_switch().")));
	return setting;
}

/*
 * For views: the effective value by name.
 */
PG_FUNCTION_INFO_V1(effective_seconds);
Datum
effective_seconds(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(1));

	PG_RETURN_INT32(
		setting_seconds(setting_of_kind(name, SECONDS), PG_GETARG_JSONB_P(0)));
}

PG_FUNCTION_INFO_V1(effective_limit);
Datum
effective_limit(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(1));

	PG_RETURN_INT32(
		setting_limit(setting_of_kind(name, LIMIT), PG_GETARG_JSONB_P(0)));
}

PG_FUNCTION_INFO_V1(effective_switch);
Datum
effective_switch(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(1));

	PG_RETURN_BOOL(
		setting_on(setting_of_kind(name, SWITCH), PG_GETARG_JSONB_P(0)));
}

static void
define_tenant_setting(SettingRow *row)
{
	const char *name = psprintf("usermgmt.%s", row->name);

	switch (row->kind)
	{
		case SECONDS:
			DefineCustomIntVariable(name, row->description, NULL, &row->number,
									row->initial, row->least, INT_MAX,
									PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
			break;
		case LIMIT:
			DefineCustomIntVariable(name, row->description, "0 is no limit.",
									&row->number, row->initial, row->least,
									INT_MAX, PGC_SUSET, 0, NULL, NULL, NULL);
			break;
		case SWITCH:
			DefineCustomBoolVariable(name, row->description, NULL, &row->on,
									 row->initial, PGC_SUSET, 0, NULL, NULL,
									 NULL);
			break;
		case TEXT:
			DefineCustomStringVariable(name, row->description, NULL, &row->text,
									   row->initial_text, PGC_SUSET, 0, NULL,
									   NULL, NULL);
			break;
	}
}

static void
define_passwords(void)
{
	DefineCustomIntVariable("usermgmt.hash_memory",
							"Memory of one password hash (Argon2id).", NULL,
							&hash_memory, 65536, HASH_MEMORY_FLOOR, 1048576,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("usermgmt.hash_passes",
							"Passes of one password hash (Argon2id).", NULL,
							&hash_passes, 3, HASH_PASSES_FLOOR, 100, PGC_SUSET,
							0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"usermgmt.hash_slots", "Password hashes that may run at once.",
		"0 is one per processor core, at most 4.", &hash_slots, 0, 0, 64,
		PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("usermgmt.hash_wait",
							"How long to wait for a password-hash slot.", NULL,
							&hash_wait, 2000, 0, 60000, PGC_SUSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable(
		"usermgmt.password_min_length", "Shortest password accepted.",
		"Octets. OWASP ASVS 5.0, 6.2.1 asks for 8 and advises 15.",
		&password_min_length, 8, 8, 1024, PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL,
		NULL);
}

static void
define_mail(void)
{
	DefineCustomBoolVariable(
		"usermgmt.notify", "Whether to wake a sleeping relay at commit.",
		"When off, the relay finds new mail at its next poll.", &notify_relay,
		true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"usermgmt.mail_retry_after",
		"Longest wait before a mail that failed for now is tried again.",
		"It doubles with every attempt, up to an hour.", &mail_retry_after, 30,
		1, 86400, PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"usermgmt.mails_per_address",
		"How many mails of one kind an address gets within an hour.",
		"More are sent later. 0 is no limit.", &mails_per_address, 20, 0,
		100000, PGC_SUSET, 0, NULL, NULL, NULL);
}

void
settings_define(void)
{
	for (int i = 0; i < SETTING_COUNT; i++)
		define_tenant_setting(&tenant_settings_table[i]);
	define_passwords();
	define_mail();
	DefineCustomStringVariable(
		"usermgmt.key_file", "File of the keys that sign link tokens.",
		"One key of 64 hexadecimal digits a line; the first one signs. "
		"Empty uses the table signing_key.",
		&key_file, "", PGC_SUSET,
		GUC_SUPERUSER_ONLY | GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE, NULL, NULL,
		NULL);
	DefineCustomBoolVariable(
		"usermgmt.notify_events",
		"Whether to NOTIFY usermgmt_event with the id of every audit event.",
		NULL, &notify_events, false, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable(
		"usermgmt.log_events",
		"Whether to write a line to the server log for every audit event.",
		"The line has ids, but no address and no secret.", &log_events, false,
		PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable(
		"usermgmt.allow_sign_up",
		"Whether anybody may found a tenant with sign_up().", NULL,
		&allow_sign_up, false, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable(
		"usermgmt.redact_calls",
		"The application's own functions that take passwords.",
		"Names with commas between; literals and parameters of statements that "
		"name them stay out of the server log, once the library is loaded.",
		&redact_calls, "", PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable(
		"usermgmt.workspace_health_function",
		"The application's own function for the health of a workspace.",
		"Schema and name of a SECURITY DEFINER function that takes the id and "
		"returns an integer from 0 to 100. Empty uses the built-in formula.",
		&workspace_health_function, "", PGC_SUSET, 0, NULL, NULL, NULL);
}
