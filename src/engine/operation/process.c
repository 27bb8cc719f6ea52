/* process.c: see process.h. */
#define _GNU_SOURCE
#include "operation/process.h"
#include "base/buffer.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/pipe.h"
#include "base/scope.h"
#include "base/turn.h"
#include "operation/command_line.h"
#include "operation/feed.h"
#include "operation/internal.h"
#include "operation/result.h"
#include "operation/terminal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    READ_BYTES = EVENT_BYTES_MAX,
    /* Reads in a row, before other pipes have their turn. */
    READS_MAX = 16,
    /* After EVENTS_FREE events a stream that comes in pieces smaller than
     * PIECE_SMALL is read every PACE_MS only. Otherwise a program that writes
     * byte by byte would fill the log with the frames of events. */
    EVENTS_FREE = 512,
    PIECE_SMALL = 4096,
    /* A terminal hands over less at a time. */
    TERMINAL_PIECE_SMALL = 512,
    /* More than a terminal holds. */
    TERMINAL_HOLDS_MAX = 65536,
    PACE_MS = 5,
    /* Pipes are watched only after this time. Most short runs are over by then,
     * and are read once at their end. */
    FIRST_MS = 1,
    /* When to try again if a pipe could not be watched. */
    AGAIN_MS = 100,
    /* The most bytes that are moved to the spool at once. */
    SPLICE_BYTES = 1 << 20
};

struct output {
    struct process *process;
    struct result_stream *kept; /* or NULL */
    const char *name;
    struct pipe_end *pipe; /* NULL: the stream has ended */
    int64_t emitted, dropped, events;
};

struct process {
    const struct run_process *run;
    uv_loop_t *loop;
    struct workers *workers;
    struct event_log *log;
    struct result *result; /* told what the events are told; or NULL */
    int spid, pid;
    char **argv, **env;
    unsigned defaults; /* see run_defaults() */
    struct output out, err;
    uv_timer_t *pace;       /* until the pipes are watched again */
    struct pipe_end *input; /* NULL: closed, or never open */
    struct buffer input_queue;
    size_t input_sent;
    bool hung_up;                /* its terminal */
    bool input_ends;             /* close when the queue is empty */
    int last_input;              /* the last byte of it; -1: none */
    struct feed *feed;           /* the rest of the input; or NULL */
    struct input_waiter *waiter; /* or NULL */
    bool spawned, has_exited, finished;
    struct sandbox_exit exit;
};

/* ---- output ---- */

static void emit(struct output *o, const char *data, size_t length) {
    event_add_stream(o->process->log, o->name, o->process->spid, data, length);
    if (o->kept)
        result_add_output(o->kept, data, length);
    o->emitted += (int64_t)length;
    o->events++;
}

/* Output beyond the limit is read and dropped, so that the program goes on. */
static void take_output(struct output *o, const char *data, size_t length) {
    int64_t room = o->process->run->truncate - o->emitted;
    size_t kept = room < (int64_t)length ? (size_t)room : length;
    if (kept)
        emit(o, data, kept);
    o->dropped += (int64_t)(length - kept);
}

/* Move bulk output from the pipe to the spool. 0: read it. */
static ssize_t move_output(struct output *o) {
    const struct process *p = o->process;
    int64_t room = p->run->truncate - o->emitted;
    if (o->emitted < RESULT_KEPT_MAX || room < READ_BYTES ||
        p->run->terminal.rows)
        return 0;
    ssize_t n = event_splice(p->log, o->name, p->spid, o->pipe->fd,
                             room < SPLICE_BYTES ? (size_t)room : SPLICE_BYTES);
    if (n <= 0)
        return 0;
    if (o->kept)
        result_add_output(o->kept, NULL, (size_t)n); /* there is no room */
    o->emitted += n;
    return n;
}

/* Read a pipe once; a terminal, which hands over its few kilobytes in pieces,
 * until the buffer is full or nothing is there. */
static ssize_t read_end(const struct output *o, char *data, size_t size) {
    bool again = o->process->run->terminal.rows > 0;
    size_t got = 0;
    ssize_t n;
    do {
        n = read(o->pipe->fd, data + got, size - got);
        got += n > 0 ? (size_t)n : 0;
    } while ((n < 0 && errno == EINTR) || (n > 0 && again && got < size));
    return got ? (ssize_t)got : n;
}

