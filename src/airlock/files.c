/* files.c: see files.h. */
#define _GNU_SOURCE
#include "airlock/files.h"
#include "base/descriptor.h"
#include "base/scope.h"
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What Landlock's first version knows; later ones only add to what is
 * forbidden, and the system call filter has that. */
enum { READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR };
static const uint64_t handled =
    READ | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
    LANDLOCK_ACCESS_FS_MAKE_SYM;

/* Configuration, plugins of the C library, their sockets and caches, and the
 * stores of systems that keep all of this elsewhere. */
static const char *const directories[] = {
    "/etc", "/usr", "/lib", "/lib64", "/run", "/var", "/nix", "/gnu",
};

/* Ones that are not there cannot be opened anyway. */
static void allow(int rules, const char *path) {
    int fd CLEANUP(cleanup_close) = open(path, O_PATH | O_CLOEXEC);
    struct landlock_path_beneath_attr rule = {.allowed_access = READ,
                                              .parent_fd = fd};
    if (fd >= 0)
        syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule,
                0);
}

/* It may be a link to anywhere. */
static void allow_directory_of(int rules, const char *path) {
    char *real CLEANUP(cleanup_free) = realpath(path, NULL);
    char *slash = real ? strrchr(real, '/') : NULL;
    if (!slash || slash == real)
        return;
    *slash = '\0';
    allow(rules, real);
}

/* The engine's user may keep authorities elsewhere (channel_verifier()).
 * OpenSSL opens their files when it meets a certificate. */
static void allow_authorities(int rules) {
    const char *given = getenv("SSL_CERT_DIR");
    char *all CLEANUP(cleanup_free) = given ? strdup(given) : NULL;
    for (char *rest = all, *path; (path = strsep(&rest, ":"));)
        allow(rules, path);
}

void files_confine(void) {
    const struct landlock_ruleset_attr all = {.handled_access_fs = handled};
    int rules CLEANUP(cleanup_close) =
        (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (rules < 0)
        return;
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        allow(rules, directories[i]);
    allow_directory_of(rules, "/etc/resolv.conf");
    allow_authorities(rules);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        syscall(SYS_landlock_restrict_self, rules, 0);
}
