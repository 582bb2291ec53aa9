#ifndef RELAY_LANE_H
#define RELAY_LANE_H

#include "config.h"
#include "queue.h"
#include "transport.h"

typedef enum LaneState
{
	LANE_IDLE,
	LANE_SENDING, /* a letter is under way */
	LANE_TELLING  /* its outcome is known here and not yet in the database */
} LaneState;

/* One connection to the mail server, and the message that is on it. */
typedef struct Lane
{
	LaneState state;
	Transport *transport;
	int64_t last_used; /* 0 when no connection is kept */
	bool renew;		   /* a new connection is wanted */

	/* the message */
	Db *db;
	unsigned long generation; /* of the database connection that claimed it */
	char id[40];
	char fence[24];
	char kind[64];
	char attempt[16];
	char recipient[ADDRESS_SIZE];
	char sender[ADDRESS_SIZE];
	Letter letter;
	Fence fence_asker;
	Delivery delivery;
	bool tried; /* the transport had it */
	bool kept;	/* telling failed before */
} Lane;

/* Takes a message: the lane is then sending, or telling already. */
void lane_start(Lane *lane, const Config *config, const Message *message);

/* Goes on with sending; the state says what came of it. */
void lane_proceed(Lane *lane);

/*
 * Tells the database. DB_TROUBLE: the lane keeps an outcome that matters and
 * stays in LANE_TELLING; otherwise it is idle again.
 */
DbAnswer lane_tell(Lane *lane);

/* Closes a connection that has been idle too long, or is to be renewed. */
void lane_rest(Lane *lane, int64_t now);

#endif
