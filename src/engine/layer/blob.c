/* blob.c: see blob.h. */
#define _GNU_SOURCE
#include "layer/blob.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include "store/garbage.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* Pieces of this size are written to the disk while more arrives, so that the
 * sync at the end is short. */
#define WRITE_OUT (8 << 20)

struct upload {
    int dir_fd, fd;
    EVP_MD_CTX *hash;
    int64_t size, max_bytes, written_out;
    bool broken;
};

/* "b/xx/xxxx..." of a hash in lower case. */
static void blob_path(const char *sha256, char out[80]) {
    snprintf(out, 80, "b/%.2s/%.64s", sha256, sha256);
}

struct upload *upload_begin(int dir_fd, int64_t max_bytes, struct fault *f) {
    struct upload *u = calloc(1, sizeof *u);
    if (!u) {
        fault_memory(f);
        return NULL;
    }
    u->dir_fd = dir_fd;
    u->max_bytes = max_bytes;
    /* A file without a name leaves nothing behind, however the engine ends. */
    u->fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);
    u->hash = EVP_MD_CTX_new();
    if (u->fd < 0)
        fault_errno(f, "making a file in the data directory");
    else if (!u->hash || !EVP_DigestInit_ex(u->hash, EVP_sha256(), NULL))
        fault_set(f, 500, "SHA-256 is not available");
    else
        return u;
    upload_abort(u);
    return NULL;
}

void upload_abort(struct upload *u) {
    if (!u)
        return;
    drop_fd(&u->fd);
    EVP_MD_CTX_free(u->hash);
    free(u);
}

/* Counts bytes that were written, and has the disk begin with them. */
static void advance(struct upload *u, int64_t length) {
    u->size += length;
    if (u->size - u->written_out >= WRITE_OUT) {
        /* Only a hint: the sync reports failures. */
        sync_file_range(u->fd, u->written_out, u->size - u->written_out,
                        SYNC_FILE_RANGE_WRITE);
        u->written_out = u->size;
    }
}

static int too_large(const struct upload *u, struct fault *f) {
    return fault_set(f, 413, "the file is larger than %lld bytes",
                     (long long)u->max_bytes);
}

static int append(struct upload *u, const void *data, size_t length,
                  struct fault *f) {
    if (length > (uint64_t)(u->max_bytes - u->size))
        return too_large(u, f);
    if (write_all(u->fd, data, length) < 0)
        return fault_errno(f, "writing an upload");
    if (!EVP_DigestUpdate(u->hash, data, length))
        return fault_set(f, 500, "SHA-256 failed");
    advance(u, (int64_t)length);
    return 0;
}

int upload_write(struct upload *u, const void *data, size_t length,
                 struct fault *f) {
    if (u->broken)
        return fault_set(f, 500, "the upload failed before");
    int result = append(u, data, length, f);
    u->broken = result < 0;
    return result;
}

/* ---- a copy of a file ---- */

enum { COPY_STEP = 4 << 20, HASH_STEP = 256 << 10 };

/* The hash of a copy, which a thread of its own makes behind the copying. */
struct pursuit {
    struct upload *u;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t news;
    int64_t copied; /* so many bytes are there to be hashed */
    bool complete;
    int error; /* errno of a failure, 0: none; read it after the thread */
};

/* Waits until more than `at` bytes are there; how many are. With no more to
 * come: `at`. */
static int64_t await_copy(struct pursuit *p, int64_t at) {
    pthread_mutex_lock(&p->lock);
    while (p->copied == at && !p->complete)
        pthread_cond_wait(&p->news, &p->lock);
    int64_t copied = p->copied;
    pthread_mutex_unlock(&p->lock);
    return copied;
}

