/*
 * secret.c
 *		A password or key from its file.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "secret.h"

const char *
secret_read(const char *path, char *secret)
{
	struct stat status;
	ssize_t length;
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (file < 0)
		return strerror(errno);
	if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode) ||
		(status.st_mode & (S_IRWXG | S_IRWXO)))
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
