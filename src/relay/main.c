/*
 * main.c
 *		usermgmt-relay: sends the mail that usermgmt has queued.
 */
#include <curl/curl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sysexits.h>

#include "bounce.h"
#include "config.h"
#include "directory.h"
#include "dry_run.h"
#include "https.h"
#include "log.h"
#include "relay.h"
#include "server.h"
#include "smtp.h"
#include "stop.h"

/* How this call's transports are made. */
static Transport *(*choose(const Config *config))(const Config *)
{
	if (config->directory)
		return directory_transport;
	return config->https ? https_transport : smtp_transport;
}

/* Why mail could not go out at all, or NULL. */
static const char *
find_problem(const Config *config)
{
	return config->directory ? directory_problem(config)
							 : server_problem(config);
}

static int
send_mail(const Config *config)
{
	const char *problem = find_problem(config);
	int code;

	if (problem)
	{
		log_event(LOG_LEVEL_ERROR, "%s", problem);
		return EXIT_SYSTEM_FAILED;
	}
	log_event(LOG_LEVEL_INFO, "version %s, worker %s, mail goes to %s",
			  USERMGMT_VERSION, config->worker_name,
			  config->directory ? config->directory
			  : config->https	? config->https
								: config->smtp);
	code = relay_run(config, choose(config));
	log_event(LOG_LEVEL_INFO, "stopped");
	return code;
}

int
main(int argc, char **argv)
{
	Config config;
	int code;

	mallopt(M_ARENA_MAX, 1); /* threads come and go */
	/* libcurl would write the keys of its TLS connections there. */
	unsetenv("SSLKEYLOGFILE");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
	code = config_read(&config, argc, argv);
	if (code >= 0)
		return config.bounce && code == EXIT_WRONG_CALL ? EX_USAGE : code;
	if (config.print_config)
	{
		config_print(&config);
		return EXIT_STOPPED;
	}
	log_open(config.verbose);
	if (config.bounce)
		return bounce_run(&config);
	if (!stop_watch())
	{
		log_event(LOG_LEVEL_ERROR, "cannot make a pipe");
		return EXIT_SYSTEM_FAILED;
	}
	code = config.dry_run ? dry_run(&config) : send_mail(&config);
	curl_global_cleanup();
	return code;
}
