/* main.c: contree-init, the one static program that is the forkserver on the
 * host's side and PID 1 in a sandbox. As the forkserver:
 *
 *   contree-init ID_BASE ID_COUNT rw|ro [STAGE RUNTIME OPTION...]
 *
 * (read-write or read-only: /proc in sandboxes); started by that runtime, as
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
    if (argc != 4 && argc < 6)
        return 2;
    struct oci_runtime runtime = {.stage = argc > 4 ? argv[4] : NULL,
                                  .command = argc > 4 ? argv + 5 : NULL};
    return forkserver_main(
        strtoul(argv[1], NULL, 10), strtoul(argv[2], NULL, 10),
        strcmp(argv[3], "ro") == 0, argc > 4 ? &runtime : NULL);
}
