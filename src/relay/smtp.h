#ifndef RELAY_SMTP_H
#define RELAY_SMTP_H

#include "config.h"
#include "transport.h"

/*
 * A transport that hands letters to one mail server over a reused connection.
 * The config must stay valid.  NULL and a line in the log when it cannot work
 * at all, for example because others may read the password file.
 */
Transport *smtp_transport(const Config *config);

#endif
