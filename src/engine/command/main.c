/* main.c: the program contree-engine. */
#include "command/commands.h"
#include "command/help.h"
#include "command/parse.h"
#include "unpack/child.h"
#include <stdio.h>

enum { FAILED = 1, MISUSED = 2 };

static int complain(const struct fault *f, int status) {
    fprintf(stderr, "contree-engine: %s\n", f->message);
    return status;
}

int main(int argc, char *argv[]) {
    struct options o;
    struct fault f;
    if (unpack_is_child(argv))
        return unpack_child();
    if (options_parse(commands, argc, argv, &o, &f) < 0)
        return complain(&f, MISUSED);
    if (o.help) {
        help_print_command(o.command);
        return 0;
    }
    int status = o.command->run(&o, &f);
    return status < 0 ? complain(&f, FAILED) : status;
}
