/* protocol.h: the packets between the engine, its forkserver and PID 1 of a
 * sandbox, over sequential packet sockets. All three are from one build, so
 * there are no versions, and numbers are in host byte order.
 *
 * The forkserver turns one byte (CELL_...) into one *cell*: a process that is
 * PID 1 of fresh namespaces and waits. Its identity, /proc, /sys and /dev are
 * made. Its first order is ORDER_SETUP, which gives it a root file system, or
 * an ORDER_MOUNT for something in that; afterwards it is the sandbox's init. */
#ifndef CONTREE_INIT_PROTOCOL_H
#define CONTREE_INIT_PROTOCOL_H

#include <stdint.h>
#include <sys/resource.h>

/* The forkserver's arguments are in main.c. Its inherited descriptors: */
enum {
    FORKSERVER_SOCKET = 3,
    FORKSERVER_DATA_DIR = 4,
    FORKSERVER_SECCOMP = 5, /* a memfd: struct sock_filter[] */
};

/* Engine to forkserver: the network namespace of the cell. PRIVATE has only the
 * loopback interface; CONNECTED is for the engine to connect, and is never used
 * again. */
enum { CELL_PRIVATE, CELL_CONNECTED, CELL_KINDS };

/* Forkserver to engine. First one HELLO or FAULT, then for each byte either a
 * READY with descriptors (control socket, pidfd, and the network namespace if
 * CONNECTED) or a FAULT. */
enum { CELL_HELLO, CELL_READY, CELL_FAULT };
enum { CELL_FDS = 3 };
struct cell_report {
    int32_t type;
    int32_t kind;
    int32_t status;    /* CELL_FAULT: HTTP status */
    char message[400]; /* CELL_FAULT: for the user */
};

/* Files of /etc (etc.h). */
enum {
    ETC_HOSTS = 1,
    ETC_HOSTNAME = 2,
    ETC_RESOLV_CONF = 4,
    ETC_ALL = ETC_HOSTS | ETC_HOSTNAME | ETC_RESOLV_CONF,
};

/* Variables from the user's line in /etc/passwd. */
enum { DEFAULT_HOME = 1, DEFAULT_USER = 2 };
enum { ACCOUNT_HOME_SIZE = 256, ACCOUNT_NAME_SIZE = 128 };

/* Volumes and directories of the host that one sandbox may have. */
enum { MOUNTS_MAX = 32 };

/* Engine to PID 1: a struct order, then `payload` bytes of NUL-terminated
 * strings, or, when there are too many, a memfd with them as last descriptor.
 *
 *   MOUNT   target, volume: the name of a directory of the stage's /v, or "":
 *           then the descriptor is a detached mount; comes before SETUP
 *   SETUP   hostname, upper, work, the configuration for a runtime ("": none),
 *           lower... (top first); a descriptor for each control group: a
 *           process that writes "0" to it joins
 *   PUT     path, argc names and values (hexadecimal) of extended attributes in
 *           turn; one descriptor
 *   GIVE    target of a volume, user: it is theirs if it is empty
 *   SPAWN   cwd, user ("": the uid's), argc arguments, envc variables; a
 *           descriptor for each bit of `stdio` (1 stdin, 2 stdout, 4 stderr)
 *   HOLD    nothing: PID 1 itself is spid 1, and ends by a signal to that
 *   SIGNAL  nothing
 *   PAUSE   nothing; answered by PAUSED, when all have stopped
 *   RESUME  nothing
 *   SOCKET  path, for SOCKET_UNIX; else ""; answered by SOCKET
 *   WATCH   path; a descriptor that gets struct watch_packet
 *   TRUST   nothing; a descriptor with a certificate (trust.h)
 *   TRACE   nothing; a descriptor as FORKSERVER_SECCOMP: this filter in place
 *           of that; comes before SETUP; answered by TRACE */
enum {
    ORDER_SETUP = 1,
    ORDER_PUT,
    ORDER_SPAWN,
    ORDER_SIGNAL,
    ORDER_PAUSE,
    ORDER_RESUME,
    ORDER_MOUNT,
    ORDER_GIVE,
    ORDER_SOCKET,
    ORDER_WATCH,
    ORDER_HOLD,
    ORDER_TRUST,
    ORDER_TRACE,
};
/* Where the certificates are that a sandbox with an airlock trusts: in no
 * image. */
#define TRUST_PATH "/dev/shm/contree-ca.pem"
#define TRUST_JAVA "/dev/shm/contree-ca.jks"
/* The same for programs that are told by a file of settings. */
#define TRUST_WGET "/dev/shm/contree-wgetrc"
#define TRUST_APT "/dev/shm/contree-apt.conf"
/* Kinds of sockets (socket.h), and the status in SOCKET when the program that
 * listens has no room for another connection now. */
