/* test_oci.c: images from OCI layouts and registries. */
#define _GNU_SOURCE
#include "check.h"
#include "import.h"
#include "inspect.h"
#include "skopeo.h"
#include "temp_dir.h"
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#define BASE 100000

struct env {
    struct temp_dir d;    /* the engine's */
    struct temp_dir from; /* the layout's: from/oci */
    struct importer m;
    struct import_options o;
    struct image image; /* the last */
};

static struct env make_env(void) {
    struct env e = {.d = temp_dir_make(), .from = temp_dir_make()};
    struct fault f = {0};
    e.m.dir_fd = e.d.fd;
    e.m.ids = (struct id_range){BASE, 65536};
    e.m.store = store_open(e.d.fd, e.d.path, &f);
    e.m.layers = layers_open(e.d.fd, e.m.store, BASE, &f);
    CHECK(e.m.layers != NULL);
    return e;
}

static void end_env(struct env *e) {
    image_clear(&e->image);
    layers_close(e->m.layers);
    store_close(e->m.store);
    temp_dir_remove(&e->d);
    temp_dir_remove(&e->from);
}

/* Shell functions that make a layout: layer FILE, finish [ENV], manifest. */
static const char maker[] =
    "b=oci/blobs/sha256; rm -rf oci; mkdir -p $b; layers=; "
    "blob() { h=$(sha256sum < $1 | cut -c1-64); cp $1 $b/$h; "
    "s=$(stat -c %s $1); }; "
    "entry() { echo "
    "\"{\\\"mediaType\\\":\\\"application/vnd.oci.image.$1\\\","
    "\\\"digest\\\":\\\"sha256:$h\\\",\\\"size\\\":$s}\"; }; "
    "layer() { blob $1; "
    "layers=\"$layers${layers:+,}$(entry layer.v1.tar+gzip)\"; }; "
    "index() { echo \"{\\\"schemaVersion\\\":2,\\\"manifests\\\":[$1]}\" > "
    "oci/index.json; echo '{\"imageLayoutVersion\":\"1.0.0\"}' > "
    "oci/oci-layout; }; "
    "config() { echo \"{\\\"architecture\\\":\\\"amd64\\\",\\\"os\\\":"
    "\\\"linux\\\",\\\"config\\\":{\\\"Env\\\":[$1]},\\\"rootfs\\\":{"
    "\\\"type\\\":\\\"layers\\\",\\\"diff_ids\\\":[]}}\" > config; "
    "blob config; }; "
    "manifest() { echo \"{\\\"schemaVersion\\\":2,\\\"mediaType\\\":"
    "\\\"application/vnd.oci.image.manifest.v1+json\\\",\\\"config\\\":"
    "$(entry config.v1+json),\\\"layers\\\":[$layers]}\" > manifest; "
    "blob manifest; }; "
    "finish() { config \"$1\"; manifest; index \"$(entry manifest.v1+json)\"; "
    "}; ";

static void make_layout(const struct env *e, const char *commands) {
    char path[100];
    snprintf(path, sizeof path, "%s/make", e->from.path);
    FILE *script = fopen(path, "w");
    fprintf(script, "%s\n%s\n", maker, commands);
    fclose(script);
    CHECK(shell("cd %s && sh -e make", e->from.path));
}

#define TAR "tar --owner=0 --group=0 --sort=name --mtime=@1 -c "
/* Two layers: one with files, one that changes them. */
#define SAMPLE                                                                 \
    "mkdir -p one/etc one/opq two/etc two/opq; echo 1 > one/etc/kept; "        \
    "echo 2 > one/etc/gone; echo 3 > one/opq/old; : > two/etc/.wh.gone; "      \
    ": > two/opq/.wh..wh..opq; echo 4 > two/opq/new; " TAR                     \
    "-C one . | gzip -n > 1.tgz; " TAR "-C two . > 2.tar; "

static int import(struct env *e, struct fault *f) {
    struct image i;
    *f = (struct fault){0};
    if (import_layout(&e->m, e->from.fd, &e->o, &i, f) < 0)
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
    return count - 1; /* the skeleton */
}

