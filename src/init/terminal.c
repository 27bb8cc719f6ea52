#define _GNU_SOURCE
#include "init/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static void close_end(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void terminal_close(struct terminal *t) {
    close_end(&t->master);
    close_end(&t->slave);
}

/* The kernel has its defaults for all else. With IUTF8, backspace takes back a
 * character and not a byte. */
static int set_up(int slave, unsigned rows, unsigned columns, uid_t owner) {
    const struct winsize size = {.ws_row = (unsigned short)rows,
                                 .ws_col = (unsigned short)columns};
    struct termios modes;
    if (tcgetattr(slave, &modes) < 0)
        return -1;
    modes.c_iflag |= IUTF8;
    if (tcsetattr(slave, TCSANOW, &modes) < 0 ||
        ioctl(slave, TIOCSWINSZ, &size) < 0)
        return -1;
    return fchown(slave, owner, (gid_t)-1);
}

/* The slave is opened through the master, so no name in the sandbox can lead
 * elsewhere. */
int terminal_open(struct terminal *t, unsigned rows, unsigned columns,
                  uid_t owner, struct failure *f) {
    const int flags = O_RDWR | O_NOCTTY | O_CLOEXEC;
    const int unlocked = 0;
    *t = (struct terminal){.master = open("/dev/pts/ptmx", flags | O_NONBLOCK),
                           .slave = -1};
    if (t->master >= 0 && ioctl(t->master, TIOCSPTLCK, &unlocked) == 0)
        t->slave = ioctl(t->master, TIOCGPTPEER, flags);
    if (t->slave >= 0 && set_up(t->slave, rows, columns, owner) == 0)
        return 0;
    int error = errno;
    terminal_close(t);
    if (error == ENOSPC)
        return fail(f, 503,
                    "no terminal is free: the sandbox has too many open, or "
                    "the machine (kernel.pty.max)");
    errno = error;
    return fail_errno(f, "cannot open a terminal");
}
