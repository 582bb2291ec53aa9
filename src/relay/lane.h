#ifndef RELAY_LANE_H
#define RELAY_LANE_H

#include "config.h"
#include "message.h"
#include "transport.h"

typedef enum LaneState
{
	LANE_IDLE,
	LANE_SENDING, /* a letter is under way */
	LANE_ENDED	  /* its outcome is set */
} LaneState;

/* One connection to the mail server, and the message that is on it. */
typedef struct Lane
{
	LaneState state;
	Transport *transport;
	int64_t last_used; /* 0 when no connection is kept */
	bool renew;		   /* a new connection is wanted */

	/* the message */
	unsigned long generation; /* of the database connection that claimed it */
	char id[40];
	char fence[24];
	char kind[64];
	char attempt[16];
	char recipient[ADDRESS_SIZE];
	char sender[ADDRESS_SIZE];
	Letter letter;
	Delivery delivery;
	bool tried; /* the transport had it */
} Lane;

/* Takes a message, claimed by this connection to the database: the lane is then
 * sending, or has ended already. */
void lane_start(Lane *lane, const Config *config, const Message *message,
				unsigned long generation);

/* Goes on with sending; the state says what came of it. */
void lane_proceed(Lane *lane);

/* The message is on the wire but for its last step, and waits for an answer. */
bool lane_is_asking(const Lane *lane);

/* Gives it that answer. */
void lane_answer(Lane *lane, FenceAnswer answer);

/* Closes a connection that has been idle too long, or is to be renewed. */
void lane_rest(Lane *lane, int64_t now);

#endif
