/* disk_log.c: a disk that remembers: `disk_log IMAGE LOG DIRECTORY` mounts a
 * file system on DIRECTORY with the file `disk`, whose content is that of
 * IMAGE, to be used through a loop device. What is written to it, and when it
 * is flushed, is appended to LOG, so that a power cut at any moment can be made
 * of it later (disk_cut.py). What is written to the file `mark` goes to LOG,
 * too. It stays in the foreground until it is unmounted.
 *
 * LOG is a list of records: a letter ('w', 'f' or 'm'), and in little endian
 * the offset and the length (8 bytes each), then so many bytes. */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* libfuse has no argument for all callbacks that would be simpler. */
static int image = -1, log_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

enum { DISK = 1, MARK = 2 };

static int which(const char *path) {
    return strcmp(path, "/disk") == 0   ? DISK
           : strcmp(path, "/mark") == 0 ? MARK
                                        : 0;
}

static int put(const void *data, size_t length) {
    return write(log_fd, data, length) == (ssize_t)length ? 0 : -EIO;
}

static int note(char kind, int64_t offset, const void *data, size_t length) {
    char head[17];
    int64_t size = (int64_t)length;
    head[0] = kind;
    memcpy(head + 1, &offset, 8);
    memcpy(head + 9, &size, 8);
    pthread_mutex_lock(&lock);
    int result = put(head, sizeof head);
    if (result == 0 && length)
        result = put(data, length);
    pthread_mutex_unlock(&lock);
    return result;
}

static int get_attributes(const char *path, struct stat *st,
                          struct fuse_file_info *info) {
    struct stat real;
    (void)info;
    memset(st, 0, sizeof *st);
    if (strcmp(path, "/") == 0) {
        st->st_mode = S_IFDIR | 0700;
        st->st_nlink = 2;
        return 0;
    }
    if (!which(path))
        return -ENOENT;
    st->st_mode = S_IFREG | 0600;
    st->st_nlink = 1;
    if (which(path) == DISK && fstat(image, &real) == 0) {
        st->st_size = real.st_size;
        st->st_blocks = real.st_size / 512;
    }
    return 0;
}

/* Each read and write comes here, whole and in order. */
static int open_file(const char *path, struct fuse_file_info *info) {
    info->direct_io = 1;
    return which(path) ? 0 : -ENOENT;
}

static int read_file(const char *path, char *out, size_t size, off_t offset,
                     struct fuse_file_info *info) {
    (void)info;
    if (which(path) != DISK)
        return 0;
    ssize_t n = pread(image, out, size, offset);
    return n < 0 ? -errno : (int)n;
}

static int write_file(const char *path, const char *data, size_t size,
                      off_t offset, struct fuse_file_info *info) {
    (void)info;
    if (which(path) == MARK)
        return note('m', 0, data, size) < 0 ? -EIO : (int)size;
    if (pwrite(image, data, size, offset) != (ssize_t)size ||
        note('w', offset, data, size) < 0)
        return -EIO;
    return (int)size;
}

static int flush_file(const char *path, int data_only,
                      struct fuse_file_info *info) {
    (void)data_only;
    (void)info;
    return which(path) == DISK ? note('f', 0, NULL, 0) : 0;
}

static int truncate_file(const char *path, off_t size,
                         struct fuse_file_info *info) {
    (void)size;
    (void)info;
    return which(path) == MARK ? 0 : -EPERM;
}

static const struct fuse_operations operations = {.getattr = get_attributes,
                                                  .open = open_file,
                                                  .read = read_file,
                                                  .write = write_file,
                                                  .fsync = flush_file,
                                                  .truncate = truncate_file};

int main(int argc, char **argv) {
    if (argc != 4) {
        fputs("usage: disk_log IMAGE LOG DIRECTORY\n", stderr);
        return 2;
    }
    image = open(argv[1], O_RDWR | O_CLOEXEC);
    log_fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (image < 0 || log_fd < 0) {
        perror("disk_log");
        return 2;
    }
    char *arguments[] = {argv[0], "-f", "-s", argv[3], NULL};
    return fuse_main(4, arguments, &operations, NULL);
}
