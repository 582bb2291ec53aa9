#ifndef RELAY_DRY_RUN_H
#define RELAY_DRY_RUN_H

#include "config.h"

/* Shows what is due on standard output and leaves it as it is; the exit
 * code. */
int dry_run(const Config *config);

#endif
