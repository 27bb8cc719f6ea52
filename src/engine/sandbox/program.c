#define _GNU_SOURCE
#include "sandbox/program.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include <fcntl.h>
#include <sys/mman.h>

/* init_blob.S, airlock_blob.S */
extern const char contree_init_begin[], contree_init_end[];
extern const char contree_airlock_begin[], contree_airlock_end[];

static int unpack(const char *name, const char *begin, const char *end,
                  struct fault *f) {
    int fd CLEANUP(cleanup_close) =
        memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write_all(fd, begin, (size_t)(end - begin)) < 0)
        return fault_errno(f, "cannot unpack %s", name);
    if (fcntl(fd, F_ADD_SEALS,
              F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
        return fault_errno(f, "cannot seal %s", name);
    return steal_fd(&fd);
}

int program_unpack_init(struct fault *f) {
    return unpack("contree-init", contree_init_begin, contree_init_end, f);
}

int program_unpack_airlock(struct fault *f) {
    return unpack("contree-airlock", contree_airlock_begin, contree_airlock_end,
                  f);
}
