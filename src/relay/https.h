#ifndef RELAY_HTTPS_H
#define RELAY_HTTPS_H

#include "config.h"
#include "transport.h"

/*
 * A transport that hands letters to a provider's HTTP API (Resend's shape).
 * The letters' bytes are JSON; see https_body().  The config must stay valid.
 */
Transport *https_transport(const Config *config);

/* Replaces the bytes of a rendered letter by the provider's JSON. */
void https_body(const Message *message, Letter *letter);

#endif
