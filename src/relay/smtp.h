#ifndef RELAY_SMTP_H
#define RELAY_SMTP_H

#include "config.h"
#include "transport.h"

/*
 * A transport that hands letters to one mail server over a connection that is
 * kept. The config must stay valid.
 */
Transport *smtp_transport(const Config *config);

#endif
