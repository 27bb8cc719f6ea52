/* settings.h: the table of options: their names, and the functions that set
 * them.
 */
#ifndef CONTREE_COMMAND_SETTINGS_H
#define CONTREE_COMMAND_SETTINGS_H

#include "command/options.h"

/* The limit of sandboxes at a time, and its default. */
enum { RUNS_MAX = 64 };

/* An option as it was given. */
struct given {
    struct options *options; /* to change */
    const char *name, *value;
    struct fault *fault; /* 400: a wrong value */
};

struct setting_row {
    const char *name;  /* without its dashes */
    const char *value; /* a word for its value; NULL: it takes no value */
    const char *help;  /* one line or more */
    char letter;       /* its short form, or 0 */
    int (*set)(const struct given *g);
};

/* Indexed by enum setting; the row of NO_SETTING is empty. */
extern const struct setting_row settings[SETTINGS];

#endif
