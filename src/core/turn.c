#include "turn.h"
#include "clock.h"
#include "transfer.h"

#include <math.h>

static struct transfer *first_active(const struct multi *multi) {
    return link_owner(multi->active.next, struct transfer, active);
}

void turn_abort_all(struct multi *multi, const char *kind,
                    const char *message) {
    while (!link_alone(&multi->active))
        transfer_abort(first_active(multi), kind, message);
}

/* Complete the transfers that libcurl is done with. */
static void finish_done(struct multi *multi) {
    struct transfer *transfer;
    CURLMsg *message;
    int left;
    while ((message = curl.multi_info_read(multi->handle, &left))) {
        char *user = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &user);
        transfer = (struct transfer *)(void *)user;
        transfer_complete(transfer, message->data.result);
    }
}

static void check_idle(struct multi *multi) {
    const double pause = 0.01; /* seconds between two checks, at least */
    double now = clock_now(), due;
    struct link *link, *next;
    if (now < multi->idle_due)
        return;
    multi->idle_due = INFINITY;
    for (link = multi->active.next; link != &multi->active; link = next) {
        next = link->next;
        due =
            transfer_check_idle(link_owner(link, struct transfer, active), now);
        multi_check_idle_at(multi, due > now + pause ? due : now + pause);
    }
}

/* Call libcurl once. When the multi handle is broken, so is every transfer. */
static void act(struct multi *multi, curl_socket_t fd, int what) {
    int running;
    CURLMcode code =
        multi->poller.set < 0
            ? curl.multi_perform(multi->handle, &running)
            : curl.multi_socket_action(multi->handle, fd, what, &running);
    finish_done(multi);
    if (code != CURLM_OK && code != CURLM_BAD_SOCKET)
        turn_abort_all(multi, "other", curl.multi_strerror(code));
}

void turn_run_due(struct multi *multi) {
    if (multi->poller.set >= 0 && clock_now() < multi->curl_due)
        return;
    multi->curl_due = INFINITY;
    act(multi, CURL_SOCKET_TIMEOUT, 0);
}

/* Transfers that have had their part of the last turn get a part of this one.
 */
static void wake_resting(struct multi *multi) {
    struct link *next;
    if (multi->resting == 0)
        return;
    for (struct link *link = multi->active.next;
         link != &multi->active && !multi_is_late(multi); link = next) {
        struct transfer *t = link_owner(link, struct transfer, active);
        next = link->next;
        if (t->resting)
            transfer_go_on(t);
    }
}

void turn_run(struct multi *multi, const struct poller_event *events,
              int count) {
    const double most = 0.002; /* seconds */
    multi->turn_end = clock_now() + most;
    wake_resting(multi);
    /* The poller reports the other events again. */
    for (int i = 0; i < count && (i == 0 || !multi_is_late(multi)); i++)
        act(multi, events[i].fd,
            (events[i].what & POLLER_READ ? CURL_CSELECT_IN : 0) |
                (events[i].what & POLLER_WRITE ? CURL_CSELECT_OUT : 0) |
                (events[i].what & POLLER_ERROR ? CURL_CSELECT_ERR : 0));
    turn_run_due(multi);
    check_idle(multi);
    if (clock_now() >= multi->deadline)
        multi->deadline = INFINITY;
    multi_arm(multi);
}
