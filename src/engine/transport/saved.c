/* saved.c: files that other programs saved, by the scheme that a user gives;
 * see import.h. */
#define _GNU_SOURCE
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/scope.h"
#include "transport/import.h"
#include "transport/registry.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Split SCHEME:FILE[:NAME], of which `text` is a copy. */
static struct saved_archive split(char *text) {
    char *file = strchr(text, ':');
    *file++ = 0;
    char *name = strchr(file, ':');
    if (name)
        *name++ = 0;
    return (struct saved_archive){text, file, name};
}

/* Find out what an archive is that skopeo cannot read by its scheme; import it
 * as that, or say what it is. 1: unknown. */
static int import_misnamed(const struct importer *m,
                           const struct saved_archive *s,
                           const struct import_options *o, struct image *out,
                           struct fault *f) {
    struct import_options how = *o;
    struct fault why = {0};
    int fd CLEANUP(cleanup_close) =
        open(s->file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return 1;
    how.saved = true;
    how.file = s->file;
    how.name = s->name;
    int result = import_tar(m, fd, &how, out, &why);
    *f = result < 0 ? why : (struct fault){0};
    return result;
}

int import_saved(const struct importer *m, const char *source,
                 const struct import_options *o, struct image *out,
                 struct fault *f) {
    char *text CLEANUP(cleanup_free) = strdup(source);
    bool unreadable;
    if (!text)
        return fault_memory(f);
    const struct saved_archive s = split(text);
    if (registry_import_archive(m, &s, o, out, &unreadable, f) == 0)
        return 0;
    int other = unreadable ? import_misnamed(m, &s, o, out, f) : 1;
    return other == 1 ? -1 : other;
}