/* Whether the last image has a path. */
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
    e.o.tag = "two:layers";
    make_layout(&e, SAMPLE "layer 1.tgz; layer 2.tar; finish "
                           "'\"PATH=/opt/bin:/bin\",\"A=b=\\u00e9\",\"bad\","
                           "\"=x\",7'");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_STRING(f.message, "");
    CHECK_STRING(e.image.env,
                 "{\"PATH\":\"/opt/bin:/bin\",\"A\":\"b=\xc3\xa9\"}");
    CHECK_NUMBER(e.image.size, 8);
    CHECK(has(&e, "/etc/kept") && has(&e, "/opq/new"));
    CHECK(!has(&e, "/etc/gone") && !has(&e, "/opq/old"));
    CHECK_NUMBER(layer_count(&e), 2);
    int64_t top = e.image.layer;
    /* Again: nothing is unpacked. Another image: only what it does not share.
     */
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_NUMBER(e.image.layer, top);
    CHECK_NUMBER(layer_count(&e), 2);
    make_layout(&e, "mkdir three; echo 5 > three/x; " TAR "-C three . > 3.tar; "
                    "layer 1.tgz; layer 3.tar; finish");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK(e.image.env == NULL);
    CHECK_NUMBER(layer_count(&e), 3);
    CHECK(has(&e, "/etc/gone") && has(&e, "/x") && !has(&e, "/opq/new"));
    CHECK_NUMBER(store_image_by_tag(e.m.store, "two:layers", &e.image, &f), 0);
    /* The same blob on top of something else is another layer. */
    make_layout(&e, "layer 3.tar; layer 1.tgz; finish");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_NUMBER(layer_count(&e), 5);
    /* A layer whose directory is gone is unpacked again. */
    CHECK(shell("rm -r %s/l/%lld", e.d.path, (long long)e.image.layer));
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_NUMBER(layer_count(&e), 5);
    CHECK(has(&e, "/etc/gone"));
    end_env(&e);
}

static void odd_layers(void) {
    struct env e = make_env();
    struct fault f;
    make_layout(&e, SAMPLE "head -c 1024 /dev/zero > none.tar; layer none.tar; "
                           "layer 1.tgz; layer none.tar; finish");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK(has(&e, "/etc/kept"));
    CHECK_NUMBER(layer_count(&e), 1);
    make_layout(&e, "layer none.tar; layer 1.tgz; layer none.tar; finish");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_NUMBER(layer_count(&e), 1);
    /* No layers at all. */
    make_layout(&e, "finish");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_NUMBER(e.image.layer, 0);
    /* A layer that hides everything below. */
    make_layout(&e, "mkdir z; : > z/.wh..wh..opq; echo > z/only; " TAR
                    "-C z . > z.tar; layer 1.tgz; layer z.tar; finish");
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK(has(&e, "/only") && !has(&e, "/opq"));
    end_env(&e);
}

static void refused(const char *commands, const char *why) {
    struct env e = make_env();
    struct fault f;
    make_layout(&e, commands);
    CHECK_NUMBER(import(&e, &f), 422);
    if (!strstr(f.message, why)) {
        CHECK_STRING(f.message, why);
    }
    trash_empty(e.m.layers);
    CHECK(shell("cd %s && test -z \"$(ls trash)\" && "
                "test $(find w -type f | wc -l) = 0",
                e.d.path));
    end_env(&e);
}

static void refusals(void) {
    refused("rm oci/* -r", "no index.json");
    refused("echo junk > oci/index.json", "not JSON");
    refused("head -c 5000000 /dev/zero | tr '\\0' ' ' > oci/index.json",
            "too large");
    refused("(yes '[' | head -n 100000 | tr -d '\\n') > oci/index.json",
            "not JSON");
    refused("index ''", "one manifest");
    refused("finish; e=$(entry x); index \"$e,$e\"", "one manifest");
    refused("index '{\"digest\":\"sha512:aa\"}'", "not sha256");
    refused("index '{\"digest\":\"sha256:../../../../etc/passwd\"}'",
            "not sha256");
    refused("index '{}'", "not sha256");
    refused("finish; rm $b/*; ", "blob is missing");
    refused("finish; for x in $b/*; do rm $x; mkfifo $x; done",
            "blob is missing");
    refused("finish; for x in $b/*; do mv $x y; ln -s ../../../y $x; done",
            "blob is missing");
    refused("finish; for x in $b/*; do echo ' ' >> $x; done", "digest says");
    /* An index instead of a manifest, which names itself or another. */
    refused("finish; blob oci/index.json; index \"$(entry x)\"", "no layers");
    refused(SAMPLE "layer 1.tgz; echo x >> $b/$h; finish", "digest says");
    refused(SAMPLE "layer 1.tgz; rm $b/$h; finish", "blob is missing");
    refused("echo hello > t; layer t; finish", "bad archive");
    refused(SAMPLE "head -c 100 1.tgz > t; layer t; finish", "bad archive");
    refused(SAMPLE "layer 1.tgz; layers=$(echo \"$layers\" | sed "
                   "'s/tar+gzip/wasm/'); finish",
            "container image");
    refused("echo > t; for i in $(seq 401); do layers=\"$layers,{}\"; done; "
            "layers=${layers#,}; finish",
            "401 layers");
    refused("layers=7; finish", "not sha256");
    refused("config; layers='\"x\"'; manifest; index \"$(entry m)\"",
            "not sha256");
}