enum { SOCKET_INET = 1, SOCKET_INET6, SOCKET_UNIX };
enum { SOCKET_BUSY = 503 };
enum { ORDER_INLINE_MAX = 65536, ORDER_FDS_MAX = 4 };
struct order {
    uint32_t type;
    uint32_t payload;   /* bytes of strings */
    uint32_t in_memfd;  /* 1: they are in the last descriptor */
    int32_t spid;       /* SPAWN, SIGNAL */
    int32_t signal;     /* SIGNAL */
    uint32_t family;    /* SIGNAL: to all that the process has started */
    uint32_t uid, gid;  /* PUT, GIVE, SPAWN */
    uint32_t mode;      /* PUT */
    uint32_t has_gid;   /* GIVE, SPAWN: 0: the user's group */
    uint32_t defaults;  /* SPAWN: bits DEFAULT_... */
    uint32_t stdio;     /* SPAWN */
    uint32_t rows;      /* SPAWN: of a terminal in place of `stdio`; 0: none */
    uint32_t columns;   /* the same */
    uint32_t id, kind;  /* SOCKET: echoed; SOCKET_... */
    uint32_t recursive; /* WATCH */
    uint32_t argc;      /* SPAWN: arguments; SETUP: lower directories; PUT:
                         * names and values of attributes; MOUNT: descriptors
                         */
    uint32_t envc;      /* SPAWN */
    uint32_t connected; /* SETUP: there is a network */
    uint32_t groups;    /* SETUP: descriptors of control groups */
    uint32_t processors, first_processor; /* SETUP: how many to run on, 0 all;
                                           * the one to begin with */
    uint32_t image_etc; /* SETUP: bits ETC_... of what is not the engine's */
    int64_t max_file_bytes, max_processes; /* SETUP */
    int64_t shm_bytes;                     /* SETUP: of /dev/shm; 0 the usual */
};

/* A runtime starts PID 1 of a sandbox from one of the descriptors that it
 * passes on (handoff.h), with this argument. It works in the namespaces of the
 * cell, where the image's root and the template of /sys have these names below
 * the stage. */
#define RUNTIME_INIT_PROGRAM "/proc/self/fd/5"
#define RUNTIME_INIT_ARGUMENT "inside"
#define RUNTIME_ROOT "new"
#define RUNTIME_SYS "sys"

/* PID 1 to engine, over a socket for packets of its own: what happens below a
 * directory (watch.h). Packets end with the second string of `text`. READY is
 * the first, when all directories are watched. FAILED and END are the last;
 * without them something was not told. */
enum {
    WATCH_READY = 1,
    WATCH_FAILED,   /* `text`: why */
    WATCH_OVERFLOW, /* events were lost */
    WATCH_CREATED,
    WATCH_MODIFIED,
    WATCH_WRITTEN, /* closed by a process that could write */
    WATCH_ATTRIBUTES,
    WATCH_DELETED,
    WATCH_MOVED, /* from the second path */
    WATCH_END,   /* the sandbox ends, and all was told */
};
enum { WATCH_PATH_SIZE = 4096 };
struct watch_packet {
    uint32_t kind, is_dir;
    int32_t status; /* FAILED: HTTP status */
    char text[2 * WATCH_PATH_SIZE];
};

/* PID 1 to engine: a struct report. FAULT ends the sandbox. */
enum {
    REPORT_STARTED = 1,
    REPORT_SPAWNED,
    REPORT_SPAWN_FAILED,
    REPORT_EXIT,
    REPORT_FAULT,
    REPORT_PAUSED,
    REPORT_SOCKET, /* with a descriptor, or with a status */
    REPORT_TRACE,  /* with the listener of the filter; comes before STARTED, and
                    * the next call of init that the filter asks about waits */
};
struct report {
    uint32_t type;
    int32_t spid, pid;
    int32_t wait_status;       /* EXIT: as from wait(2) */
    int32_t background_killed; /* EXIT of spid 1 */
    uint32_t id;               /* SOCKET */
    int32_t status;      /* FAULT, SPAWN_FAILED, SOCKET, PAUSED: HTTP status */
    double seconds;      /* EXIT */
    struct rusage usage; /* EXIT */
    char message[400];   /* FAULT, SPAWN_FAILED, SOCKET: for the user */
    uint32_t uid, gid;   /* SPAWNED */
    uint32_t terminal;   /* SPAWNED: 1: its master comes along */
    /* SPAWNED: values of variables that were added, or "". */
    char home[ACCOUNT_HOME_SIZE];
    char user[ACCOUNT_NAME_SIZE];
};

#endif
