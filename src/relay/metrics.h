#ifndef RELAY_METRICS_H
#define RELAY_METRICS_H

#include <time.h>

#include "pause.h"
#include "queue.h"

/* What this relay has done since it began. */
typedef struct Figures
{
	unsigned long outcomes[OUTCOME_COUNT];
	time_t last_sent; /* 0: nothing yet */
} Figures;

void figures_count(Figures *figures, Outcome outcome);

/*
 * Writes the figures and those of the queue in Prometheus' text format; the
 * file is replaced as a whole. Trouble is logged once.
 */
void metrics_write(const char *path, const Figures *figures, Db *db,
				   const Pause *pause);

#endif