/* Return the bytes read, 0 if there are none now, -1 at the end of the stream.
 */
static ssize_t read_once(struct output *o) {
    char data[READ_BYTES];
    ssize_t n = o->pipe ? move_output(o) : 0;
    if (n > 0)
        return n;
    n = o->pipe ? read_end(o, data, sizeof data) : -1;
    if (n > 0)
        take_output(o, data, (size_t)n);
    else if (n < 0 && o->pipe && errno == EAGAIN)
        return 0;
    else
        pipe_close(&o->pipe);
    return n > 0 ? n : -1;
}

static void watch_later(struct process *p, uint64_t ms);

static bool watch_output(const struct output *o) {
    return !o->pipe || pipe_watch(o->pipe, UV_READABLE);
}

static void on_pace(uv_timer_t *timer) {
    struct process *p = timer->data;
    bool out = watch_output(&p->out), err = watch_output(&p->err);
    bool waits = p->input && (p->feed || p->input_queue.length > p->input_sent);
    if (!out || !err || (waits && !pipe_watch(p->input, UV_WRITABLE)))
        watch_later(p, AGAIN_MS);
}

/* Watch the pipes after so many milliseconds. */
static void watch_later(struct process *p, uint64_t ms) {
    if (!p->pace) {
        p->pace = malloc(sizeof *p->pace);
        if (!p->pace)
            return;
        uv_timer_init(p->loop, p->pace); /* timers cannot fail */
        p->pace->data = p;
    }
    if (!uv_is_active((uv_handle_t *)p->pace))
        uv_timer_start(p->pace, on_pace, ms, 0);
}

static void free_handle(uv_handle_t *handle) {
    free(handle);
}

static void pace_stop(struct process *p) {
    uv_timer_t *timer = steal_pointer(&p->pace);
    if (timer)
        uv_close((uv_handle_t *)timer, free_handle);
}

/* Read while each read fills the buffer, until other pipes should have their
 * turn. */
static void on_output(void *arg) {
    struct output *o = arg;
    size_t got = 0;
    size_t small =
        o->process->run->terminal.rows ? TERMINAL_PIECE_SMALL : PIECE_SMALL;
    ssize_t n;
    for (int i = 0; (n = read_once(o)) >= READ_BYTES; i++) {
        got += (size_t)n;
        pipe_widen(o->pipe);
        if (i == READS_MAX || turn_is_long(o->process->loop))
            return;
    }
    if (n < 0 || got + (size_t)n >= small || o->events <= EVENTS_FREE)
        return;
    pipe_unwatch(o->pipe);
    watch_later(o->process, PACE_MS);
}

/* Read what the pipe holds now, and no more: a process that still has its other
 * end may write for ever. True at the end of the stream. */
static bool drain_output(struct output *o) {
    int held = 0;
    ssize_t n = 0;
    if (o->process->run->terminal.rows)
        held = TERMINAL_HOLDS_MAX; /* some of it is still on its way */
    else if (o->pipe && ioctl(o->pipe->fd, FIONREAD, &held) < 0)
        held = 0;
    do {
        n = read_once(o);
        held -= (int)n;
    } while (n > 0 && held > 0);
    return n < 0 || (n > 0 && read_once(o) < 0);
}

bool process_drain(struct process *p) {
    bool out = drain_output(&p->out);
    return drain_output(&p->err) && out;
}

/* ---- input ---- */

/* Write a `stdin` event for each piece that the pipe took. */
static void tell_input(struct process *p, const char *data, size_t length) {
    if (length)
        p->last_input = (unsigned char)data[length - 1];
    while (length) {
        size_t n = length < EVENT_BYTES_MAX ? length : EVENT_BYTES_MAX;
        event_add_stream(p->log, "stdin", p->spid, data, n);
        data += n;
        length -= n;
    }
}

static void await_input(struct process *p) {
    if (!pipe_watch(p->input, UV_WRITABLE))
        watch_later(p, AGAIN_MS);
}

