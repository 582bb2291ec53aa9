/*
 * server.c
 *		The mail server: where it is, who we are to it, how long it may take.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server.h"

#define PASSWORD_SIZE 1024

/* Reads the password into secret; gives NULL, or why it is refused. */
static const char *
read_password(const char *path, char *secret)
{
	struct stat status;
	ssize_t length;
	int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file < 0)
		return strerror(errno);
	if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode) ||
		(status.st_mode & (S_IRWXG | S_IRWXO)))
	{
		close(file);
		return "it must be a file that only its owner may read (mode 0600)";
	}
	length = read(file, secret, PASSWORD_SIZE - 1);
	close(file);
	if (length <= 0 || length == PASSWORD_SIZE - 1)
		return "it is empty or too long";
	secret[length] = '\0';
	secret[strcspn(secret, "\r\n")] = '\0';
	return NULL;
}

/* Gives the login to libcurl; our copy of the password is wiped at once. */
static bool
set_login(CURL *curl, const Config *config, Delivery *delivery)
{
	char secret[PASSWORD_SIZE];
	const char *problem;

	if (!config->smtp_user)
		return true;
	problem = read_password(config->smtp_password_file, secret);
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
set_server(CURL *curl, const Config *config)
{
	static const long use_ssl[] = {[TLS_REQUIRED] = CURLUSESSL_ALL,
								   [TLS_OPPORTUNISTIC] = CURLUSESSL_TRY,
								   [TLS_NONE] = CURLUSESSL_NONE};

	if (curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps") ||
		curl_easy_setopt(curl, CURLOPT_URL, config->smtp) ||
		curl_easy_setopt(curl, CURLOPT_PROXY, "") ||
		curl_easy_setopt(curl, CURLOPT_USE_SSL, use_ssl[config->tls_mode]) ||
		curl_easy_setopt(curl, CURLOPT_SSLVERSION,
						 (long) CURL_SSLVERSION_TLSv1_2))
		return false;
	return !config->ca_file ||
		   !curl_easy_setopt(curl, CURLOPT_CAINFO, config->ca_file);
}

bool
server_configure(CURL *curl, const Config *config, Delivery *delivery)
{
	set_limits(curl, config);
	if (!set_server(curl, config))
	{
		delivery_set(delivery, OUTCOME_PAUSE,
					 "this libcurl cannot use the address or the TLS options");
		return false;
	}
	return set_login(curl, config, delivery);
}
