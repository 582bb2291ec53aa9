#ifndef RELAY_SERVICE_H
#define RELAY_SERVICE_H

#include <stdbool.h>

/*
 * What systemd is told (Type=notify), if it asked: that the relay works, that
 * it is still alive, how it is, and that it stops.
 */
void service_ready(void);
void service_alive(bool connected, const char *pause_reason);
void service_stopping(void);

#endif
