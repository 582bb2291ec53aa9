/*
 * service.c
 *		systemd's notifications: one datagram each, as sd_notify(3) describes.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backoff.h"
#include "service.h"

#define ALIVE_MS 5000

/* Sends one message; without a service manager, or if it is deaf, nothing. */
static void
notify(const char *words)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;
	int fd;

	if (length < 2 || length >= sizeof(address.sun_path) ||
		(*path != '/' && *path != '@'))
		return;
	memcpy(address.sun_path, path, length);
	if (*path == '@')
		address.sun_path[0] = '\0'; /* the abstract name space */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	(void) sendto(
		fd, words, strlen(words), MSG_NOSIGNAL, (struct sockaddr *) &address,
		(socklen_t) (offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}

void
service_ready(void)
{
	notify("READY=1\nSTATUS=Starting");
}

void
service_alive(bool connected, const char *pause_reason)
{
	static int64_t told_at;
	static char last[600];
	int64_t now = monotonic_ms();
	char words[600];

	snprintf(words, sizeof(words), "WATCHDOG=1\nSTATUS=%s%s",
			 !connected		? "No connection to the database"
			 : pause_reason ? "Paused: "
							: "Working",
			 connected && pause_reason ? pause_reason : "");
	if (told_at && now - told_at < ALIVE_MS && strcmp(words, last) == 0)
		return;
	told_at = now;
	snprintf(last, sizeof(last), "%s", words);
	notify(words);
}

void
service_stopping(void)
{
	notify("STOPPING=1\nSTATUS=Stopping");
}