static void *pursue(void *arg) {
    struct pursuit *p = arg;
    char *piece = malloc(HASH_STEP);
    int64_t at = 0, end;
    if (!piece)
        p->error = ENOMEM;
    while (!p->error && (end = await_copy(p, at)) > at)
        while (!p->error && at < end) {
            size_t most = end - at < HASH_STEP ? (size_t)(end - at) : HASH_STEP;
            ssize_t n = pread(p->u->fd, piece, most, at);
            if (n <= 0 || !EVP_DigestUpdate(p->u->hash, piece, (size_t)n))
                p->error = n < 0 ? errno : EIO;
            at += n > 0 ? n : 0;
        }
    free(piece);
    return NULL;
}

static void tell(struct pursuit *p, bool complete) {
    pthread_mutex_lock(&p->lock);
    p->copied = p->u->size;
    p->complete = complete;
    pthread_cond_signal(&p->news);
    pthread_mutex_unlock(&p->lock);
}

/* Not every pair of file systems has copy_file_range(). */
static ssize_t copy_step(int from, int to) {
    ssize_t n = copy_file_range(from, NULL, to, NULL, COPY_STEP, 0);
    if (n >= 0 || errno == EIO || errno == ENOSPC || errno == EDQUOT)
        return n;
    return sendfile(to, from, NULL, COPY_STEP);
}

static int copy_all(struct pursuit *p, int fd, const atomic_bool *cancelled,
                    struct fault *f) {
    struct upload *u = p->u;
    for (;;) {
        ssize_t n = copy_step(fd, u->fd);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(f, "copying an upload");
        if (n == 0)
            return 0;
        if (n > u->max_bytes - u->size)
            return too_large(u, f);
        if (*cancelled)
            return fault_set(f, 409, "the upload was cancelled");
        advance(u, n);
        tell(p, false);
    }
}

int upload_copy(struct upload *u, int fd, const atomic_bool *cancelled,
                struct fault *f) {
    struct pursuit p = {.u = u,
                        .lock = PTHREAD_MUTEX_INITIALIZER,
                        .news = PTHREAD_COND_INITIALIZER};
    bool beside = pthread_create(&p.thread, NULL, pursue, &p) == 0;
    int result = copy_all(&p, fd, cancelled, f);
    tell(&p, true);
    if (beside)
        pthread_join(p.thread, NULL);
    else if (result == 0)
        pursue(&p);
    if (result == 0 && p.error) {
        errno = p.error;
        result = fault_errno(f, "reading an upload");
    }
    u->broken = result < 0;
    return result;
}

/* ---- the end ---- */

