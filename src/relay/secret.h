#ifndef RELAY_SECRET_H
#define RELAY_SECRET_H

#define SECRET_SIZE 1024

/*
 * Reads the first line of a file that only its owner may read into secret
 * (SECRET_SIZE bytes, which the caller wipes).  Gives NULL, or why it is
 * refused.  Never blocks, whatever the path names.
 */
const char *secret_read(const char *path, char *secret);

#endif
