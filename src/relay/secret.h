#ifndef RELAY_SECRET_H
#define RELAY_SECRET_H

#define SECRET_SIZE 1024

/*
 * Reads the first line of a file into secret (SECRET_SIZE bytes, which the
 * caller wipes).  Only its owner may read it, or it is a credential that
 * systemd loaded for this service.  Gives NULL, or why it is refused.  Never
 * blocks, whatever the path names.
 */
const char *secret_read(const char *path, char *secret);

#endif
