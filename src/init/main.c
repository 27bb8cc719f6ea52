/* main.c: contree-init, the one static program that is the forkserver on the
 * host's side and PID 1 in a sandbox. As the forkserver:
 *
 *   contree-init ID_BASE ID_COUNT USERS GROUPS rw|ro [STAGE RUNTIME OPTION...]
 *
 * (what uid_map and gid_map of sandboxes need to hold; read-write or read-only:
 * /proc in sandboxes); started by that runtime, as
 * PID 1:
 *
 *   contree-init inside */
#include "init/forkserver.h"
#include "init/inside.h"
#include "init/protocol.h"

#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], RUNTIME_INIT_ARGUMENT) == 0)
        return inside_main();
    if (argc != 6 && argc < 8)
        return 2;
    struct oci_runtime runtime = {.stage = argc > 6 ? argv[6] : NULL,
                                  .command = argc > 6 ? argv + 7 : NULL};
    struct sandbox_ids ids = {.base = strtoul(argv[1], NULL, 10),
                              .count = strtoul(argv[2], NULL, 10),
                              .users = argv[3],
                              .groups = argv[4]};
    return forkserver_main(&ids, strcmp(argv[5], "ro") == 0,
                           argc > 6 ? &runtime : NULL);
}