static void limits(void) {
    struct env e = make_env();
    struct fault f;
    atomic_bool cancelled = true;
    make_layout(&e, SAMPLE "layer 1.tgz; layer 2.tar; finish");
    e.o.max_bytes = 7;
    CHECK_NUMBER(import(&e, &f), 413);
    e.o.max_bytes = 0;
    e.o.cancelled = &cancelled;
    CHECK_NUMBER(import(&e, &f), 409);
    e.o.cancelled = NULL;
    e.o.deadline = 1;
    CHECK_NUMBER(import(&e, &f), 408);
    e.o.deadline = 0;
    e.o.tag = "Bad";
    CHECK_NUMBER(import(&e, &f), 400);
    e.o.tag = NULL;
    CHECK_NUMBER(import(&e, &f), 0);
    CHECK_NUMBER(layer_count(&e), 2);
    end_env(&e);
}

static void sources(void) {
    static const struct {
        const char *url, *source;
    } cases[] = {
        {"docker://docker.io/library/busybox:latest",
         "docker://docker.io/library/busybox:latest"},
        {"oci://localhost:5000/a/b", "docker://localhost:5000/a/b"},
        {"docker://x@sha256:00", "docker://x@sha256:00"},
        {"busybox", NULL},
        {"docker://", NULL},
        {"docker://-x", NULL},
        {"docker://a b", NULL},
        {"docker://a\n", NULL},
        {"docker:///etc", NULL},
        {"dir:/etc", NULL},
        {"docker-daemon:x", NULL},
        {"docker://a?b", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char source[512];
        struct fault f = {0};
        int result = skopeo_source(cases[i].url, source, &f);
        if (cases[i].source) {
            CHECK_STRING(source, cases[i].source);
        } else {
            CHECK_NUMBER(result, -1);
            CHECK_NUMBER(f.status, 400);
        }
    }
}

/* Puts a program of ours in skopeo's place. */
static void fake_skopeo(const struct env *e, const char *script) {
    char path[200];
    CHECK(shell("mkdir -p %s/bin", e->from.path));
    snprintf(path, sizeof path, "%s/bin/skopeo", e->from.path);
    FILE *file = fopen(path, "w");
    fprintf(file, "#!/bin/sh\nF=%s\n%s\n", e->from.path, script);
    fclose(file);
    CHECK(chmod(path, 0755) == 0);
    snprintf(path, sizeof path, "%s/bin:/usr/bin:/bin", e->from.path);
    setenv("PATH", path, 1);
}

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

static void calls(void) {
    struct env e = make_env();
    struct fault f;
    char *path = strdup(getenv("PATH"));
    make_layout(&e, SAMPLE "layer 1.tgz; finish");
    fake_skopeo(&e, "echo \"$@\" > $F/args; ls -l auth.json > $F/mode; "
                    "cat auth.json > $F/auth; env > $F/env; pwd > $F/pwd; "
                    "cp -r $F/oci oci");
    CHECK_NUMBER(fetch(&e, "docker://my.reg:5000/a/b:1", "me", "s3cret", &f),
                 0);
    CHECK(has(&e, "/etc/kept"));
    CHECK(shell("cd %s && ! grep -q s3cret args env && grep -q "
                "'copy --quiet --src-authfile=auth.json "
                "docker://my.reg:5000/a/b:1 oci:oci:image$' args && "
                "grep -q '^-rw------- ' mode && test \"$(cat auth)\" = "
                "'{\"auths\":{\"my.reg:5000\":{\"auth\":"
                "\"bWU6czNjcmV0\"}}}' && grep -qx TMPDIR=. env",
                e.from.path));
    CHECK(left_nothing(&e));
    /* Anonymous, and a name without a host. */
    CHECK_NUMBER(fetch(&e, "docker://a/b", "", "", &f), 0);
    CHECK(shell("cd %s && ! grep -q 'auth' args && ! grep -q tls args",
                e.from.path));
    CHECK_NUMBER(fetch(&e, "docker://localhost:1/b", "u", "", &f), 0);
    CHECK(shell("cd %s && grep -q -e --src-tls-verify=false args && "
                "grep -q '\"localhost:1\"' auth",
                e.from.path));
    CHECK_NUMBER(fetch(&e, "docker://a/b", "u:v", "w", &f), 400);
    CHECK_NUMBER(fetch(&e, "/etc", "", "", &f), 400);
    CHECK(left_nothing(&e));
    setenv("PATH", path, 1);
    free(path);
    end_env(&e);
}

static void failures(void) {
    struct env e = make_env();
    struct fault f;
    char *path = strdup(getenv("PATH"));
    fake_skopeo(&e, "echo first >&2; printf 'time=\"x\" level=fatal "
                    "msg=\"no such\\033[2J image\"\\n' >&2; exit 1");
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 502);
    CHECK_STRING(f.message, "skopeo: no such?[2J image\"");
    fake_skopeo(&e, "yes 'much to say' | head -n 100000 >&2; exit 1");
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 502);
    CHECK_STRING(f.message, "skopeo: much to say");
    fake_skopeo(&e, "exit 3");
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 502);
    CHECK_STRING(f.message, "skopeo: it gave no reason");
    fake_skopeo(&e, "kill -9 $$");
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 502);
    /* It says that all is well and brought nothing. */
    fake_skopeo(&e, "exit 0");
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 422);
    /* Hangs, with a child that hangs too. */
    fake_skopeo(&e, "sleep 1000 & echo $! > $F/child; echo $$ > $F/self; wait");
    e.o.deadline = monotonic_seconds() + 0.5;
    CHECK_NUMBER(fetch(&e, "docker://a/b", "u", "p", &f), 408);
    CHECK(shell("cd %s && ! kill -0 $(cat self) 2>/dev/null && sleep 0.1 && "
                "! grep -s '^State:.[^Z]' /proc/$(cat child)/status",
                e.from.path));
    e.o.deadline = 0;
    fake_skopeo(&e, "mkdir oci; yes > oci/big");
    e.o.max_bytes = 10 << 20;
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 413);
    e.o.max_bytes = 0;
    CHECK(left_nothing(&e));
    setenv("PATH", "/nowhere", 1);
    CHECK_NUMBER(fetch(&e, "docker://a/b", NULL, NULL, &f), 503);
    CHECK(strstr(f.message, "install") != NULL);
    setenv("PATH", path, 1);
    free(path);
    CHECK(left_nothing(&e));
    end_env(&e);
}

