/*
 * secret.c
 *		A password or key from its file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "secret.h"

/*
 * Whether systemd put the file there for this service alone.  Where it does so
 * by an access list, the mode seems to let a group read.
 */
static bool
is_credential(const char *path)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	size_t length = directory ? strlen(directory) : 0;

	return length > 0 && strncmp(path, directory, length) == 0 &&
		   path[length] == '/';
}

const char *
secret_read(const char *path, char *secret)
{
	mode_t others = is_credential(path) ? S_IWGRP | S_IRWXO : S_IRWXG | S_IRWXO;
	struct stat status;
	ssize_t length;
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (file < 0)
		return strerror(errno);
	if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode) ||
		(status.st_mode & others))
	{
		close(file);
		return "it must be a file that only its owner may read (mode 0600)";
	}
	length = read(file, secret, SECRET_SIZE - 1);
	close(file);
	if (length <= 0 || length == SECRET_SIZE - 1)
		return "it is empty or too long";
	secret[length] = '\0';
	secret[strcspn(secret, "\r\n")] = '\0';
	return *secret ? NULL : "its first line is empty";
}
