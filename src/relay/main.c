/*
 * main.c
 *		usermgmt-relay: sends the mail that usermgmt has queued.
 */
#include <stdlib.h>

#include "config.h"
#include "directory.h"
#include "log.h"
#include "relay.h"
#include "smtp.h"
#include "stop.h"

int
main(int argc, char **argv)
{
	Config config;
	Transport *transport;
	int code;

	/* libcurl would write the keys of its TLS connections there. */
	unsetenv("SSLKEYLOGFILE");
	code = config_read(&config, argc, argv);

	if (code >= 0)
		return code;
	log_open(config.verbose);

	if (!stop_watch())
	{
		log_event(LOG_LEVEL_ERROR, "cannot make a pipe");
		return EXIT_SYSTEM_FAILED;
	}
	transport = config.directory ? directory_transport(config.directory)
								 : smtp_transport(&config);
	if (!transport)
		return EXIT_SYSTEM_FAILED;

	log_event(LOG_LEVEL_INFO, "version %s, worker %s, mail goes to %s",
			  USERMGMT_VERSION, config.worker_name,
			  config.directory ? config.directory : config.smtp);
	code = relay_run(&config, transport);
	log_event(LOG_LEVEL_INFO, "stopped");

	transport->close(transport);
	return code;
}
