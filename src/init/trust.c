#define _GNU_SOURCE
#include "init/trust.h"
#include "init/keystore.h"
#include "init/protocol.h"
#include "init/put.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where distributions keep them. */
static const char *const bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
    "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
    "/etc/ssl/ca-bundle.pem",             /* SUSE */
    "/etc/ssl/cert.pem",                  /* others */
};
/* A larger one is none. */
enum { BUNDLE_MAX = 8 << 20 };

/* The image's author may have put anything there: only a regular file is read,
 * and its length alone. -1: there is none. */
static int open_bundle(int root, const char *path) {
    struct stat st;
    int fd = put_open(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
        st.st_size <= BUNDLE_MAX)
        return fd;
    close(fd);
    return -1;
}

static int find_bundle(void) {
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
    for (size_t i = 0;
         root >= 0 && fd < 0 && i < sizeof bundles / sizeof *bundles; i++)
        fd = open_bundle(root, bundles[i]);
    if (root >= 0)
        close(root);
    return fd;
}

static int append(int to, int from) {
    char block[16384];
    size_t left = BUNDLE_MAX;
    for (ssize_t got; left > 0; left -= (size_t)got) {
        size_t most = left < sizeof block ? left : sizeof block;
        got = read(from, block, most);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR) {
            got = 0;
            continue;
        }
        if (got < 0 || write(to, block, (size_t)got) != got)
            return -1;
    }
    return 0;
}

/* Ours first: the image's may be cut off, and spoil what follows. */
static int write_all(int to, int bundle, int certificate) {
    if (append(to, certificate) < 0 || write(to, "\n", 1) != 1 ||
        (bundle >= 0 && append(to, bundle) < 0))
        return -1;
    return lseek(to, 0, SEEK_SET) < 0 ? -1 : 0;
}

static int put_text(const char *path, const char *text, struct failure *f) {
    const struct put_spec p = {.path = path, .mode = 0444};
    ssize_t length = (ssize_t)strlen(text);
    int fd = memfd_create("trust", MFD_CLOEXEC);
    int rc = fd < 0 || write(fd, text, (size_t)length) != length ||
                     lseek(fd, 0, SEEK_SET) < 0
                 ? fail_errno(f, "cannot write the certificates")
                 : put_file(&p, fd, f);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int read_all(int fd, char *text, size_t length) {
    for (size_t at = 0; at < length;) {
        ssize_t got = pread(fd, text + at, length - at, (off_t)at);
        if (got == 0 || (got < 0 && errno != EINTR))
            return -1;
        at += got > 0 ? (size_t)got : 0;
    }
    text[length] = '\0';
    return 0;
}

/* A keystore of the certificates in `all`, for Java. */
static int convert(int all, int to) {
    off_t length = lseek(all, 0, SEEK_END);
    char *text = length < 0 ? NULL : malloc((size_t)length + 1);
    int rc = text && read_all(all, text, (size_t)length) == 0
                 ? keystore_write(to, text, (size_t)length)
                 : -1;
    free(text);
    return rc < 0 || lseek(to, 0, SEEK_SET) < 0 ? -1 : 0;
}

static int put_keystore(int all, struct failure *f) {
    const struct put_spec p = {.path = TRUST_JAVA, .mode = 0444};
    int fd = memfd_create("trust", MFD_CLOEXEC);
    int rc = fd < 0 || convert(all, fd) < 0
                 ? fail_errno(f, "cannot write the certificates")
                 : put_file(&p, fd, f);
    if (fd >= 0)
        close(fd);
    return rc;
}

int trust_also(int certificate, struct failure *f) {
    const struct put_spec p = {.path = TRUST_PATH, .mode = 0444};
    int bundle = find_bundle(), all = memfd_create("trust", MFD_CLOEXEC);
    int rc = all < 0 || write_all(all, bundle, certificate) < 0
                 ? fail_errno(f, "cannot write the certificates")
                 : put_file(&p, all, f);
    if (rc == 0)
        rc = put_keystore(all, f);
    if (all >= 0)
        close(all);
    if (bundle >= 0)
        close(bundle);
    if (rc < 0 ||
        put_text(TRUST_WGET, "ca_certificate = " TRUST_PATH "\n", f) < 0)
        return -1;
    return put_text(TRUST_APT, "Acquire::https::CaInfo \"" TRUST_PATH "\";\n",
                    f);
}
