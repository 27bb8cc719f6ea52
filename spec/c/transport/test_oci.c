/* test_oci.c: images from OCI layouts and registries. */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/uuid.h"
#include "importing.h"
#include "layer/trash.h"
#include "transport/registry.h"
#include "unpack/child.h"
#include "view/view.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

struct env {
    struct temp_dir d;    /* the engine's data directory */
    struct temp_dir from; /* the layout is from/oci */
    struct importer m;
    struct import_options o;
    const char *name;   /* the image's, in the layout */
    struct image image; /* the last one imported */
};

static struct env make_env(void) {
    struct env e = {.d = temp_dir_make(), .from = temp_dir_make()};
    CHECK(open_importer(&e.m, &e.d, usual_ids));
    return e;
}

static void end_env(struct env *e) {
    image_clear(&e->image);
    close_importer(&e->m);
    temp_dir_remove(&e->d);
    temp_dir_remove(&e->from);
}

/* Two layers: one with files, one that changes them. */
#define SAMPLE                                                                 \
    "mkdir -p one/etc one/opq two/etc two/opq; echo 1 > one/etc/kept; "        \
    "echo 2 > one/etc/gone; echo 3 > one/opq/old; : > two/etc/.wh.gone; "      \
    ": > two/opq/.wh..wh..opq; echo 4 > two/opq/new; "                         \
    "tree one | gzip -n > 1.tgz; tree two > 2.tar; "

