/* command_line.h: the argument vector and the environment of a process. */
#ifndef CONTREE_OPERATION_COMMAND_LINE_H
#define CONTREE_OPERATION_COMMAND_LINE_H

#include "operation/spec.h"

/* Make the argument vector, NULL-terminated: one allocation that the caller
 * frees. A shell command becomes /bin/sh -c. */
char **run_argv(const struct run_process *p, struct fault *f);
/* Make the environment, without the variables of run_defaults(): PATH, then
 * `image_env` (a JSON object or NULL), then those of all processes of the run
 * (`common`, the same), then the request's. One allocation that the caller
 * frees. */
char **run_environment(const struct run_process *p, const json_t *image_env,
                       const json_t *common, struct fault *f);
/* Return the bits DEFAULT_... (init/protocol.h) of the variables that neither
 * the image nor the request sets. The sandbox takes them from the user's
 * account. */
unsigned run_defaults(const struct run_process *p, const json_t *image_env);
/* Return what preserve_env stores in the result image: `image_env` changed by
 * the request's variables, as JSON that the caller frees, or NULL if nothing is
 * left. */
char *run_preserved_env(const struct run_process *p, const json_t *image_env);
/* Add the data of a spawn event. Values of secrets are redacted. */
void spawn_event_write(struct buffer *b, const struct run_process *p,
                       char *const *argv, char *const *env, int pid,
                       const struct sandbox_account *a);

#endif
