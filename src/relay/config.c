/*
 * config.c
 *		Options of the command line and the environment.
 */
#include <ctype.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define FIRST_LONG_ONLY 256

typedef enum OptionKind
{
	OPTION_TEXT,
	OPTION_NUMBER,
	OPTION_SECONDS,
	OPTION_FLAG,
	OPTION_VERSION,
	OPTION_HELP
} OptionKind;

typedef struct Option
{
	const char *name;
	char letter; /* 0: none */
	OptionKind kind;
	size_t field;
	const char *argument;
	const char *help;
} Option;

#define FIELD(name) offsetof(Config, name)

/* clang-format off */
static const Option options[] = {
	{"database", 'd', OPTION_TEXT, FIELD(database), "CONNINFO", "libpq connection string (default: PG* environment)"},
	{"smtp", 0, OPTION_TEXT, FIELD(smtp), "URL", "smtp://HOST[:PORT][/EHLO-NAME] or smtps://..."},
	{"smtp-user", 0, OPTION_TEXT, FIELD(smtp_user), "NAME", "log in to the mail server as NAME"},
	{"smtp-password-file", 0, OPTION_TEXT, FIELD(smtp_password_file), "FILE", "its password, in a file only its owner may read"},
	{"https", 0, OPTION_TEXT, FIELD(https), "URL", "a provider's HTTP API (https://api.resend.com/emails)"},
	{"https-key-file", 0, OPTION_TEXT, FIELD(https_key_file), "FILE", "its key (default: environment " HTTPS_KEY_VARIABLE ")"},
	{"transport", 0, OPTION_TEXT, FIELD(transport), "dir:DIR", "write .eml files into DIR instead of sending"},
	{"tls", 0, OPTION_TEXT, FIELD(tls), "MODE", "required (default), opportunistic or none"},
	{"ca-file", 0, OPTION_TEXT, FIELD(ca_file), "FILE", "trust these authorities, not the system's"},
	{"bounce-address", 0, OPTION_TEXT, FIELD(bounce_address), "ADDRESS", "bounces go to NAME+ID@DOMAIN of this address"},
	{"connections", 0, OPTION_NUMBER, FIELD(connections), "N", "mails sent at the same time (default: 4)"},
	{"worker", 0, OPTION_TEXT, FIELD(worker), "NAME", "unique name of this relay (default: HOST:PID)"},
	{"batch", 0, OPTION_NUMBER, FIELD(batch), "N", "messages claimed at a time (default: 20)"},
	{"poll-interval", 0, OPTION_SECONDS, FIELD(poll_ms), "S", "look at least this often (default: 5)"},
	{"timeout", 0, OPTION_SECONDS, FIELD(timeout_ms), "S", "one whole transfer (default: 120)"},
	{"connect-timeout", 0, OPTION_SECONDS, FIELD(connect_timeout_ms), "S", "connect, TLS and login (default: 10)"},
	{"stall-timeout", 0, OPTION_SECONDS, FIELD(stall_timeout_ms), "S", "a transfer without progress (default: 60)"},
	{"metrics", 0, OPTION_TEXT, FIELD(metrics), "FILE", "write figures for Prometheus (NAME.prom)"},
	{"once", 0, OPTION_FLAG, FIELD(once), NULL, "send what is due, then exit"},
	{"dry-run", 0, OPTION_FLAG, FIELD(dry_run), NULL, "show what is due and leave it as it is"},
	{"bounce", 0, OPTION_FLAG, FIELD(bounce), NULL, "read a delivery report from standard input"},
	{"bounce-recipient", 0, OPTION_TEXT, FIELD(bounce_recipient), "ADDRESS", "where that report was sent to"},
	{"print-config", 0, OPTION_FLAG, FIELD(print_config), NULL, "show each option's value, then exit"},
	{"verbose", 'v', OPTION_FLAG, FIELD(verbose), NULL, "log every step"},
	{"version", 0, OPTION_VERSION, 0, NULL, "print the version"},
	{"help", 0, OPTION_HELP, 0, NULL, "print this text"},
};
/* clang-format on */

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

int
wrong_call(const char *what, const char *detail)
{
	fprintf(stderr, "usermgmt-relay: %s%s%s\n", what, detail ? ": " : "",
			detail ? detail : "");
	fprintf(stderr, "Try \"usermgmt-relay --help\".\n");
	return EXIT_WRONG_CALL;
}

static void
print_help(void)
{
	puts("usermgmt-relay sends the mail that usermgmt has queued.\n\n"
		 "Usage: usermgmt-relay [OPTION]...\n");
	for (size_t i = 0; i < OPTION_COUNT; i++)
	{
		const Option *option = &options[i];
		char letter[8] = "";
		char name[48];

		if (option->letter)
			snprintf(letter, sizeof(letter), "-%c,", option->letter);
		snprintf(name, sizeof(name), "--%s%s%s", option->name,
				 option->argument ? " " : "",
				 option->argument ? option->argument : "");
		printf("  %3s %-28s  %s\n", letter, name, option->help);
	}
	puts("\nEach option is also read from the environment: USERMGMT_RELAY_ and "
		 "its name\nin capitals with underscores, as in "
		 "USERMGMT_RELAY_SMTP_USER.");
}