static int import(struct env *e, struct fault *f) {
    struct image i;
    *f = (struct fault){0};
    int dir = openat(e->from.fd, "oci", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = import_layout(&e->m, dir, e->name, &e->o, &i, f);
    close(dir);
    if (result < 0)
        return f->status;
    image_clear(&e->image);
    e->image = i;
    return 0;
}

static int layer_count(const struct env *e) {
    char line[100];
    int count = -1;
    snprintf(line, sizeof line, "ls %s/l | wc -l", e->d.path);
    FILE *p = popen(line, "r");
    if (fscanf(p, "%d", &count) != 1)
        count = -1;
    pclose(p);
    return count - 2; /* without the skeletons of images and of sandboxes */
}

/* Whether the last image has the path. */
static bool has(struct env *e, const char *path) {
    struct fault f;
    struct item item;
    int64_t *ids = NULL;
    size_t count = 0;
    CHECK(store_layer_chain(e->m.store, e->image.layer, &ids, &count, &f) == 0);
    struct view *v = view_open(e->d.fd, ids, count, e->m.ids, &f);
    bool found = v && inspect_stat(v, path, false, &item, &f) == 0;
    view_close(v);
    free(ids);
    return found;
}

static void layers(void) {
    struct env e = make_env();
    struct fault f;
    char first[UUID_SIZE];
    e.o.tag = "two:layers";
    make_layout(&e.from, SAMPLE "cwd=/opq/; layer 1.tgz; layer 2.tar; finish "
                                "PATH=/opt/bin:/bin 'A=b=\\u00e9' bad =x");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_STRING(f.message, "");
    CHECK_STRING(e.image.env,
                 "{\"A\":\"b=\xc3\xa9\",\"PATH\":\"/opt/bin:/bin\"}");
    CHECK_STRING(e.image.cwd, "/opq");
    CHECK_STRING(e.image.tag, "two:layers");
    CHECK_NUMBER(e.image.size, 8);
    CHECK(has(&e, "/etc/kept") && has(&e, "/opq/new"));
    CHECK(!has(&e, "/etc/gone") && !has(&e, "/opq/old"));
    CHECK_NUMBER(layer_count(&e), 2);
    /* Of another image only the layers that it does not share are unpacked. */
    memcpy(first, e.image.uuid, UUID_SIZE);
    int64_t top = e.image.layer;
    make_layout(&e.from, "mkdir three; echo 5 > three/x; tree three > 3.tar; "
                         "layer 1.tgz; layer 3.tar; finish");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK(e.image.env == NULL && e.image.cwd == NULL);
    CHECK_NUMBER(layer_count(&e), 3);
    CHECK(has(&e, "/etc/gone") && has(&e, "/x") && !has(&e, "/opq/new"));
    CHECK(strcmp(e.image.uuid, first) != 0);
    image_clear(&e.image);
    CHECK_NUMBER(store_image_by_tag(e.m.store, "two:layers", &e.image, &f), 0);
    CHECK(strcmp(e.image.uuid, first) != 0);
    /* The same layers under another config. */
    make_layout(&e.from, "layer 1.tgz; layer 2.tar; finish B=1");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_NUMBER(e.image.layer, top);
    CHECK_STRING(e.image.env, "{\"B\":\"1\"}");
    CHECK_NUMBER(layer_count(&e), 3);
    /* What unpacks a layer may be taken over by it, and say that it had any
     * content. So the same content in another blob is another layer. */
    make_layout(&e.from, "gzip -dc 1.tgz | zstd -q > 1.zst; layer 1.zst; "
                         "layer 2.tar; finish");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK(e.image.layer != top);
    CHECK(has(&e, "/etc/kept") && has(&e, "/opq/new"));
    CHECK_NUMBER(layer_count(&e), 5);
    /* On top of another layer it is not the same layer. */
    make_layout(&e.from, "layer 3.tar; layer 1.tgz; finish");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_NUMBER(layer_count(&e), 7);
    /* A layer whose directory is gone is unpacked again. */
    CHECK(shell("rm -r %s/l/%lld", e.d.path, (long long)e.image.layer));
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_NUMBER(layer_count(&e), 7);
    CHECK(has(&e, "/etc/gone"));
    end_env(&e);
}

static void again(void) {
    struct env e = make_env();
    struct fault f;
    char first[UUID_SIZE], second[UUID_SIZE];
    make_layout(&e.from, SAMPLE "layer 1.tgz; finish A=1");
    CHECK_NUMBER(import(&e, &f), 0);
    memcpy(first, e.image.uuid, UUID_SIZE);
    /* An image without a tag gets the tag of the import. */
    for (int i = 0; i < 2; i++) {
        e.o.tag = i ? "a" : NULL;
        CHECK_NUMBER(import(&e, &f), 0);
        CHECK_STRING(e.image.uuid, first);
        CHECK_STRING(e.image.tag, i ? "a" : "");
    }
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_STRING(e.image.uuid, first);
    /* A second tag must not take the first one away. */
    e.o.tag = "b";
    CHECK_NUMBER(import(&e, &f), 0);
    memcpy(second, e.image.uuid, UUID_SIZE);
    CHECK(strcmp(second, first) != 0);
    CHECK_STRING(e.image.env, "{\"A\":\"1\"}");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_STRING(e.image.uuid, second);
    image_clear(&e.image);
    CHECK_NUMBER(store_image_by_tag(e.m.store, "a", &e.image, &f), 0);
    CHECK_STRING(e.image.uuid, first);
    CHECK_NUMBER(layer_count(&e), 1);
    end_env(&e);
}

static void odd_layers(void) {
    struct env e = make_env();
    struct fault f;
    make_layout(&e.from,
                SAMPLE "head -c 1024 /dev/zero > none.tar; layer none.tar; "
                       "layer 1.tgz; layer none.tar; finish");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK(has(&e, "/etc/kept"));
    CHECK_NUMBER(layer_count(&e), 1);
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_NUMBER(layer_count(&e), 1);
    /* No layers at all. */
    make_layout(&e.from, "finish");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_NUMBER(e.image.layer, 0);
    /* A layer that hides everything below. */
    make_layout(&e.from, "mkdir z; : > z/.wh..wh..opq; echo > z/only; "
                         "tree z > z.tar; layer 1.tgz; layer z.tar; finish");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK(has(&e, "/only") && !has(&e, "/opq"));
    /* Zeros after the end of the archive are part of the content. */
    make_layout(&e.from, "(cat 2.tar; head -c 100000 /dev/zero) > long.tar; "
                         "layer long.tar; finish");
    CHECK_NUMBER(import(&e, &f), 0);
    /* A working directory that is relative or does not exist is ignored. */
    for (int i = 0; i < 4; i++) {
        static const char *const dirs[] = {"etc", "/nowhere", "/etc", "/root"};
        char commands[100];
        snprintf(commands, sizeof commands, "cwd=%s; layer 1.tgz; finish",
                 dirs[i]);
        make_layout(&e.from, commands);
        CHECK_NUMBER(import(&e, &f), 0);
        CHECK_STRING(e.image.cwd ? e.image.cwd : "", i < 2 ? "" : dirs[i]);
    }
    end_env(&e);
}

/* Whether a directory of the last image has this mode and owner. */
static bool is_like(struct env *e, const char *path, mode_t mode, uid_t uid) {
    struct fault f;
    struct item item = {.st.st_mode = 0};
    int64_t *ids = NULL;
    size_t count = 0;
    CHECK(store_layer_chain(e->m.store, e->image.layer, &ids, &count, &f) == 0);
    struct view *v = view_open(e->d.fd, ids, count, e->m.ids, &f);
    bool found = v && inspect_stat(v, path, false, &item, &f) == 0 &&
                 (item.st.st_mode & 07777) == mode && item.st.st_uid == uid;
    view_close(v);
    free(ids);
    return found;
}

/* Archives that have no entries for the directories of their files. */
static void implied(void) {
    struct env e = make_env();
    struct fault f;
    const char *bare = "tree one > 1.tar; tar --no-recursion -C two -cf 2.tar "
                       "tmp/x opq/in/x gone/x; layer 1.tar; layer mid.tar; "
                       "layer 2.tar; finish";
    make_layout(&e.from,
                "mkdir -p one/tmp one/opq/in one/gone two/tmp two/opq/in "
                "two/gone mid/opq mid/root; echo > two/tmp/x; "
                "echo > two/opq/in/x; echo > two/gone/x; : > mid/.wh.gone; "
                ": > mid/opq/.wh..wh..opq; chmod 1777 one/tmp; "
                "chmod 700 one/opq/in one/gone; chown 5 one/tmp one/gone; "
                "chmod 555 one mid; chmod 711 mid/opq; tree mid > mid.tar");
    make_layout(&e.from, bare);
    CHECK_NUMBER(import(&e, &f), 0);
    for (int i = 0; i < 2; i++) {
        CHECK(is_like(&e, "/tmp", 01777, 5));
        CHECK(is_like(&e, "/opq", 0711, 0));
        CHECK(is_like(&e, "/opq/in", 0755, 0)); /* the lower one is hidden */
        CHECK(is_like(&e, "/gone", 0755, 0));
        CHECK(is_like(&e, "/", 0555, 0));
        /* Again, on top of layers that are known by now. */
        make_layout(&e.from, "tree two > 3.tar; layer 1.tar; layer mid.tar; "
                             "layer 3.tar; finish");
        CHECK_NUMBER(import(&e, &f), 0);
        CHECK(is_like(&e, "/tmp", 0755, 0));
        make_layout(&e.from, "tar -C two -cf 4.tar tmp/x opq/in/x gone/x; "
                             "layer 1.tar; layer mid.tar; layer 4.tar; finish");
        CHECK_NUMBER(import(&e, &f), 0);
    }
    end_env(&e);
}

static void choices(void) {
    struct env e = make_env();
    struct fault f;
    const char *two =
        SAMPLE "layer 1.tgz; finish; a=$(entry manifest.v1+json "
               "\",\\\"annotations\\\":{\\\"org.opencontainers.image.ref."
               "name\\\":\\\"one\\\"}\"); layer 2.tar; finish; "
               "b=$(entry manifest.v1+json \",\\\"annotations\\\":{"
               "\\\"org.opencontainers.image.ref.name\\\":\\\"both\\\"}\"); "
               "index \"$a,$b\"";
    make_layout(&e.from, two);
    CHECK_NUMBER(import(&e, &f), 422);
    CHECK(strstr(f.message, "no telling which") != NULL);
    e.name = "one";
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK(!has(&e, "/opq/new"));
    e.name = "both";
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK(has(&e, "/opq/new"));
    e.name = "neither";
    CHECK_NUMBER(import(&e, &f), 422);
    e.name = NULL;
    /* An entry is chosen by its platform. The index may itself be a blob. */
    make_layout(
        &e.from,
        "p() { entry manifest.v1+json \",\\\"platform\\\":{"
        "\\\"os\\\":\\\"$1\\\",\\\"architecture\\\":\\\"$2\\\","
        "\\\"variant\\\":\\\"$3\\\"}\"; }; "
        "layer 2.tar; finish; wrong=\"$(p windows $arch),$(p linux vax),"
        "$(p unknown unknown),$(p linux $arch v99)\"; "
        "layers= ids=; layer 1.tgz; finish; index \"$wrong,$(p linux $arch)\"; "
        "blob oci/index.json; index \"$(entry index.v1+json)\"");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_STRING(f.message, "");
    CHECK(has(&e, "/etc/gone"));
    end_env(&e);
}

static void refused(const char *commands, const char *why) {
    struct env e = make_env();
    struct fault f;
    make_layout(&e.from, commands);
    CHECK_NUMBER(import(&e, &f), 422);
    if (!strstr(f.message, why)) {
        CHECK_STRING(f.message, why);
    }
    /* The valid layers are not left, either. */
    CHECK_NUMBER(layer_count(&e), 0);
    trash_empty(e.m.layers);
    CHECK(shell("cd %s && test -z \"$(ls trash)\" && "
                "test $(find w -type f | wc -l) = 0",
                e.d.path));
    end_env(&e);
}

static void refusals(void) {
    refused("rm oci/* -r", "no OCI layout");
    refused("rm -f oci/index.json", "no index.json");
    refused("echo junk > oci/index.json", "not JSON");
    refused("echo '{\"manifests\":[],\"manifests\":[]}' > oci/index.json",
            "not JSON");
    refused("head -c 5000000 /dev/zero | tr '\\0' ' ' > oci/index.json",
            "too large");
    refused("(yes '[' | head -n 100000 | tr -d '\\n') > oci/index.json",
            "not JSON");
    refused("index ''", "no image for linux/");
    refused("finish; e=$(entry x); blob oci/oci-layout; index "
            "\"$e,$(entry x)\"",
            "no telling which");
    refused("index '{\"size\":1,\"digest\":\"sha512:aa\"}'", "SHA-256");
    refused("index '{\"size\":1,\"digest\":\"sha256:../../../etc/passwd\"}'",
            "SHA-256");
    refused("index \"{\\\"size\\\":1,\\\"digest\\\":\\\"sha256:"
            "$(printf %064d 0 | tr 0 /)\\\"}\"",
            "SHA-256");
    refused("index '{}'", "a size");
    refused("finish; size=-1; index \"$(entry x)\"", "a size");
    refused("finish; size=99999999999999; index \"$(entry x)\"", "a size");
    refused("finish; size=1e2; index \"$(entry x)\"", "a size");
    refused("finish; size=4194305; index \"$(entry x)\"", "too large");
    refused("finish; rm $blobs/*; ", "is missing");
    refused("finish; for x in $blobs/*; do rm $x; mkfifo $x; done",
            "is missing");
    refused("finish; for x in $blobs/*; do mv $x y; ln -s ../../../y $x; done",
            "is missing");
    refused("finish; for x in $blobs/*; do echo ' ' >> $x; done", "bytes, not");
    refused("finish; for x in $blobs/*; do tr a b < $x > y; mv y $x; done",
            "digest says");
    /* An index that names itself, or one of a chain of them. */
    refused("finish; for i in 1 2 3; do index \"$(entry index.v1+json)\"; "
            "blob oci/index.json; done; index \"$(entry index.v1+json)\"",
            "index in an index");
    refused(SAMPLE "layer 1.tgz; echo x >> $blobs/$hash; finish", "bytes, not");
    refused(SAMPLE "layer 1.tgz; printf x | dd of=$blobs/$hash conv=notrunc "
                   "status=none; finish",
            "digest says");
    refused(SAMPLE "layer 1.tgz; layer 2.tar; rm $blobs/$hash; finish",
            "is missing");
    refused("echo hello > t; layer t; finish", "bad archive");
    refused(SAMPLE "layer 1.tgz; gzip -dc 1.tgz | head -c 900 | gzip > t.gz; "
                   "layer t.gz; finish",
            "bad archive");
    refused(SAMPLE
            "head -c 100 1.tgz > t; layer t; layers=$(echo \"$layers\" | "
            "sed s/tar/tar+gzip/); finish",
            "");
    /* The config claims a base that other images share, but the layer is not
     * that base. */
    refused(SAMPLE "layer 1.tgz; save=$ids; layers= ids=; layer 2.tar; "
                   "ids=$save; finish",
            "what the config says");
    refused(SAMPLE "layer 1.tgz; ids=; finish", "speaks of 0 layers");
    refused(SAMPLE "layer 1.tgz; ids='\"x\"'; finish", "SHA-256");
    refused(SAMPLE "layer 1.tgz; layers=$(echo \"$layers\" | sed "
                   "'s/tar+gzip/wasm/'); finish",
            "unknown type");
    refused(SAMPLE "layer 1.tgz; layers=$(echo \"$layers\" | sed "
                   "'s/layer.v1/layer.nondistributable.v1/'); finish",
            "elsewhere");
    refused(SAMPLE "layer 1.tgz; layers=$(echo \"$layers\" | sed "
                   "'s,},\"urls\":[\"file:///etc/passwd\"]},;"
                   "s,\"urls,\\,\"urls,'); finish",
            "elsewhere");
    refused("for i in $(seq 451); do layers=\"$layers,{}\"; done; "
            "layers=${layers#,}; finish",
            "451 layers");
    refused("layers=7; finish", "unknown type");
    refused("arch=vax; finish", "this machine is linux/");
    refused("config; entry() { printf '{\"mediaType\":\"application/vnd.cncf."
            "helm.config\",\"size\":2,\"digest\":\"\"}'; }; printf "
            "'{\"config\":%s}' \"$(entry)\" > m; cp m oci/index.json",
            "not a container image");
    refused("echo '{\"schemaVersion\":1,\"fsLayers\":[]}' > oci/index.json",
            "schema 1");
    refused("echo '{\"mediaType\":\"x\",\"layers\":[]}' > oci/index.json",
            "unknown type 'x'");
}

static void limits(void) {
    struct env e = make_env();
    struct fault f;
    atomic_bool cancelled = true;
    make_layout(&e.from, SAMPLE "layer 1.tgz; layer 2.tar; finish");
    e.o.max_bytes = 7;
    CHECK_NUMBER(import(&e, &f), 413);
    e.o.max_bytes = 0;
    e.o.max_entries = 5;
    CHECK_NUMBER(import(&e, &f), 413);
    e.o.max_entries = 0;
    e.o.deadline.cancelled = &cancelled;
    CHECK_NUMBER(import(&e, &f), 409);
    e.o.deadline.cancelled = NULL;
    e.o.deadline.at = 1;
    CHECK_NUMBER(import(&e, &f), 408);
    e.o.deadline.at = 0;
    e.o.tag = "Bad";
    CHECK_NUMBER(import(&e, &f), 400);
    e.o.tag = NULL;
    CHECK_NUMBER(layer_count(&e), 0);
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_NUMBER(layer_count(&e), 2);
    /* One megabyte unpacks to a gigabyte of zeros. */
    make_layout(&e.from,
                "head -c 64M /dev/zero | gzip -1 > 64; "
                "for i in $(seq 16); do cat 64; done | gzip -9 > t.gz; "
                "h=$(digest t.gz); ids=\"\\\"sha256:$h\\\"\"; blob t.gz; "
                "layers=$(entry layer.v1.tar+gzip); finish");
    CHECK_NUMBER(import(&e, &f), 413);
    make_layout(&e.from,
                "mkdir big; truncate -s 300M big/f; tar -C big -c . | zstd -q "
                "> t.zst; ids=\"\\\"sha256:$(digest t.zst)\\\"\"; blob t.zst; "
                "layers=$(entry layer.v1.tar+zstd); finish");
    CHECK_NUMBER(import(&e, &f), 413);
    CHECK(strstr(f.message, "bomb") != NULL);
    CHECK_NUMBER(layer_count(&e), 2);
    end_env(&e);
}

/* Replace skopeo by a script. `manifest`, `config` and `copy` are the commands
 * that it executes for these calls. */
static void fake_skopeo(const struct env *e, const char *manifest,
                        const char *config, const char *copy) {
    char path[200];
    CHECK(shell("mkdir -p %s/bin", e->from.path));
    snprintf(path, sizeof path, "%s/bin/skopeo", e->from.path);
    FILE *file = fopen(path, "w");
    fprintf(file,
            "#!/bin/sh\nF=%s\nF() { cat $F/$1; }\ncase \"$*\" in\n"
            "*--config*)\n%s\n;;\n*--raw*)\n%s\n;;\n*)\n%s\n;;\nesac\n",
            e->from.path, config, manifest, copy);
    fclose(file);
    CHECK(chmod(path, 0755) == 0);
    snprintf(path, sizeof path, "%s/bin:/usr/bin:/bin", e->from.path);
    setenv("PATH", path, 1);
}

#define MANIFEST "F manifest.json"
#define CONFIG "F config.json"
#define COPY "cp -r $F/oci ."

static int fetch(struct env *e, const char *url, const char *user,
                 const char *password, struct fault *f) {
    struct image i;
    *f = (struct fault){0};
    if (import_registry(&e->m, url, user, password, &e->o, &i, f) < 0)
        return f->status;
    image_clear(&e->image);
    e->image = i;
    return 0;
}

static bool left_nothing(struct env *e) {
    trash_empty(e->m.layers);
    return shell("cd %s && test -z \"$(ls trash)\" && "
                 "test $(find w -type f | wc -l) = 0",
                 e->d.path);
}

static void note(void *arg, const struct import_progress *p) {
    struct import_progress *all = arg;
    int phase = strcmp(p->phase, "unpack") == 0;
    all[phase] = *p;
}

static void calls(void) {
    struct env e = make_env();
    struct fault f;
    struct import_progress told[2] = {0};
    char *path = strdup(getenv("PATH"));
    e.o.progress = note;
    e.o.progress_arg = told;
    make_layout(&e.from, SAMPLE "layer 1.tgz; layer 2.tar; finish");
#define RECORD                                                                 \
    "echo \"$@\" >> $F/args; cat /proc/self/fd/3 > $F/auth; "                  \
    "env > $F/env; pwd > $F/pwd; ls -l /proc/self/fd > $F/fds; find . > "      \
    "$F/files; "
    fake_skopeo(&e, MANIFEST, CONFIG, RECORD COPY);
    setenv("CONTREE_TOKEN", "t0ken", 1);
    setenv("NO_PROXY", "169.254.169.254", 1);
    CHECK_NUMBER(fetch(&e, "docker://my.reg:5000/a/b:1", "me", "s3cret", &f),
                 0);
    CHECK_STRING(f.message, "");
    CHECK(has(&e, "/etc/kept"));
    CHECK(shell("cd %s && ! grep -q -e s3cret -e czNj -e t0ken -e NO_PROXY "
                "args env && grep -q -e '--authfile=/proc/self/fd/3 ' args && "
                "grep -q -e ' docker://my.reg:5000/a/b@sha256:'$(sha256sum < "
                "manifest.json | cut -c1-64)' oci:oci:image$' args && "
                "! grep -q tls args && "
                "test \"$(cat auth)\" = "
                "'{\"auths\":{\"my.reg:5000\":{\"auth\":"
                "\"bWU6czNjcmV0\"}}}' && grep -qx TMPDIR=. env && "
                "grep -qx HOME=/nonexistent env && "
                "grep -qx http_proxy=http://127.0.0.1:1 env && "
                "! grep -q 'contree.db\\|/l$\\|lock' fds && ! grep auth files",
                e.from.path));
    CHECK(left_nothing(&e));
    CHECK_NUMBER(told[0].of, 2);
    CHECK_NUMBER(told[0].total, told[1].total);
    CHECK_NUMBER(told[1].layer, 2);
    CHECK_NUMBER(told[1].bytes, told[1].total);
    /* The same image again: reading the manifest is enough. */
    char first[UUID_SIZE];
    memcpy(first, e.image.uuid, UUID_SIZE);
    fake_skopeo(&e, MANIFEST, "exit 1", "exit 1");
    CHECK_NUMBER(fetch(&e, "docker://a/b", "", "", &f), 0);
    CHECK_STRING(e.image.uuid, first);
    /* Another config with the same layers: nothing is copied. */
    make_layout(&e.from, "layer 1.tgz; layer 2.tar; finish X=1");
    fake_skopeo(&e, MANIFEST, CONFIG, "exit 1");
    CHECK_NUMBER(fetch(&e, "docker://a/b", "", "", &f), 0);
    CHECK_STRING(e.image.env, "{\"X\":\"1\"}");
    /* One more layer: only that is copied, and the others are holes. A blob
     * that is used twice, by a known and a new layer, is copied. */
    make_layout(&e.from,
                "mkdir -p 3; echo > 3/new; tree 3 > 3.tar; layer 1.tgz; "
                "layer 2.tar; layer 3.tar; layer 1.tgz; finish");
    fake_skopeo(&e, MANIFEST, CONFIG,
                RECORD "ls -s oci/blobs/sha256 > $F/there; "
                       "cp -rn $F/oci .; exit 0");
    CHECK_NUMBER(fetch(&e, "docker://localhost:1/b", "u", "", &f), 0);
    CHECK(
        shell("cd %s && grep -q -e --src-tls-verify=false args && "
              "grep -q '\"localhost:1\"' auth && test \"$(grep -c . there)\" = "
              "2 && grep -q \"^ *0 $(sha256sum < 2.tar | cut -c1-64)\" there",
              e.from.path));
    CHECK(has(&e, "/new") && has(&e, "/etc/kept"));
    CHECK_NUMBER(layer_count(&e), 4);
    CHECK_NUMBER(fetch(&e, "/etc", "", "", &f), 400);
    CHECK(left_nothing(&e));
    setenv("PATH", path, 1);
    free(path);
    end_env(&e);
}

/* When all calls of skopeo fail in this way, the import fails with 502 and its
 * message. */
static void fails(struct env *e, const char *how, const char *words) {
    struct fault f;
    char wanted[500];
    fake_skopeo(e, how, how, how);
    CHECK_NUMBER(fetch(e, "docker://a/b", "me", "s3cret", &f), 502);
    snprintf(wanted, sizeof wanted, "cannot import docker://a/b:latest: %s",
             words);
    CHECK_STRING(f.message, wanted);
}

static void failures(void) {
    struct env e = make_env();
    struct fault f;
    char *path = strdup(getenv("PATH"));
    fails(&e,
          "echo first >&2; printf 'time=\"x\" level=fatal "
          "msg=\"no \\\\\"such\\\\\"\\033[2J image\"\\n' >&2; exit 1",
          "no \"such\"?[2J image");
    fails(&e,
          "printf 'level=fatal msg=\"Error parsing image name "
          "\\\\\"docker://a/b\\\\\": it is gone\"\\n' >&2; exit 1",
          "it is gone");
    fails(&e, "echo the login me:s3cret is wrong >&2; exit 1",
          "the login me:****** is wrong");
    fails(&e, "yes 'much to say' | head -n 100000 >&2; exit 1", "much to say");
    fails(&e, "exit 3", "it gave no reason");
    fails(&e, "kill -9 $$", "it gave no reason");
    fake_skopeo(&e, "yes", "", "");
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 413);
    /* skopeo reports success, but has fetched nothing or something else. */
    fake_skopeo(&e, "", "", "");
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 422);
    make_layout(&e.from, SAMPLE "layer 1.tgz; finish");
    fake_skopeo(&e, MANIFEST, "echo '{}'", COPY);
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 422);
    CHECK(strstr(f.message, "config is not what") != NULL);
    fake_skopeo(&e, MANIFEST, CONFIG, "exit 0");
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 422);
    CHECK(strstr(f.message, "missing") != NULL);
    /* An index that names a manifest of another digest, or another index. */
    fake_skopeo(&e,
                "case $* in *@*) F manifest.json; echo;; *) F "
                "oci/index.json;; esac",
                CONFIG, COPY);
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 422);
    CHECK(strstr(f.message, "manifest is not what") != NULL);
    fake_skopeo(&e, "F oci/index.json", CONFIG, COPY);
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 422);
    CHECK(strstr(f.message, "index within") != NULL);
    /* It fetches more than the manifest says. */
    fake_skopeo(&e, MANIFEST, CONFIG, "yes > oci/big");
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 413);
    /* It hangs, with a child that hangs too. */
    fake_skopeo(&e, MANIFEST, CONFIG,
                "sleep 1000 & echo $! > $F/child; echo $$ > $F/self; wait");
    e.o.deadline.at = monotonic_seconds() + 0.7;
    CHECK_NUMBER(fetch(&e, "docker://a/b", "u", "p", &f), 408);
    CHECK(shell("cd %s && ! kill -0 $(cat self) 2>/dev/null && sleep 0.1 && "
                "! grep -s '^State:.[^Z]' /proc/$(cat child)/status",
                e.from.path));
    e.o.deadline.at = 0;
    e.o.max_bytes = 10;
    fake_skopeo(&e, MANIFEST, CONFIG, COPY);
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 413);
    e.o.max_bytes = 0;
    CHECK(left_nothing(&e));
    CHECK_NUMBER(layer_count(&e), 0);
    /* A second process that keeps its pipes open does not delay the end. */
    fake_skopeo(&e, MANIFEST, CONFIG, "sleep 1000 & " COPY);
    CHECK_NUMBER(fetch(&e, "docker://a/b", "u", "p", &f), 0);
    setenv("PATH", "/nowhere", 1);
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 501);
    CHECK(strstr(f.message, "apt-get install skopeo") != NULL);
    CHECK_NUMBER(registry_check("docker://a/b", &f), -1);
    CHECK_NUMBER(f.status, 501);
    setenv("PATH", path, 1);
    free(path);
    CHECK(left_nothing(&e));
    end_env(&e);
}

