#ifndef RELAY_DIRECTORY_H
#define RELAY_DIRECTORY_H

#include "config.h"
#include "transport.h"

/* A transport that writes letters as .eml files into the directory. */
Transport *directory_transport(const Config *config);

/* NULL, or why the directory cannot be used: a look before the first mail. */
const char *directory_problem(const Config *config);

#endif