/* The real one, against a registry of our own. */
static void registry(void) {
    struct env e = make_env();
    struct fault f;
    int port = 0;
    char url[100], line[300];
    if (!shell("skopeo --version >/dev/null 2>&1")) {
        printf("# not tried: there is no skopeo\n");
        end_env(&e);
        return;
    }
    make_layout(&e, SAMPLE "gzip -n 2.tar; layer 1.tgz; layer 2.tar.gz; finish "
                           "'\"A=1\"'");
    snprintf(line, sizeof line,
             "python3 spec/c/registry.py %s/oci me:pass & echo $!",
             e.from.path);
    FILE *p = popen(line, "r");
    int server = 0;
    CHECK(fscanf(p, "%d %d", &server, &port) == 2);
    snprintf(url, sizeof url, "docker://127.0.0.1:%d/a/b:1", port);
    CHECK_NUMBER(fetch(&e, url, "me", "pass", &f), 0);
    CHECK_STRING(f.message, "");
    CHECK(has(&e, "/etc/kept") && has(&e, "/opq/new"));
    CHECK(!has(&e, "/etc/gone") && !has(&e, "/opq/old"));
    CHECK_STRING(e.image.env, "{\"A\":\"1\"}");
    CHECK_NUMBER(fetch(&e, url, "me", "wrong", &f), 502);
    CHECK(strstr(f.message, "wrong") == NULL);
    CHECK_NUMBER(fetch(&e, url, NULL, NULL, &f), 502);
    snprintf(url, sizeof url, "docker://127.0.0.1:%d/missing", port);
    CHECK_NUMBER(fetch(&e, url, "me", "pass", &f), 502);
    CHECK(left_nothing(&e));
    if (server > 0)
        kill(server, SIGTERM);
    pclose(p);
    end_env(&e);
}

int main(void) {
    RUN(layers, "layers are stacked and shared");
    RUN(odd_layers, "empty layers, and one that hides all");
    RUN(refusals, "layouts that lie are refused");
    RUN(limits, "limits, cancelling, tags");
    RUN(sources, "what may be fetched");
    RUN(calls, "skopeo is called without secrets");
    RUN(failures, "skopeo fails, hangs, floods, is not there");
    RUN(registry, "an image comes from a registry");
    return CHECK_DONE();
}
