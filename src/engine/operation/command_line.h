/* command_line.h: the argument vector and the environment of a process. */
#ifndef CONTREE_OPERATION_COMMAND_LINE_H
#define CONTREE_OPERATION_COMMAND_LINE_H

#include "operation/spec.h"

/* The argument vector, NULL-terminated; one allocation the caller frees. Shell
 * commands become /bin/sh -c. */
char **run_argv(const struct run_process *p, struct fault *f);
/* The environment as the process gets it, but for run_defaults(): PATH, then
 * `image_env` (a JSON object or NULL), then the request's. One allocation the
 * caller frees. */
char **run_environment(const struct run_process *p, const json_t *image_env,
                       struct fault *f);
/* Bits DEFAULT_... (init/protocol.h) of the variables that neither the image
 * nor the request has a word on: they are the user's. */
unsigned run_defaults(const struct run_process *p, const json_t *image_env);
/* What preserve_env stores in the result image: image_env changed by the
 * request's, or NULL if that is empty. */
char *run_preserved_env(const struct run_process *p, const json_t *image_env);
/* Adds the data of a spawn event, secrets redacted. */
void spawn_event_write(struct buffer *b, const struct run_process *p,
                       char *const *argv, char *const *env, int pid,
                       const struct sandbox_account *a);

#endif
