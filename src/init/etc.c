#define _GNU_SOURCE
#include "init/etc.h"
#include "init/protocol.h"
#include "init/put.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The directory of the stage in which they are made. */
#define WHERE "etc"
static const struct {
    uint32_t bit;
    const char *name;
} files[] = {{ETC_HOSTS, "hosts"},
             {ETC_HOSTNAME, "hostname"},
             {ETC_RESOLV_CONF, "resolv.conf"}};

int etc_prepare(struct failure *f) {
    if (mount("etc", WHERE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "mode=755,size=1m,nr_inodes=16") < 0)
        return fail_errno(f, "cannot mount a tmpfs for /etc");
    return 0;
}

/* ---- text ---- */

static int write_file(const char *name, const char *text, struct failure *f) {
    char path[32];
    size_t length = strlen(text);
    snprintf(path, sizeof path, WHERE "/%s", name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    /* Whatever the umask is. */
    int rc = fd >= 0 && write(fd, text, length) == (ssize_t)length
                 ? fchmod(fd, 0644)
                 : -1;
    if (rc < 0)
        fail_errno(f, "cannot make /etc/%s", name);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Has the loopback interface an IPv6 address? Some kernels have no IPv6. */
static bool has_ipv6(void) {
    const struct sockaddr_in6 address = {.sin6_family = AF_INET6,
                                         .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 &&
               bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

/* "box.example.org box": so that both names resolve. */
static void name_host(const char *hostname, char *out, size_t size) {
    int label = (int)strcspn(hostname, ".");
    if (label > 0 && hostname[label])
        snprintf(out, size, "%s %.*s", hostname, label, hostname);
    else
        snprintf(out, size, "%s", hostname);
}

/* The first line of an address is its name in reverse lookups: so the sandbox's
 * own name stands before ip6-localhost. */
static int write_hosts(const char *hostname, struct failure *f) {
    char own[160], text[768] = "127.0.0.1\tlocalhost\n";
    bool six = has_ipv6(), named = strcasecmp(hostname, "localhost") != 0;
    size_t n = strlen(text);
    name_host(hostname, own, sizeof own);
    if (named)
        n += snprintf(text + n, sizeof text - n, "127.0.0.1\t%s\n", own);
    if (named && six)
        n += snprintf(text + n, sizeof text - n, "::1\t%s\n", own);
    if (six)
        snprintf(text + n, sizeof text - n,
                 "::1\tlocalhost ip6-localhost ip6-loopback\n"
                 "ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
    return write_file("hosts", text, f);
}

/* 10.0.2.3 is the name server of slirp4netns. Without a network a resolver
 * should give up soon. */
static int write_resolv_conf(bool connected, struct failure *f) {
    return write_file("resolv.conf",
                      connected ? "nameserver 10.0.2.3\n"
                                : "# this sandbox has no network\n"
                                  "options timeout:1 attempts:1\n",
                      f);
}

static int write_files(const struct root_spec *spec, struct failure *f) {
    char line[80];
    snprintf(line, sizeof line, "%.64s\n", spec->hostname);
    if (write_hosts(spec->hostname, f) < 0 ||
        write_file("hostname", line, f) < 0)
        return -1;
    return write_resolv_conf(spec->connected, f);
}

/* ---- mounts ---- */

/* Opens `name` to mount over it. A link is covered itself, not its target. If
 * nothing is there an empty file is made; most images have one of ours in a
 * layer below (layer/layers.h). */
static int open_place(int dir, const char *name, struct failure *f) {
    struct stat st;
    int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        fd = openat(dir, name,
                    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail_errno(f, "cannot make room for /etc/%s", name);
    if (!S_ISDIR(st.st_mode))
        return fd;
    close(fd);
    return fail(f, 422,
                "the image's /etc/%s is a directory, where the sandbox's own "
                "file goes. Fix: remove it from the image",
                name);
}

static int place(int dir, const char *name, struct failure *f) {
    char path[32];
    int target = open_place(dir, name, f);
    if (target < 0)
        return -1;
    snprintf(path, sizeof path, WHERE "/%s", name);
    int tree = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    int rc =
        tree < 0
            ? -1
            : move_mount(tree, "", target, "",
                         MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
    if (rc < 0)
        fail_errno(f, "cannot mount /etc/%s", name);
    if (tree >= 0)
        close(tree);
    close(target);
    return rc;
}

int etc_place(int root, const struct root_spec *spec, struct failure *f) {
    if (spec->image_etc == ETC_ALL)
        return 0;
    int dir = put_open(root, "etc", O_PATH | O_DIRECTORY, 0);
    if (dir < 0) {
        /* No directory: then no program can find a file in it. */
        if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
            return 0;
        return fail_errno(f, "cannot open the image's /etc");
    }
    int rc = write_files(spec, f);
    for (size_t i = 0; rc == 0 && i < sizeof files / sizeof *files; i++)
        if (!(spec->image_etc & files[i].bit))
            rc = place(dir, files[i].name, f);
    close(dir);
    return rc;
}
