#ifndef RELAY_TRANSPORT_H
#define RELAY_TRANSPORT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "message.h"

#define REPLY_SIZE 501
#define WAIT_SOCKETS 4

typedef enum Outcome
{
	OUTCOME_SENT,	   /* the server took it */
	OUTCOME_LATER,	   /* try again; it pays an attempt */
	OUTCOME_NEVER,	   /* refused for good */
	OUTCOME_SENDER,	   /* nothing was tried: its sender is refused */
	OUTCOME_PAUSE,	   /* nothing was tried: the relay itself cannot send */
	OUTCOME_CANCELLED, /* the fence said no: nothing was accepted */
	OUTCOME_ABANDONED  /* the fence could not be asked: nothing was accepted */
} Outcome;

#define OUTCOME_COUNT (OUTCOME_ABANDONED + 1)

typedef struct Delivery
{
	Outcome outcome;
	int wait_ms;			/* how long the server wants us to wait, or 0 */
	bool refused;			/* a pause is for a server that said no for good */
	char reply[REPLY_SIZE]; /* printable ASCII, without links */
} Delivery;

/* What the database says in the last look before a message is irrevocable. */
typedef enum FenceAnswer
{
	FENCE_GO,
	FENCE_CANCELLED,
	FENCE_LOST
} FenceAnswer;

/* What a transport waits for: sockets (an fd of -1 is none) or a moment. */
typedef struct Wait
{
	struct pollfd fds[WAIT_SOCKETS];
	int64_t until; /* monotonic milliseconds; negative: none */
} Wait;

/*
 * A way out for one letter at a time, such as a connection to a mail server or
 * a directory. Nothing here blocks but for files.
 */
typedef struct Transport Transport;
struct Transport
{
	bool busy;	 /* a letter is under way */
	bool asking; /* it waits for answer(), once, just before its last step */
	Wait wait;	 /* for what, while it is busy */

	/* Begins a letter. When busy is false, at once or later, the delivery is
	 * set. */
	void (*start)(Transport *self, const Letter *letter, Delivery *delivery);
	/* Goes on with it after something happened that was waited for. */
	void (*proceed)(Transport *self);
	/* Lets a letter that is asking go on, or ends it without its last step. */
	void (*answer)(Transport *self, FenceAnswer answer);
	/* Lets go of an idle connection; start() makes a new one. */
	void (*disconnect)(Transport *self);
	void (*close)(Transport *self);
};

/* Sets the outcome and its reply: cut to size, printable ASCII, no links. */
void delivery_set(Delivery *delivery, Outcome outcome, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
