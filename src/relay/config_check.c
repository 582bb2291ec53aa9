/*
 * config_check.c
 *		What cannot work is refused before anything is tried.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "header.h"

#define CONNECTIONS_MAX 64

/* The text is an address of a server under one of these schemes, and nothing
 * that belongs elsewhere: no login, no query, no fragment. */
static bool
is_server(const char *text, const char *scheme, const char *other_scheme)
{
	static const CURLUPart forbidden[] = {CURLUPART_USER, CURLUPART_PASSWORD,
										  CURLUPART_OPTIONS, CURLUPART_QUERY,
										  CURLUPART_FRAGMENT};
	CURLU *url = curl_url();
	char *part = NULL;
	bool good;

	if (!url)
		abort();
	good = !has_control(text) && !strchr(text, ' ') &&
		   curl_url_set(url, CURLUPART_URL, text, CURLU_NO_AUTHORITY) == 0 &&
		   curl_url_get(url, CURLUPART_SCHEME, &part, 0) == 0 &&
		   (strcmp(part, scheme) == 0 ||
			(other_scheme && strcmp(part, other_scheme) == 0));
	curl_free(part);
	part = NULL;
	good = good && curl_url_get(url, CURLUPART_HOST, &part, 0) == 0 && *part;
	curl_free(part);
	for (size_t i = 0; good && i < sizeof(forbidden) / sizeof(*forbidden); i++)
	{
		good = curl_url_get(url, forbidden[i], &part, 0) != 0;
		if (!good)
			curl_free(part);
	}
	curl_url_cleanup(url);
	return good;
}

static int
check_tls(Config *config)
{
	if (strcmp(config->tls, "required") == 0)
		config->tls_mode = TLS_REQUIRED;
	else if (strcmp(config->tls, "opportunistic") == 0)
		config->tls_mode = TLS_OPPORTUNISTIC;
	else if (strcmp(config->tls, "none") == 0)
		config->tls_mode = TLS_NONE;
	else
		return wrong_call("--tls is required, opportunistic or none",
						  config->tls);
	return -1;
}

static int
check_smtp(const Config *config)
{
	if (strchr(config->smtp, '@'))
		return wrong_call("the user belongs into --smtp-user, the password "
						  "into --smtp-password-file",
						  NULL);
	if (!is_server(config->smtp, "smtp", "smtps"))
		return wrong_call("--smtp is smtp://HOST[:PORT][/EHLO-NAME] or the "
						  "same with smtps://",
						  NULL);
	if (!config->smtp_user != !config->smtp_password_file)
		return wrong_call("--smtp-user and --smtp-password-file go together",
						  NULL);
	if (config->smtp_user && config->tls_mode == TLS_OPPORTUNISTIC &&
		strncmp(config->smtp, "smtp://", 7) == 0)
		return wrong_call("a password needs --tls=required, since a server "
						  "could refuse TLS to see it",
						  NULL);
	return -1;
}

static int
check_https(const Config *config)
{
	/* An address may hold a secret in its wrong place: it is not repeated. */
	if (!is_server(config->https, "https", NULL))
		return wrong_call("--https is https://HOST[:PORT]/PATH", NULL);
	if (config->tls_mode != TLS_REQUIRED)
		return wrong_call("--https always needs --tls=required", NULL);
	if (config->bounce_address)
		return wrong_call("--bounce-address needs --smtp: the provider "
						  "chooses the envelope's sender",
						  NULL);
	return -1;
}

/* Bounces go to name+<uuid>@domain, whose parts have limits of their own. */
static int
check_bounce_address(const Config *config)
{
	char ascii[ADDRESS_SIZE];
	const char *address = config->bounce_address;

	if (!address)
		return -1;
	if (address_to_ascii(address, ascii) || strcmp(ascii, address) != 0 ||
		strcspn(address, "@") > 64 - 37 || strlen(address) > 254 - 37)
		return wrong_call("--bounce-address is an ASCII address with at most "
						  "27 characters before the @",
						  address);
	return -1;
}

static int
check_way_out(Config *config)
{
	if (!!config->smtp + !!config->https + !!config->transport != 1)
		return wrong_call("give one of --smtp, --https and --transport", NULL);
	if (config->smtp)
		return check_smtp(config);
	if (config->https)
		return check_https(config);
	if (strncmp(config->transport, "dir:", 4) != 0 || !config->transport[4])
		return wrong_call("--transport is dir:DIR", config->transport);
	config->directory = config->transport + 4;
	return -1;
}

/* The worker's name is shown in the queue and in the log. */
static int
check_worker(Config *config)
{
	char host[64] = "localhost";

	gethostname(host, sizeof(host) - 1);
	if (!config->worker)
	{
		snprintf(config->worker_name, sizeof(config->worker_name), "%s:%ld",
				 host, (long) getpid());
		return -1;
	}
	for (const char *c = config->worker; *c; c++)
		if (*c <= ' ' || *c > '~')
			return wrong_call("--worker is a name of printable ASCII without "
							  "spaces",
							  NULL);
	if (!*config->worker || strlen(config->worker) >= WORKER_SIZE)
		return wrong_call("--worker has 1 to 127 characters", NULL);
	snprintf(config->worker_name, sizeof(config->worker_name), "%s",
			 config->worker);
	return -1;
}

int
config_check(Config *config)
{
	int code = check_worker(config);

	if (code < 0)
		code = check_tls(config);
	if (code < 0)
		code = check_bounce_address(config);
	if (code < 0 && !config->bounce && !config->dry_run)
		code = check_way_out(config);
	if (code < 0 && config->connections > CONNECTIONS_MAX)
		code = wrong_call("--connections is at most 64", NULL);
	return code;
}
