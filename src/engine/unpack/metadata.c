/* metadata.c: see metadata.h. */
#define _GNU_SOURCE
#include "unpack/metadata.h"
#include <archive_entry.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_ATTRIBUTE 65536

static int shift_id(struct unpack *u, const char *name, int64_t id,
                    uint32_t *out) {
    *out = u->o->ids.base;
    if (u->o->ids.count == 1)
        return 0;
    if (id < 0 || id >= u->o->ids.count)
        return fault_set(u->f, 422,
                         "'" NAME "' belongs to id %lld: this engine has ids 0 "
                         "to %u; " IDS_FIX,
                         name, (long long)id, u->o->ids.count - 1);
    *out += (uint32_t)id;
    return 0;
}

int entry_owner(struct unpack *u, const char *name, struct archive_entry *e,
                uid_t *uid, gid_t *gid) {
    if (shift_id(u, name, archive_entry_uid(e), uid) < 0)
        return -1;
    return shift_id(u, name, archive_entry_gid(e), gid);
}

void entry_times(struct archive_entry *e, struct timespec out[2]) {
    struct timespec t = {.tv_sec = archive_entry_mtime(e),
                         .tv_nsec = archive_entry_mtime_nsec(e)};
    /* libarchive reads -1.5 as -1 seconds and 500,000,000 nanoseconds. */
    if (t.tv_sec < 0 && t.tv_nsec > 0 && t.tv_nsec < 1000000000 &&
        t.tv_sec > INT64_MIN) {
        t.tv_sec--;
        t.tv_nsec = 1000000000 - t.tv_nsec;
    }
    out[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
    out[1] = out[0];
    if (archive_entry_mtime_is_set(e) && t.tv_nsec >= 0 &&
        t.tv_nsec < 1000000000)
        out[1] = t;
}

/* Stores a file capability of version 3, which names the root id that it is
 * for: so it is in force for the sandbox's root only, never on the host. */
static int set_capability(int fd, const void *value, size_t size, uid_t base) {
    struct vfs_ns_cap_data cap = {0};
    if (size != XATTR_CAPS_SZ_2 && size != XATTR_CAPS_SZ_3)
        return -1;
    memcpy(&cap, value, XATTR_CAPS_SZ_2);
    uint32_t magic = le32toh(cap.magic_etc);
    if ((magic & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_2 &&
        (magic & VFS_CAP_REVISION_MASK) != VFS_CAP_REVISION_3)
        return -1;
    cap.magic_etc =
        htole32(VFS_CAP_REVISION_3 | (magic & VFS_CAP_FLAGS_EFFECTIVE));
    cap.rootid = htole32(base);
    return fsetxattr(fd, "security.capability", &cap, sizeof cap, 0);
}

static int set_attribute(struct unpack *u, int fd, const char *name,
                         const void *value, size_t size) {
    if (size > MAX_ATTRIBUTE)
        return -1;
    if (strcmp(name, "security.capability") == 0)
        return set_capability(fd, value, size, u->o->ids.base);
    if (strncmp(name, "user.", 5) != 0)
        return -1;
    /* With overlay's own attributes an archive could hide or redirect lower
     * files. */
    if (strncmp(name, "user.overlay.", 13) == 0)
        return -1;
    return fsetxattr(fd, name, value, size, 0);
}

static int set_attributes(struct unpack *u, int fd, struct archive_entry *e) {
    const char *name;
    const void *value;
    size_t size;
    archive_entry_xattr_reset(e);
    while (archive_entry_xattr_next(e, &name, &value, &size) == ARCHIVE_OK) {
        if (unpack_count_bytes(u, size) < 0)
            return -1;
        if (set_attribute(u, fd, name, value, size) < 0)
            u->result->skipped++;
    }
    return 0;
}

/* The owner comes first: chown removes set-id bits and capabilities. */
int set_metadata(struct unpack *u, int fd, const char *name,
                 struct archive_entry *e) {
    uid_t uid;
    gid_t gid;
    if (entry_owner(u, name, e, &uid, &gid) < 0)
        return -1;
    if (fchown(fd, uid, gid) < 0)
        return unpack_failed(u, "giving an owner to", name);
    if (set_attributes(u, fd, e) < 0)
        return -1;
    if (fchmod(fd, archive_entry_perm(e) & 07777) < 0)
        return unpack_failed(u, "setting the mode of", name);
    return 0;
}