static void wake_waiter(struct process *p) {
    struct input_waiter *w = steal_pointer(&p->waiter);
    if (w)
        w->ready(w);
}

static void close_input(struct process *p) {
    feed_stop(&p->feed);
    pipe_close(&p->input);
    wake_waiter(p);
}

static void write_feed(struct process *p) {
    switch (feed_write(p->feed, p->input->fd)) {
    case FEED_FULL:
        pipe_widen(p->input);
        await_input(p);
        break;
    case FEED_WAIT:
        pipe_unwatch(p->input);
        break;
    case FEED_END:
        close_input(p);
    }
}

/* Write what the pipe takes, and watch it while something waits. */
static void write_input(struct process *p) {
    struct buffer *q = &p->input_queue;
    while (p->input && p->input_sent < q->length) {
        const char *data = q->data + p->input_sent;
        ssize_t n = write(p->input->fd, data, q->length - p->input_sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            pipe_widen(p->input);
            await_input(p);
            return;
        }
        if (n < 0) { /* nobody reads it any more */
            close_input(p);
            break;
        }
        tell_input(p, data, (size_t)n);
        p->input_sent += (size_t)n;
        if (p->input_sent < q->length && turn_is_long(p->loop)) {
            await_input(p);
            return;
        }
    }
    buffer_free(q);
    p->input_sent = 0;
    if (p->input && p->feed) {
        write_feed(p);
    } else if (p->input && p->input_ends) {
        close_input(p);
    } else if (p->input) {
        pipe_unwatch(p->input);
        wake_waiter(p);
    }
}

static void on_input(void *process) {
    write_input(process);
}

static int check_input(const struct process *p, struct fault *f) {
    if (p->has_exited || p->finished)
        return fault_set(f, 409, "process %d has ended", p->spid);
    if (!p->input || p->input_ends || p->feed)
        return fault_set(f, 409, "the standard input of process %d is closed",
                         p->spid);
    return 0;
}

ssize_t process_stream(struct process *p, const void *data, size_t length,
                       struct input_waiter *w, struct fault *f) {
    ssize_t n = 0;
    if (check_input(p, f) < 0)
        return -1;
    if (p->waiter && p->waiter != w)
        return fault_set(f, 409, "somebody else writes to process %d", p->spid);
    while (!p->input_queue.length &&
           (n = write(p->input->fd, data, length)) < 0 && errno == EINTR)
        continue;
    if (n < 0 && errno != EAGAIN) { /* nobody reads it any more */
        close_input(p);
        return check_input(p, f);
    }
    n = n < 0 ? 0 : n;
    tell_input(p, data, (size_t)n);
    if ((size_t)n < length) {
        pipe_widen(p->input);
        p->waiter = w;
        await_input(p);
    }
    return n;
}

void process_unwait(struct process *p, struct input_waiter *w) {
    if (p->waiter == w)
        p->waiter = NULL;
}

int process_feed(struct process *p, int file, off_t offset, struct fault *f) {
    if (p->run->terminal.rows && !p->finished)
        fault_set(f, 422, "a terminal takes no file as its input");
    if (p->run->terminal.rows || check_input(p, f) < 0) {
        close_fd(file);
        return -1;
    }
    p->feed =
        feed_start(p->workers, p->log, p->spid, file, offset, on_input, p, f);
    if (!p->feed)
        return -1;
    if (p->spawned)
        write_input(p);
    return 0;
}

/* Queue what a person types to end the input of a terminal. */
static bool queue_end(struct process *p) {
    struct buffer *q = &p->input_queue;
    char end[TERMINAL_END_MAX];
    int last =
        q->length ? (unsigned char)q->data[q->length - 1] : p->last_input;
    return buffer_add(q, end, terminal_end(p->input->fd, last, end));
}

int process_write(struct process *p, const void *data, size_t length,
                  bool close, struct fault *f) {
    if (check_input(p, f) < 0)
        return -1;
    if (p->input_queue.length - p->input_sent + length > STDIN_QUEUE_MAX)
        return fault_set(f, 429, "process %d has not read what was sent before",
                         p->spid);
    if (p->input_sent) {
        p->input_queue.length -= p->input_sent;
        memmove(p->input_queue.data, p->input_queue.data + p->input_sent,
                p->input_queue.length);
        p->input_sent = 0;
    }
    if (!buffer_add(&p->input_queue, data, length) ||
        (close && p->run->terminal.rows && !queue_end(p)))
        return fault_memory(f);
    p->input_ends = close;
    if (p->spawned)
        write_input(p);
    return 0;
}

