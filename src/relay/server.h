#ifndef RELAY_SERVER_H
#define RELAY_SERVER_H

#include <curl/curl.h>
#include <stdbool.h>

#include "config.h"
#include "transport.h"

/*
 * Sets on the handle the server, TLS, login and time limits.  False when that
 * cannot be done; the delivery then says why.
 */
bool server_configure(CURL *curl, const Config *config, Delivery *delivery);

#endif