static int finish_hash(struct upload *u, char out[65], struct fault *f) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    if (!EVP_DigestFinal_ex(u->hash, digest, &length) || length != 32)
        return fault_set(f, 500, "SHA-256 failed");
    for (unsigned int i = 0; i < length; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

static int make_directories(int dir_fd, const char *sha256, struct fault *f) {
    char path[8];
    snprintf(path, sizeof path, "b/%.2s", sha256);
    if (mkdirat(dir_fd, path, 0700) == 0 || errno == EEXIST)
        return 0;
    if (errno != ENOENT || (mkdirat(dir_fd, "b", 0700) < 0 && errno != EEXIST))
        return fault_errno(f, "making b");
    if (mkdirat(dir_fd, path, 0700) < 0 && errno != EEXIST)
        return fault_errno(f, "making %s", path);
    return 0;
}

/* True when a file of the right size is published under the hash. */
static bool is_published(struct upload *u, const char *path) {
    struct stat st;
    return fstatat(u->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(st.st_mode) && st.st_size == u->size;
}

/* Gives the file its name. A file that has this name is the same content from a
 * faster upload. If it is damaged, ours replaces it. */
static int link_content(struct upload *u, const char *from, const char *path) {
    for (bool again = true;; again = false) {
        if (linkat(AT_FDCWD, from, u->dir_fd, path, AT_SYMLINK_FOLLOW) == 0)
            return 0;
        if (errno == EEXIST && is_published(u, path))
            return 0;
        if (errno != EEXIST || !again || unlinkat(u->dir_fd, path, 0) < 0)
            return -1;
    }
}

/* Syncs the directories from b/xx up, new ones included. */
static int sync_directories(struct upload *u, const char *sha256,
                            struct fault *f) {
    char path[8];
    snprintf(path, sizeof path, "b/%.2s", sha256);
    const char *const names[] = {path, "b", "."};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int fd CLEANUP(cleanup_close) =
            openat(u->dir_fd, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
            return fault_errno(f, "syncing %s", names[i]);
    }
    return 0;
}

static int publish(struct upload *u, const char *sha256, struct fault *f) {
    char path[80], from[32];
    blob_path(sha256, path);
    snprintf(from, sizeof from, "/proc/self/fd/%d", u->fd);
    if (fdatasync(u->fd) < 0)
        return fault_errno(f, "syncing an upload");
    if (make_directories(u->dir_fd, sha256, f) < 0)
        return -1;
    if (link_content(u, from, path) < 0)
        return fault_errno(f, "publishing an upload");
    return sync_directories(u, sha256, f);
}

/* A file whose last name is gone cannot get another: the upload continues with
 * a copy. */
static int renew(struct upload *u, struct fault *f) {
    char piece[16384];
    ssize_t n;
    int fd CLEANUP(cleanup_close) =
        openat(u->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);
    if (fd < 0 || lseek(u->fd, 0, SEEK_SET) < 0)
        return fault_errno(f, "making a file in the data directory");
    while ((n = read_all(u->fd, piece, sizeof piece)) > 0)
        if (write_all(fd, piece, (size_t)n) < 0)
            return fault_errno(f, "writing an upload");
    if (n < 0)
        return fault_errno(f, "reading an upload");
    drop_fd(&u->fd);
    u->fd = steal_fd(&fd);
    return 0;
}

static int record(struct upload *u, struct store *s, const char *sha256,
                  struct stored_file *out, struct fault *f) {
    char path[80];
    blob_path(sha256, path);
    /* A row is written after its content is synced: with a row there is nothing
     * to do. */
    bool known = is_published(u, path) &&
                 store_file_by_sha256(s, sha256, out, NULL) == 0;
    if (!known && publish(u, sha256, f) < 0)
        return -1;
    if (store_file_add(s, sha256, u->size, out, f) < 0)
        return -1;
    /* From now on garbage collection spares the content. It may have taken it
     * just before. */
    if (!is_published(u, path) &&
        (renew(u, f) < 0 || publish(u, sha256, f) < 0))
        return -1;
    return store_sync(s, f);
}

/* A content by its name. */
struct content {
    int dir_fd;
    char path[80];
};

/* What could not be recorded does not fill the disk until garbage collection
 * comes. Another upload of the same content makes it again. */
static void remove_content(void *arg) {
    const struct content *c = arg;
    unlinkat(c->dir_fd, c->path, 0);
}

static int finish(struct upload *u, struct store *s, struct stored_file *out,
                  struct fault *f) {
    char sha256[65];
    struct content c = {.dir_fd = u->dir_fd};
    if (u->broken)
        return fault_set(f, 500, "the upload failed before");
    if (finish_hash(u, sha256, f) < 0)
        return -1;
    if (record(u, s, sha256, out, f) == 0)
        return 0;
    blob_path(sha256, c.path);
    store_unless_file(s, sha256, remove_content, &c, NULL);
    return -1;
}

int upload_finish(struct upload *u, struct store *s, struct stored_file *out,
                  struct fault *f) {
    int result = finish(u, s, out, f);
    upload_abort(u);
    return result;
}

int blob_open(int dir_fd, const char *sha256, struct fault *f) {
    char lower[65], path[80];
    size_t length = strlen(sha256);
    bool valid = length == 64;
    for (size_t i = 0; valid && i <= length; i++) {
        valid = i == length || isxdigit((unsigned char)sha256[i]);
        lower[i] = (char)tolower((unsigned char)sha256[i]);
    }
    if (!valid)
        return fault_set(f, 404, "no file %.64s", sha256);
    blob_path(lower, path);
    int fd = openat(dir_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return fault_set(f, 404, "no file %s", lower);
    return fd < 0 ? fault_errno(f, "opening file %s", lower) : fd;
}
