/*
 * settings.h: what an administrator can set, for the server and per tenant.
 *
 * A tenant setting is a server-wide default usermgmt.<name> that the tenant's
 * own settings (a jsonb object of texts, times in seconds) may override.
 */
#ifndef USERMGMT_SETTINGS_H
#define USERMGMT_SETTINGS_H

#include "utils/jsonb.h"
#include "utils/timestamp.h"

extern char *key_file;
extern bool notify_relay;
extern bool notify_events;
extern bool log_events;
extern int hash_memory; /* kB */
extern int hash_passes;
extern int hash_slots;			/* 0: one per core, at most 4 */
extern int hash_wait;			/* milliseconds */
extern int mail_retry_after;	/* seconds */
extern int mails_per_address;	/* an hour, of one kind; 0: no limit */
extern int password_min_length; /* octets */
extern bool allow_sign_up;
extern char *workspace_health_function; /* "schema.name", or empty */

typedef enum SettingKind
{
	SECONDS,
	SWITCH,
	TEXT,
	LIMIT /* a number; 0 is none */
} SettingKind;

typedef enum TenantSetting
{
	SETTING_INVITATION_TTL,
	SETTING_PASSWORD_RESET_TTL,
	SETTING_SESSION_TTL,
	SETTING_SESSION_IDLE_TTL,
	SETTING_RESEND_COOLDOWN,
	SETTING_REMINDER_AFTER,
	SETTING_INACTIVE_AFTER,
	SETTING_LICENSE_WINDOW,
	SETTING_SEAT_LIMIT,
	SETTING_PENDING_LIMIT,
	SETTING_LICENSE_TIER,
	SETTING_INVITATIONS_ENABLED,
	SETTING_ALLOW_OWNER_INVITATIONS,
	SETTING_MEMBERS_SEE_MEMBERS,
	SETTING_MEMBER_NOTICES,
	SETTING_REVOKE_SESSIONS_ON_ROLE_CHANGE,
	SETTING_RESEND_KEEPS_OLD_LINKS,
	SETTING_BASE_URL,
	SETTING_FROM_EMAIL,
	SETTING_FROM_NAME,
	SETTING_LOCALE,
	SETTING_TIME_ZONE,
	SETTING_COUNT
} TenantSetting;

/* The setting of this name; raises 22023 when there is none. */
extern TenantSetting setting_require(const char *name);

/* Who may change it for a tenant. */
typedef enum SettingKeeper
{
	KEPT_BY_ADMIN,
	KEPT_BY_OWNER,
	KEPT_BY_OPERATOR
} SettingKeeper;

extern SettingKeeper setting_keeper(TenantSetting setting);

extern const char *setting_name(TenantSetting setting);
extern SettingKind setting_kind(TenantSetting setting);

/* The least seconds that a time setting may have. */
extern int setting_least(TenantSetting setting);

/* The seconds of a time, written with a unit ("7d") or as an interval ("7
 * days"), whole; -1 when it is neither. */
extern double setting_parse_seconds(const char *value);

/* The text to store for a value that someone typed: times may be written as
 * an interval ("7 days") or with a unit ("7d"), switches as any boolean.
 * Raises 22023 for a value that does not fit. */
extern char *setting_normalize(TenantSetting setting, const char *value);

/* The tenant's own value as text, palloc'd, or NULL. */
extern char *setting_own(TenantSetting setting, Jsonb *tenant_settings);

/* Raises 22023 where a tenant's settings hold a value that does not fit; names
 * that are no settings are left alone. */
extern void settings_check(Jsonb *tenant_settings);

/* The effective value in words: a time as an interval, a switch as on or off.
 */
extern char *setting_show(TenantSetting setting, Jsonb *tenant_settings);

/* The effective value: the tenant's where its settings (NULL allowed) name
 * it, else the server's. Times are in seconds. Text is palloc'd. */
extern int setting_seconds(TenantSetting setting, Jsonb *tenant_settings);
extern int setting_limit(TenantSetting setting, Jsonb *tenant_settings);
extern bool setting_on(TenantSetting setting, Jsonb *tenant_settings);
extern char *setting_text(TenantSetting setting, Jsonb *tenant_settings);

/* The moment that lies this setting's time after from. */
extern TimestampTz setting_after(TenantSetting setting, Jsonb *tenant_settings,
								 TimestampTz from);

/* Declares every setting; called once, when the library is loaded. */
extern void settings_define(void);

#endif
