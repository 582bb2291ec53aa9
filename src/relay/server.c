/*
 * server.c
 *		The mail server: where it is, who we are to it, how long it may take.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"
#include "server.h"

/* Gives the login to libcurl; our copy of the password is wiped at once. */
static bool
set_login(CURL *curl, const Config *config, Delivery *delivery)
{
	char secret[SECRET_SIZE];
	const char *problem;

	if (!config->smtp_user)
		return true;
	problem = secret_read(config->smtp_password_file, secret);
	if (problem)
		delivery_set(delivery, OUTCOME_PAUSE, "password file %s: %s",
					 config->smtp_password_file, problem);
	else
	{
		curl_easy_setopt(curl, CURLOPT_USERNAME, config->smtp_user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD, secret);
	}
	explicit_bzero(secret, sizeof(secret));
	return !problem;
}

/* Gives the provider's key to libcurl, which sends it to this host alone. */
static bool
set_key(CURL *curl, const Config *config, Delivery *delivery)
{
	char secret[SECRET_SIZE];
	const char *key = getenv(HTTPS_KEY_VARIABLE);
	const char *problem = NULL;

	if (config->https_key_file)
	{
		problem = secret_read(config->https_key_file, secret);
		key = secret;
	}
	else if (!key || !*key)
		problem = "the environment has no " HTTPS_KEY_VARIABLE;
	for (const char *c = key; !problem && *c; c++)
		if (*c <= ' ' || *c > '~')
			problem = "it has a character that no key has";

	if (problem)
		delivery_set(delivery, OUTCOME_PAUSE, "provider's key: %s", problem);
	else
	{
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
		curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, key);
	}
	explicit_bzero(secret, sizeof(secret));
	return !problem;
}

/* Sets how long each part may take. */
static void
set_limits(CURL *curl, const Config *config)
{
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
					 (long) config->connect_timeout_ms);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) config->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_SERVER_RESPONSE_TIMEOUT,
					 (long) (config->timeout_ms + 999) / 1000);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
					 (long) (config->stall_timeout_ms + 999) / 1000);
}

/* Sets where to go and how to be sure of it; false when libcurl cannot. */
static bool
set_server(CURL *curl, const Config *config, const char *url,
		   const char *protocols)
{
	static const long use_ssl[] = {[TLS_REQUIRED] = CURLUSESSL_ALL,
								   [TLS_OPPORTUNISTIC] = CURLUSESSL_TRY,
								   [TLS_NONE] = CURLUSESSL_NONE};

	set_limits(curl, config);
	if (curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols) ||
		curl_easy_setopt(curl, CURLOPT_URL, url) ||
		curl_easy_setopt(curl, CURLOPT_PROXY, "") ||
		curl_easy_setopt(curl, CURLOPT_USE_SSL, use_ssl[config->tls_mode]) ||
		curl_easy_setopt(curl, CURLOPT_SSLVERSION,
						 (long) CURL_SSLVERSION_TLSv1_2))
		return false;
	return !config->ca_file ||
		   !curl_easy_setopt(curl, CURLOPT_CAINFO, config->ca_file);
}

static bool
cannot(Delivery *delivery)
{
	delivery_set(delivery, OUTCOME_PAUSE,
				 "this libcurl cannot use the address or the TLS options");
	return false;
}

bool
server_configure_smtp(CURL *curl, const Config *config, Delivery *delivery)
{
	return set_server(curl, config, config->smtp, "smtp,smtps")
			   ? set_login(curl, config, delivery)
			   : cannot(delivery);
}

bool
server_configure_https(CURL *curl, const Config *config, Delivery *delivery)
{
	return set_server(curl, config, config->https, "https")
			   ? set_key(curl, config, delivery)
			   : cannot(delivery);
}

const char *
server_problem(const Config *config)
{
	static Delivery delivery;
	CURL *curl = curl_easy_init();
	bool works;

	if (!curl)
		abort();
	works = config->https ? server_configure_https(curl, config, &delivery)
						  : server_configure_smtp(curl, config, &delivery);
	curl_easy_cleanup(curl);
	return works ? NULL : delivery.reply;
}
