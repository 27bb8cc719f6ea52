/* main.c: the program contree-engine. */
#include "base/fault.h"
#include "command/doctor.h"
#include "command/gc.h"
#include "command/options.h"
#include "command/purge.h"
#include "command/serve.h"
#include "command/transfer.h"
#include "unpack/jail.h"
#include <stdio.h>
#include <string.h>

#define VERSION "0.1.0"

static int complain(const struct fault *f) {
    fprintf(stderr, "contree-engine: %s\n", f->message);
    return 1;
}

int main(int argc, char *argv[]) {
    struct options o;
    struct fault f;
    if (unpack_is_child(argv))
        return unpack_child();
    if (options_parse(argc, argv, &o, &f) < 0) {
        complain(&f);
        return 2;
    }
    if (strcmp(o.command, "help") == 0 || o.help) {
        options_help(o.help ? o.command : o.operand);
        return 0;
    }
    if (strcmp(o.command, "version") == 0) {
        puts("contree-engine " VERSION);
        return 0;
    }
    if (strcmp(o.command, "doctor") == 0)
        return doctor_run(stdout, &o.config);
    if (strcmp(o.command, "import") == 0)
        return import_command(&o, &f) < 0 ? complain(&f) : 0;
    if (strcmp(o.command, "export") == 0)
        return export_command(&o, &f) < 0 ? complain(&f) : 0;
    if (strcmp(o.command, "gc") == 0)
        return gc_command(&o, &f) < 0 ? complain(&f) : 0;
    if (strcmp(o.command, "purge") == 0)
        return purge_command(&o, &f) < 0 ? complain(&f) : 0;
    return serve(&o, &f) < 0 ? complain(&f) : 0;
}