static void saved(void) {
    struct env e = make_env();
    struct fault f = {0};
    struct image i;
    char source[200];
    if (!shell("skopeo --version >/dev/null 2>&1")) {
        printf("# not tried: there is no skopeo\n");
        end_env(&e);
        return;
    }
    make_layout(&e.from,
                SAMPLE "layer 1.tgz; layer 2.tar; finish A=1; for x in oci "
                       "docker; do skopeo --insecure-policy copy -q "
                       "oci:oci $x-archive:$x.tar:a/b:1; done");
    for (int n = 0; n < 4; n++) {
        snprintf(source, sizeof source, "%s-archive:%s/%s.tar%s",
                 n % 2 ? "oci" : "docker", e.from.path,
                 n % 2 ? "oci" : "docker", n < 2 ? "" : ":a/b:1");
        CHECK_NUMBER(import_saved(&e.m, source, &e.o, &i, &f), 0);
        CHECK_STRING(f.message, "");
        CHECK_STRING(i.env, "{\"A\":\"1\"}");
        image_clear(&e.image);
        e.image = i;
        CHECK(has(&e, "/etc/kept") && !has(&e, "/etc/gone"));
        /* Those of the second archive are compressed. */
        CHECK_NUMBER(layer_count(&e), n ? 4 : 2);
    }
    CHECK_NUMBER(import_saved(&e.m, "oci-archive:/dev/null", &e.o, &i, &f), -1);
    CHECK_NUMBER(import_saved(&e.m, "docker-archive:no", &e.o, &i, &f), -1);
    CHECK_NUMBER(f.status, 502);
    CHECK(left_nothing(&e));
    end_env(&e);
}

