/*
 * directory.c
 *		Letters as .eml files, for development and for looking.
 *
 * A file appears whole or not at all: it is written under a temporary name,
 * and the rename is what the final dot is in SMTP.  A repeated message
 * replaces its own file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "directory.h"

#define NAME_SIZE 80

typedef struct Directory
{
	Transport transport;
	int fd;
	const char *path;

	/* the letter that is asking */
	const Letter *letter;
	Delivery *delivery;
} Directory;

/* The name of a letter's file, and the one under which it is written. */
static void
put_names(const Letter *letter, char *name, char *temporary, size_t size)
{
	snprintf(name, size, "%.60s.eml", letter->id);
	snprintf(temporary, size, ".%.60s.tmp", letter->id);
}

/* Writes all bytes to the disk under this name; only the owner may read. */
static bool
write_file(int directory, const char *name, const Letter *letter)
{
	size_t done = 0;
	bool written;
	int file;

	/* One that a crash left; whatever is there, nothing is written through. */
	unlinkat(directory, name, 0);
	file = openat(directory, name,
				  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (file < 0)
		return false;
	while (done < letter->length)
	{
		ssize_t now = write(file, letter->bytes + done, letter->length - done);

		if (now < 0 && errno != EINTR)
			break;
		if (now > 0)
			done += (size_t) now;
	}
	written = done == letter->length && fsync(file) == 0;
	return close(file) == 0 && written;
}

static void
directory_start(Transport *self, const Letter *letter, Delivery *delivery)
{
	Directory *directory = (Directory *) self;
	char temporary[NAME_SIZE];
	char name[NAME_SIZE];

	put_names(letter, name, temporary, NAME_SIZE);
	if (!write_file(directory->fd, temporary, letter))
	{
		delivery_set(delivery, OUTCOME_PAUSE, "cannot write to %s: %s",
					 directory->path, strerror(errno));
		unlinkat(directory->fd, temporary, 0);
		return;
	}
	directory->letter = letter;
	directory->delivery = delivery;
	self->busy = self->asking = true;
}

static void
directory_answer(Transport *self, FenceAnswer answer)
{
	Directory *directory = (Directory *) self;
	Delivery *delivery = directory->delivery;
	char temporary[NAME_SIZE];
	char name[NAME_SIZE];

	put_names(directory->letter, name, temporary, NAME_SIZE);
	self->busy = self->asking = false;
	if (answer != FENCE_GO)
	{
		unlinkat(directory->fd, temporary, 0);
		delivery_set(delivery,
					 answer == FENCE_LOST ? OUTCOME_ABANDONED
										  : OUTCOME_CANCELLED,
					 "not written");
		return;
	}
	if (renameat(directory->fd, temporary, directory->fd, name) < 0 ||
		fsync(directory->fd) < 0)
		delivery_set(delivery, OUTCOME_LATER, "cannot write to %s: %s",
					 directory->path, strerror(errno));
	else
		delivery_set(delivery, OUTCOME_SENT, "written to %s", name);
}

/* A letter waits for nothing but the answer, and there is no connection. */
static void
directory_nothing(Transport *self)
{
	(void) self;
}

static void
directory_close(Transport *self)
{
	Directory *directory = (Directory *) self;

	if (directory->fd >= 0)
		close(directory->fd);
	free(directory);
}

const char *
directory_problem(const Config *config)
{
	static char reason[300];
	int fd = open(config->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && faccessat(fd, ".", W_OK, AT_EACCESS) == 0)
	{
		close(fd);
		return NULL;
	}
	snprintf(reason, sizeof(reason), "cannot write to directory %.200s: %s",
			 config->directory, strerror(errno));
	if (fd >= 0)
		close(fd);
	return reason;
}

Transport *
directory_transport(const Config *config)
{
	Directory *directory = calloc(1, sizeof(*directory));

	if (!directory)
		abort();
	directory->transport.start = directory_start;
	directory->transport.proceed = directory_nothing;
	directory->transport.answer = directory_answer;
	directory->transport.wait.until = -1;
	for (int i = 0; i < WAIT_SOCKETS; i++)
		directory->transport.wait.fds[i].fd = -1;
	directory->transport.disconnect = directory_nothing;
	directory->transport.close = directory_close;
	directory->path = config->directory;
	directory->fd = open(config->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return &directory->transport;
}
