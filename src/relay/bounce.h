#ifndef RELAY_BOUNCE_H
#define RELAY_BOUNCE_H

#include "config.h"

/*
 * Reads one delivery report from standard input and tells the database; the
 * exit code is one of sysexits.h, as mail servers expect of a pipe.
 */
int bounce_run(const Config *config);

#endif
