/* pax.c: what is written as PAX, libarchive reads as the same member: name,
 * type, mode, owner, time, target, attribute and content. */
#define _GNU_SOURCE
#include "base/pax.h"
#include "../input.h"
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/mman.h>
#include <unistd.h>

struct member {
    struct stat st;
    char *name, *target, *attribute, *content;
    size_t length; /* of the content */
};

static struct member read_member(struct input *in) {
    static const mode_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO};
    struct member m = {0};
    m.st.st_uid = (uid_t)input_number(in, 4);
    m.st.st_gid = (gid_t)input_number(in, 4);
    m.st.st_mtim.tv_sec = (time_t)((int64_t)input_number(in, 5) - (1LL << 38));
    m.st.st_mtim.tv_nsec = (long)input_number(in, 1) * 3906250;
    m.st.st_mode = (mode_t)input_number(in, 2) & 07777;
    m.st.st_mode |= types[input_byte(in) % 4];
    m.name = input_text(in, '\n');
    m.target = input_text(in, '\n');
    m.attribute = input_text(in, '\n');
    m.content = input_rest(in, &m.length);
    if (S_ISREG(m.st.st_mode))
        m.st.st_size = (off_t)m.length;
    return m;
}

/* A name as a walk of a directory gives it. */
static bool is_path(const char *name) {
    size_t length = strlen(name);
    return length > 0 && length < 4000 && *name != '/' &&
           name[length - 1] != '/' && !strstr(name, "//");
}

static bool write_member(int fd, const struct member *m) {
    struct pax *p = malloc(sizeof *p);
    struct buffer attributes;
    bool link = S_ISLNK(m->st.st_mode), ok = p;
    buffer_init(&attributes, 1 << 20);
    if (p)
        pax_begin(p, fd);
    if (*m->attribute)
        ok = ok &&
             pax_attribute(&attributes, m->attribute, m->content, m->length);
    const struct pax_member member = {.name = m->name,
                                      .st = &m->st,
                                      .symlink = link ? m->target : NULL,
                                      .attributes = &attributes};
    ok = ok && pax_member(p, &member) == 0;
    if (ok && S_ISREG(m->st.st_mode))
        ok = pax_data(p, m->content, m->length) == 0 &&
             pax_pad(p, (int64_t)m->length) == 0;
    ok = ok && pax_end(p) == 0;
    buffer_free(&attributes);
    free(p);
    return ok;
}

static void check_attribute(struct archive_entry *e, const struct member *m) {
    const char *name;
    const void *value;
    size_t size;
    HOLDS(archive_entry_xattr_reset(e) == 1);
    HOLDS(archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK);
    HOLDS(strcmp(name, m->attribute) == 0);
    HOLDS(size == m->length && memcmp(value, m->content, size) == 0);
}

static void check_content(struct archive *a, const struct member *m) {
    char *got = malloc(m->length + 1);
    HOLDS(got);
    HOLDS(archive_read_data(a, got, m->length + 1) == (la_ssize_t)m->length);
    HOLDS(memcmp(got, m->content, m->length) == 0);
    free(got);
}

static void read_back(int fd, const struct member *m) {
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    size_t length = strlen(m->name);
    HOLDS(lseek(fd, 0, SEEK_SET) == 0 &&
          archive_read_support_format_tar(a) == ARCHIVE_OK &&
          archive_read_open_fd(a, fd, 10240) == ARCHIVE_OK);
    HOLDS(archive_read_next_header(a, &e) >= ARCHIVE_WARN);
    const char *name = archive_entry_pathname(e);
    HOLDS(name && strncmp(name, m->name, length) == 0);
    HOLDS(!name[length] || strcmp(name + length, "/") == 0);
    HOLDS((archive_entry_filetype(e) ^ m->st.st_mode) % (S_IFMT + 1) >> 12 ==
          0);
    HOLDS((archive_entry_perm(e) ^ m->st.st_mode) % 010000 == 0);
    HOLDS((uid_t)archive_entry_uid(e) == m->st.st_uid);
    HOLDS((gid_t)archive_entry_gid(e) == m->st.st_gid);
    /* libarchive reads -1.5 as half a second before 1970. */
    if (m->st.st_mtim.tv_sec >= 0 || m->st.st_mtim.tv_nsec == 0) {
        HOLDS(archive_entry_mtime(e) == m->st.st_mtim.tv_sec);
        HOLDS(archive_entry_mtime_nsec(e) == m->st.st_mtim.tv_nsec);
    }
    if (S_ISLNK(m->st.st_mode))
        HOLDS(strcmp(archive_entry_symlink(e), m->target) == 0);
    if (*m->attribute)
        check_attribute(e, m);
    if (S_ISREG(m->st.st_mode))
        check_content(a, m);
    HOLDS(archive_read_next_header(a, &e) == ARCHIVE_EOF);
    archive_read_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int fd = -1; /* used again */
    struct input in = {data, size};
    if (fd < 0) {
        fd = memfd_create("pax", MFD_CLOEXEC);
        HOLDS(fd >= 0 && setlocale(LC_CTYPE, "C.UTF-8"));
    }
    struct member m = read_member(&in);
    /* libarchive takes "=" in the name of an attribute for its end. */
    bool fits =
        is_path(m.name) && strlen(m.attribute) <= 255 &&
        !strchr(m.attribute, '=') &&
        (!S_ISLNK(m.st.st_mode) || (*m.target && strlen(m.target) < 4000));
    HOLDS(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    if (fits) {
        HOLDS(write_member(fd, &m));
        read_back(fd, &m);
    }
    free(m.name);
    free(m.target);
    free(m.attribute);
    free(m.content);
    return 0;
}
