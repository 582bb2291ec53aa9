#ifndef RELAY_TRANSPORT_H
#define RELAY_TRANSPORT_H

#include <stddef.h>

#include "message.h"

#define REPLY_SIZE 501

typedef enum Outcome
{
	OUTCOME_SENT,	   /* the server took it */
	OUTCOME_LATER,	   /* try again; it pays an attempt */
	OUTCOME_NEVER,	   /* refused for good */
	OUTCOME_PAUSE,	   /* nothing was tried: the relay itself cannot send */
	OUTCOME_CANCELLED, /* the fence said no: nothing was accepted */
	OUTCOME_ABANDONED  /* the fence could not be asked: nothing was accepted */
} Outcome;

typedef struct Delivery
{
	Outcome outcome;
	char reply[REPLY_SIZE]; /* printable ASCII */
} Delivery;

typedef enum FenceAnswer
{
	FENCE_GO,
	FENCE_CANCELLED,
	FENCE_LOST
} FenceAnswer;

/* The last look before the message becomes irrevocable. */
typedef struct Fence
{
	FenceAnswer (*ask)(void *context);
	void *context;
} Fence;

/* A way out for letters, such as SMTP or a directory. */
typedef struct Transport Transport;
struct Transport
{
	/* Sends one letter; asks the fence once, just before the last step. */
	void (*send)(Transport *self, const Letter *letter, const Fence *fence,
				 Delivery *delivery);
	/* Lets go of an idle connection; send() makes a new one. */
	void (*disconnect)(Transport *self);
	void (*close)(Transport *self);
};

/* Sets the outcome and its reply, cut to size and made printable ASCII. */
void delivery_set(Delivery *delivery, Outcome outcome, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