/* Make a sealed file in memory. Unlike a pipe it needs no writer. */
static int sealed_input(const struct run_process *run, struct fault *f) {
    int fd CLEANUP(cleanup_close) =
        memfd_create("stdin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write_all(fd, run->stdin_data, run->stdin_length) < 0 ||
        lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS,
              F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return fault_errno(f, "cannot keep the standard input");
    return steal_fd(&fd);
}

static int open_input(struct process *p, int *theirs, struct fault *f) {
    if (p->run->stdin_open) {
        p->input = pipe_open(p->loop, false, theirs, on_input, p, f);
        buffer_init(&p->input_queue, STDIN_QUEUE_MAX);
        if (!p->input)
            return -1;
        return process_write(p, p->run->stdin_data, p->run->stdin_length, false,
                             f);
    }
    if (p->run->stdin_length == 0)
        return 0; /* /dev/null */
    *theirs = sealed_input(p->run, f);
    return *theirs < 0 ? -1 : 0;
}

/* ---- life ---- */

/* Take over the master of the terminal, as the ends of two streams: the loop
 * watches a descriptor for one thing only. */
static int open_terminal(struct process *p, int master, struct fault *f) {
    int second = fcntl(master, F_DUPFD_CLOEXEC, 0);
    p->out.pipe = pipe_adopt(p->loop, master, on_output, &p->out, f);
    if (second < 0)
        return fault_errno(f, "cannot open the terminal twice");
    p->input = pipe_adopt(p->loop, second, on_input, p, f);
    if (!p->out.pipe || !p->input)
        return -1;
    buffer_init(&p->input_queue, STDIN_QUEUE_MAX);
    return process_write(p, p->run->stdin_data, p->run->stdin_length,
                         !p->run->stdin_open, f);
}

static int open_ends(struct process *p, struct sandbox_process *theirs,
                     struct fault *f) {
    if (p->run->terminal.rows)
        return 0; /* the sandbox has it */
    p->out.pipe =
        pipe_open(p->loop, true, &theirs->stdout_fd, on_output, &p->out, f);
    if (!p->out.pipe)
        return -1;
    p->err.pipe =
        pipe_open(p->loop, true, &theirs->stderr_fd, on_output, &p->err, f);
    if (!p->err.pipe)
        return -1;
    return open_input(p, &theirs->stdin_fd, f);
}

static void close_theirs(const struct sandbox_process *theirs) {
    const int fds[] = {theirs->stdin_fd, theirs->stdout_fd, theirs->stderr_fd};
    for (int i = 0; i < 3; i++)
        close_fd(fds[i]);
}

static int order(struct process *p, struct sandbox *sandbox, struct fault *f) {
    struct sandbox_process theirs = {
        .argv = p->argv,
        .env = p->env,
        .cwd = *p->run->cwd ? p->run->cwd : "/",
        .user = p->run->user,
        .uid = p->run->uid,
        .gid = p->run->gid,
        .has_gid = p->run->has_gid,
        .defaults = p->defaults,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = -1,
        .rows = (unsigned)p->run->terminal.rows,
        .columns = (unsigned)p->run->terminal.columns,
    };
    if (p->run->held)
        return sandbox_hold(sandbox, f);
    if (open_ends(p, &theirs, f) < 0) {
        close_theirs(&theirs);
        return -1;
    }
    return sandbox_spawn(sandbox, p->spid, &theirs, f);
}

struct process *process_start(struct operation *op, int spid,
                              const struct run_process *run,
                              struct result *result, struct fault *f) {
    struct process *p = calloc(1, sizeof *p);
    if (!p) {
        fault_memory(f);
        return NULL;
    }
    p->run = run;
    p->loop = op->all->engine->loop;
    p->workers = &op->all->engine->workers;
    p->log = event_log_ref(op->log);
    p->spid = spid;
    p->last_input = -1;
    p->result = result;
    p->out = (struct output){.process = p,
                             .kept = p->result ? &p->result->out : NULL,
                             .name = "stdout"};
    p->err = (struct output){.process = p,
                             .kept = p->result ? &p->result->err : NULL,
                             .name = "stderr"};
    p->exit = (struct sandbox_exit){.code = -1, .signal = 9};
    p->argv = run_argv(p->run, f);
    p->env = p->argv ? run_environment(p->run, op->image_env,
                                       op->run.rules.variables, f)
                     : NULL;
    p->defaults = run_defaults(p->run, op->image_env);
    if (!p->env || order(p, op->sandbox, f) < 0) {
        process_free(p);
        return NULL;
    }
    return p;
}

void process_free(struct process *p) {
    if (!p)
        return;
    pace_stop(p);
    pipe_close(&p->out.pipe);
    pipe_close(&p->err.pipe);
    close_input(p);
    buffer_free(&p->input_queue);
    event_log_unref(p->log);
    free(p->argv);
    free(p->env);
    free(p);
}

/* Output comes into the log only after the spawn event. */
int process_spawned(struct process *p, int pid, const struct sandbox_account *a,
                    int terminal, struct fault *f) {
    if (p->hung_up)
        close_fd(terminal);
    else if (terminal >= 0 && open_terminal(p, terminal, f) < 0)
        return -1;
    p->spawned = true;
    p->pid = p->exit.pid = pid;
    struct buffer *b = event_begin(p->log, "spawn", p->spid);
    spawn_event_write(b, p->run, p->argv, p->env, pid, a);
    event_end(p->log);
    if (p->result)
        result_add_start(p->result, pid);
    watch_later(p, FIRST_MS);
    if (p->input)
        write_input(p);
    return 0;
}

void process_exited(struct process *p, const struct sandbox_exit *e) {
    p->has_exited = true;
    p->exit = *e;
    close_input(p);
}

bool process_is_spawned(const struct process *p) {
    return p && p->spawned;
}

bool process_has_exited(const struct process *p) {
    return p->has_exited;
}

const struct sandbox_exit *process_exit(const struct process *p) {
    return &p->exit;
}

static int check_terminal(const struct process *p, struct fault *f) {
    if (!p->run->terminal.rows)
        return fault_set(f, 409, "process %d has no terminal", p->spid);
    if (p->has_exited || p->finished)
        return fault_set(f, 409, "process %d has ended", p->spid);
    return 0;
}

int process_resize(struct process *p, unsigned rows, unsigned columns,
                   struct fault *f) {
    if (check_terminal(p, f) < 0)
        return -1;
    if (!p->out.pipe)
        return fault_set(f, 409, "the terminal of process %d is closed",
                         p->spid);
    return terminal_resize(p->out.pipe->fd, rows, columns, f);
}

int process_hang_up(struct process *p, struct fault *f) {
    if (check_terminal(p, f) < 0)
        return -1;
    p->hung_up = true;
    close_input(p);
    pipe_close(&p->out.pipe);
    return 0;
}

static void tell_truncated(struct process *p, const struct output *o) {
    if (!o->dropped)
        return;
    if (o->kept)
        o->kept->dropped = o->dropped;
    struct buffer *b = event_begin(p->log, "truncated", p->spid);
    json_add_string(b, "stream", o->name);
    json_add_int(b, "bytes_emitted", o->emitted);
    json_add_int(b, "bytes_dropped", o->dropped);
    event_end(p->log);
}

void process_finish(struct process *p, bool timed_out, const char *limit,
                    int64_t limit_value) {
    if (!process_is_spawned(p) || p->finished)
        return;
    p->finished = true;
    pace_stop(p);
    pipe_close(&p->out.pipe);
    pipe_close(&p->err.pipe);
    close_input(p);
    tell_truncated(p, &p->out);
    tell_truncated(p, &p->err);
    struct buffer *b = event_begin(p->log, "exit", p->spid);
    exit_event_write(b, &p->exit, timed_out, limit, limit_value);
    event_end(p->log);
    if (p->result)
        result_add_exit(p->result, &p->exit, timed_out, limit, limit_value);
}
