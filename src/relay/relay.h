#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "config.h"
#include "transport.h"

/*
 * Sends mail until asked to stop, or until nothing is due with --once, over
 * as many transports as there are connections; the exit code.
 */
int relay_run(const Config *config, Transport *(*make)(const Config *) );

#endif