/* Reads a number of seconds, fractions allowed, as milliseconds. */
static bool
read_seconds(const char *text, int *milliseconds)
{
	char *end;
	double seconds = strtod(text, &end);

	if (end == text || *end || !isfinite(seconds) || seconds < 0.05 ||
		seconds > 86400)
		return false;
	*milliseconds = (int) (seconds * 1000);
	return true;
}

static bool
read_number(const char *text, int *number)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 1 || value > 10000)
		return false;
	*number = (int) value;
	return true;
}

/* Stores one option's value into its field; false when it cannot be one. */
static bool
store(Config *config, const Option *option, const char *value)
{
	void *field = (char *) config + option->field;

	switch (option->kind)
	{
		case OPTION_TEXT:
			*(const char **) field = value;
			return true;
		case OPTION_NUMBER:
			return read_number(value, field);
		case OPTION_SECONDS:
			return read_seconds(value, field);
		case OPTION_FLAG:
			*(bool *) field = !value || strcmp(value, "0") != 0;
			return true;
		case OPTION_VERSION:
		case OPTION_HELP:
			break;
	}
	return true;
}

static int
read_environment(Config *config)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
	{
		char name[64] = "USERMGMT_RELAY_";
		size_t length = strlen(name);
		const char *value;

		for (const char *c = options[i].name; *c; c++)
			name[length++] = *c == '-' ? '_' : (char) toupper(*c);
		name[length] = '\0';

		value = getenv(name);
		if (value && *value && !store(config, &options[i], value))
			return wrong_call("not a value for this variable", name);
	}
	return -1;
}

static int
read_arguments(Config *config, int argc, char **argv)
{
	struct option longs[OPTION_COUNT + 1] = {0};
	int found;

	for (size_t i = 0; i < OPTION_COUNT; i++)
		longs[i] = (struct option){
			.name = options[i].name,
			.has_arg = options[i].argument ? required_argument : no_argument,
			.val = FIRST_LONG_ONLY + (int) i};

	while ((found = getopt_long(argc, argv, "d:v", longs, NULL)) != -1)
	{
		const Option *option = NULL;

		for (size_t i = 0; i < OPTION_COUNT; i++)
			if (found == FIRST_LONG_ONLY + (int) i ||
				found == options[i].letter)
				option = &options[i];

		if (!option)
			return wrong_call("wrong option", NULL);
		if (option->kind == OPTION_HELP)
		{
			print_help();
			return EXIT_STOPPED;
		}
		if (option->kind == OPTION_VERSION)
		{
			puts("usermgmt-relay " USERMGMT_VERSION);
			return EXIT_STOPPED;
		}
		if (!store(config, option, optarg))
			return wrong_call("not a value for this option", option->name);
	}
	if (optind < argc)
		return wrong_call("unexpected argument", argv[optind]);
	return -1;
}

/* A connection string may hold a password; where it begins nobody can tell. */
static void
print_text(const Option *option, const char *value)
{
	bool secret = option->field == FIELD(database) && value &&
				  (strstr(value, "pass") || strstr(value, "PASS") ||
				   strchr(value, '@') || strchr(value, '%'));

	printf("%s = %s\n", option->name, secret ? "***" : value ? value : "");
}

void
config_print(const Config *config)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
	{
		const Option *option = &options[i];
		const void *field = (const char *) config + option->field;

		switch (option->kind)
		{
			case OPTION_TEXT:
				print_text(option, *(const char *const *) field);
				break;
			case OPTION_NUMBER:
				printf("%s = %d\n", option->name, *(const int *) field);
				break;
			case OPTION_SECONDS:
				printf("%s = %g\n", option->name,
					   *(const int *) field / 1000.0);
				break;
			case OPTION_FLAG:
				printf("%s = %s\n", option->name,
					   *(const bool *) field ? "1" : "0");
				break;
			case OPTION_VERSION:
			case OPTION_HELP:
				break;
		}
	}
}

int
config_read(Config *config, int argc, char **argv)
{
	int code;

	*config = (Config){.tls = "required",
					   .connections = 4,
					   .batch = 20,
					   .poll_ms = 5000,
					   .timeout_ms = 120000,
					   .connect_timeout_ms = 10000,
					   .stall_timeout_ms = 60000};

	code = read_environment(config);
	if (code < 0)
		code = read_arguments(config, argc, argv);
	if (code < 0)
		code = config_check(config);
	return code;
}
