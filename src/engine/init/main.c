/* main.c of contree-init. */
#include "init.h"
#include <stdlib.h>

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    return forkserver_main(strtoul(argv[1], NULL, 10),
                           strtoul(argv[2], NULL, 10));
}
