#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include "config.h"
#include "transport.h"

/* Sends mail until asked to stop; gives the program's exit code. */
int relay_run(const Config *config, Transport *transport);

#endif
