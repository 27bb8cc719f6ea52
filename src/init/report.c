#include "init/report.h"
#include "init/packet.h"

#include <string.h>
#include <unistd.h>

void report_send_with(int control, const struct report *r, int fd) {
    if (packet_send(control, r, sizeof *r, &fd, fd >= 0) < 0)
        _exit(0);
}

void report_send(int control, const struct report *r) {
    report_send_with(control, r, -1);
}

void report_send_fd(int control, struct report *r, int fd) {
    if (fd < 0 || packet_send(control, r, sizeof *r, &fd, 1) < 0) {
        if (fd >= 0)
            r->status = 503;
        report_send(control, r);
    }
}

void report_trace(int control, int listener) {
    const struct report r = {.type = REPORT_TRACE};
    if (listener < 0)
        return;
    report_send_with(control, &r, listener);
    close(listener);
}

void report_fault(int control, const struct failure *f) {
    struct report r = {.type = REPORT_FAULT, .status = f->status};
    memcpy(r.message, f->message, sizeof r.message);
    packet_send(control, &r, sizeof r, NULL, 0);
    _exit(1);
}
