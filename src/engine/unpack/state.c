/* state.c: see state.h. */
#include "unpack/state.h"
#include <string.h>

#define MAX_BYTES (12LL << 30)
#define MAX_ENTRIES 2000000
/* No honest layer shrinks better than this once it is past the first part. */
#define MAX_RATIO 2000
#define RATIO_FROM (256LL << 20)
/* So much is unpacked between two calls of o->advanced(). */
#define ADVANCE (24LL << 20)
#define ENTRY_COST 8192

int unpack_refuse(struct unpack *u, const char *name, const char *why) {
    return fault_set(u->f, 422, "bad archive: '" NAME "' %s", name, why);
}

int unpack_failed(struct unpack *u, const char *doing, const char *name) {
    return fault_errno(u->f, "%s '" NAME "'", doing, name);
}

bool unpack_must_stop(struct unpack *u) {
    if (deadline_check(&u->o->deadline, "the archive", u->f) == 0)
        return false;
    u->stopped = true;
    return true;
}

/* A small file costs the disk about as much as 8 KiB more of a large one. */
static void tell_advance(struct unpack *u) {
    const struct unpack_result *r = u->result;
    int64_t more =
        r->bytes - u->told_bytes + (r->entries - u->told_entries) * ENTRY_COST;
    if (more < ADVANCE || !u->o->advanced)
        return;
    u->told_bytes = r->bytes;
    u->told_entries = r->entries;
    u->o->advanced(u->o->advanced_arg);
}

int unpack_count_entry(struct unpack *u) {
    int64_t most = u->o->max_entries ? u->o->max_entries : MAX_ENTRIES;
    if (++u->result->entries > most)
        return fault_set(u->f, 413, "the archive has more than %lld entries",
                         (long long)most);
    return unpack_must_stop(u) ? -1 : 0;
}

int64_t unpack_max_bytes(const struct unpack *u) {
    return u->o->max_bytes ? u->o->max_bytes : MAX_BYTES;
}

int unpack_count_bytes(struct unpack *u, uint64_t more) {
    int64_t left = unpack_max_bytes(u) - u->result->bytes;
    if (more > (uint64_t)left)
        return fault_set(u->f, 413, "the archive holds more than %lld bytes",
                         (long long)unpack_max_bytes(u));
    u->result->bytes += (int64_t)more;
    tell_advance(u);
    int64_t in = archive_filter_bytes(u->a, -1);
    if (u->result->bytes > RATIO_FROM && u->result->bytes / MAX_RATIO > in)
        return fault_set(u->f, 413,
                         "the archive grows more than %d times: refused as a "
                         "decompression bomb",
                         MAX_RATIO);
    return 0;
}

int path_append(struct unpack *u, char path[PATH_MAX], const char *name) {
    size_t used = strlen(path), length = strlen(name);
    if (length > NAME_MAX || used + length + 2 > PATH_MAX)
        return unpack_refuse(u, name, "leads to too long a name");
    if (used)
        path[used++] = '/';
    memcpy(path + used, name, length + 1);
    return 0;
}
