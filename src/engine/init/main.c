/* main.c of contree-init: the forkserver
 *
 *   contree-init ID_BASE ID_COUNT [STAGE RUNTIME OPTION...]
 *
 * and, started by that runtime, PID 1 of a sandbox:
 *
 *   contree-init inside */
#include "init.h"
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], RUNTIME_INIT_ARGUMENT) == 0)
        return inside_main();
    if (argc != 3 && argc < 5)
        return 2;
    struct runtime runtime = {.stage = argc > 3 ? argv[3] : NULL,
                              .command = argc > 3 ? argv + 4 : NULL};
    return forkserver_main(strtoul(argv[1], NULL, 10),
                           strtoul(argv[2], NULL, 10),
                           argc > 3 ? &runtime : NULL);
}