/* Skopeo must not outlive an engine that is killed. */
static void killed(void) {
    struct env e = make_env();
    struct fault f;
    char *path = strdup(getenv("PATH"));
    make_layout(&e.from, SAMPLE "layer 1.tgz; finish");
    fake_skopeo(&e, MANIFEST, CONFIG, "echo $$ > $F/self; exec sleep 1000");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        fetch(&e, "docker://a/b", NULL, NULL, &f);
        _exit(0);
    }
    CHECK(
        shell("cd %s && until test -s self; do sleep 0.01; done", e.from.path));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    CHECK(shell("cd %s && for i in 1 2 3 4 5 6 7 8 9 10; do grep -qs "
                "'^State:.[^Z]' /proc/$(cat self)/status || exit 0; "
                "sleep 0.1; done; exit 1",
                e.from.path));
    setenv("PATH", path, 1);
    free(path);
    end_env(&e);
}

int main(int argc, char *argv[]) {
    (void)argc;
    if (unpack_is_child(argv))
        return unpack_child();
    RUN(layers, "layers are stacked and shared");
    RUN(again, "the same image again");
    RUN(odd_layers, "empty layers, and one that hides all");
    RUN(implied, "directories that an archive does not name");
    RUN(choices, "which image of a layout is meant");
    RUN(refusals, "layouts that lie are refused, and leave nothing");
    RUN(limits, "limits, cancelling, tags");
    RUN(calls, "skopeo is called without secrets, and for what is not here");
    RUN(failures, "skopeo fails, hangs, floods");
    RUN(saved, "archives that other programs saved");
    RUN(killed, "skopeo dies with us");
    return CHECK_DONE();
}
