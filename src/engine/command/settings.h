/* settings.h: each option of the command line: its name, and what it sets. */
#ifndef CONTREE_COMMAND_SETTINGS_H
#define CONTREE_COMMAND_SETTINGS_H

#include "command/options.h"

/* The most sandboxes at a time, and the default. */
enum { RUNS_MAX = 64 };

/* An option as it was given. */
struct given {
    struct options *options; /* what it changes */
    const char *name, *value;
    struct fault *fault; /* 400: the value is not one */
};

struct setting_row {
    const char *name;  /* without its dashes */
    const char *value; /* the word for its value; NULL: it takes none */
    const char *help;  /* one line or more */
    char letter;       /* its short form; 0: there is none */
    int (*set)(const struct given *g);
};

/* By their number; the row of NO_SETTING is empty. */
extern const struct setting_row settings[SETTINGS];

#endif
