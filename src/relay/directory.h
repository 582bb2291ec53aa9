#ifndef RELAY_DIRECTORY_H
#define RELAY_DIRECTORY_H

#include "transport.h"

/*
 * A transport that writes each letter as <message id>.eml into the directory.
 * The path must stay valid.  NULL and a line in the log when the directory
 * cannot be used.
 */
Transport *directory_transport(const char *path);

#endif
