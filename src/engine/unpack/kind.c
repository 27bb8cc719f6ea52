/* kind.c: see kind.h. */
#define _GNU_SOURCE
#include "unpack/kind.h"
#include "base/descriptor.h"
#include "base/fd.h"
#include "base/scope.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANIFEST_MAX = 4 << 20 };

/* ---- directories ---- */

static bool has(int dir, const char *path, mode_t type) {
    struct stat st;
    int fd CLEANUP(cleanup_close) =
        open_scoped(dir, path, O_PATH | O_NOFOLLOW | O_CLOEXEC,
                    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
    return fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type;
}

static json_t *load(int dir, const char *name) {
    struct stat st;
    int fd CLEANUP(cleanup_close) =
        openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size > MANIFEST_MAX)
        return NULL;
    char *text CLEANUP(cleanup_free) = malloc((size_t)st.st_size + 1);
    ssize_t length = text ? read_all(fd, text, (size_t)st.st_size) : -1;
    return length < 0 ? NULL : json_loadb(text, (size_t)length, 0, NULL);
}

/* [{"Config": ..., "Layers": [...]}] */
static bool is_docker(int dir) {
    json_t *manifest = load(dir, "manifest.json");
    const json_t *first = json_array_get(manifest, 0);
    bool is = json_is_string(json_object_get(first, "Config")) &&
              json_is_array(json_object_get(first, "Layers"));
    json_decref(manifest);
    return is;
}

static bool is_root(int dir) {
    return has(dir, "usr", S_IFDIR) || has(dir, "bin", S_IFDIR) ||
           has(dir, "sbin", S_IFDIR) || has(dir, "etc", S_IFDIR);
}

/* Finds the only directory. False when there are more, or when it has a name
 * that is usual in a root file system. */
static bool find_only(int dir, char inner[NAME_MAX + 1]) {
    static const char usual[] = " boot dev home lib lib32 lib64 media mnt nix "
                                "opt proc root run srv sys tmp var ";
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    int found = 0;
    if (!d && fd >= 0)
        close_fd(fd);
    while (d && found < 2 && (e = readdir(d))) {
        char word[NAME_MAX + 3];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            !has(dir, e->d_name, S_IFDIR))
            continue;
        snprintf(word, sizeof word, " %s ", e->d_name);
        found += strstr(usual, word) ? 2 : 1;
        snprintf(inner, NAME_MAX + 1, "%s", e->d_name);
    }
    if (d)
        closedir(d);
    return found == 1;
}

static bool is_nested(int dir, char inner[NAME_MAX + 1]) {
    if (is_root(dir) || !find_only(dir, inner))
        return false;
    int fd CLEANUP(cleanup_close) =
        openat(dir, inner, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && has(fd, "etc", S_IFDIR) &&
           (has(fd, "usr", S_IFDIR) || has(fd, "bin", S_IFDIR));
}

enum tree_kind kind_of_tree(int dir, char inner[NAME_MAX + 1]) {
    *inner = 0;
    if (has(dir, "oci-layout", S_IFREG) && has(dir, "index.json", S_IFREG))
        return TREE_OCI;
    if (is_docker(dir))
        return TREE_DOCKER;
    if (has(dir, "version", S_IFREG) && has(dir, "manifest.json", S_IFREG) &&
        !is_root(dir))
        return TREE_DIR;
    return is_nested(dir, inner) ? TREE_NESTED : TREE_ROOT;
}

/* ---- files ---- */

static const struct {
    size_t at;
    const char *bytes;
    size_t length;
    const char *what;
} magics[] = {
#define MAGIC(at, bytes, what)                                                 \
    { at, bytes, sizeof(bytes) - 1, what }
    MAGIC(0, "PK\3\4", "a zip archive"),
    MAGIC(0, "PK\5\6", "a zip archive"),
    MAGIC(0, "7z\xbc\xaf\x27\x1c", "a 7z archive"),
    MAGIC(0, "Rar!", "a RAR archive"),
    MAGIC(0, "hsqs", "a squashfs (unpack it with unsquashfs)"),
    MAGIC(32, "SIF_MAGIC", "an image of Singularity or Apptainer"),
    MAGIC(0, "QFI\xfb", "a disk of a virtual machine (qcow2)"),
    MAGIC(0, "KDMV", "a disk of a virtual machine (VMDK)"),
    MAGIC(0, "vhdxfile", "a disk of a virtual machine (VHDX)"),
    MAGIC(0, "conectix", "a disk of a virtual machine (VHD)"),
    MAGIC(0, "<<< ", "a disk of a virtual machine (VDI)"),
    MAGIC(32769, "CD001", "an ISO image"),
    MAGIC(512, "EFI PART", "the image of a disk with partitions"),
    MAGIC(1080, "\x53\xef", "the image of an ext file system"),
    MAGIC(0, "XFSB", "the image of an XFS file system"),
    MAGIC(510, "\x55\xaa", "the image of a disk with partitions"),
    MAGIC(0, "!<arch>\n", "a Debian package or an ar archive"),
    MAGIC(0, "\xed\xab\xee\xdb", "an RPM package"),
    MAGIC(0, "070701", "a cpio archive"),
    MAGIC(0, "070702", "a cpio archive"),
    MAGIC(0, "070707", "a cpio archive"),
    MAGIC(0, "\xc7\x71", "a cpio archive"),
    MAGIC(0,
          "\x7f"
          "ELF",
          "a program"),
    MAGIC(0, "#!", "a script"),
    MAGIC(0, "%PDF", "a PDF"),
    MAGIC(0, "\x04\x22\x4d\x18", "compressed by lz4: decompress it first"),
    MAGIC(0, "LZIP", "compressed by lzip: decompress it first"),
    MAGIC(0, "\x1f\x9d", "compressed by compress: decompress it first"),
    MAGIC(0, "\x89LZO", "compressed by lzop: decompress it first"),
    MAGIC(0, "\x5d\0\0", "compressed by lzma: decompress it first"),
    MAGIC(0, "\x1f\x8b", "compressed data that is no tar inside"),
    MAGIC(0, "BZh", "compressed data that is no tar inside"),
    MAGIC(0,
          "\xfd"
          "7zXZ",
          "compressed data that is no tar inside"),
    MAGIC(0, "\x28\xb5\x2f\xfd", "compressed data that is no tar inside"),
    MAGIC(0, "{", "JSON: a manifest or an error, not an archive"),
    MAGIC(0, "[", "JSON, not an archive"),
    MAGIC(0, "<", "a web page or XML: a download that went wrong?"),
};

const char *kind_of_bytes(const void *data, size_t length) {
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (length >= magics[i].at + magics[i].length &&
            memcmp((const char *)data + magics[i].at, magics[i].bytes,
                   magics[i].length) == 0)
            return magics[i].what;
    return NULL;
}
