#ifndef RELAY_SERVER_H
#define RELAY_SERVER_H

#include <curl/curl.h>
#include <stdbool.h>

#include "config.h"
#include "transport.h"

/*
 * Set on the handle the server, TLS, login and time limits.  False when that
 * cannot be done; the delivery then says why.
 */
bool server_configure_smtp(CURL *curl, const Config *config,
						   Delivery *delivery);
bool server_configure_https(CURL *curl, const Config *config,
							Delivery *delivery);

/* NULL, or why no handle could be set up: a look before the first mail. */
const char *server_problem(const Config *config);

#endif
