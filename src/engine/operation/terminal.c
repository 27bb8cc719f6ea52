/* terminal.c: see terminal.h. */
#include "operation/terminal.h"
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

int terminal_resize(int master, unsigned rows, unsigned columns,
                    struct fault *f) {
    const struct winsize size = {.ws_row = (unsigned short)rows,
                                 .ws_col = (unsigned short)columns};
    if (ioctl(master, TIOCSWINSZ, &size) < 0)
        return fault_errno(f, "cannot resize the terminal");
    return 0;
}

size_t terminal_end(int master, int last, char out[TERMINAL_END_MAX]) {
    struct termios modes;
    char end = 4;
    if (tcgetattr(master, &modes) == 0 && modes.c_cc[VEOF] != _POSIX_VDISABLE)
        end = (char)modes.c_cc[VEOF];
    memset(out, end, TERMINAL_END_MAX);
    return last < 0 || last == '\n' || last == '\r' || last == end ? 1 : 2;
}
