/* spec.c: see spec.h. */
#include "operation/spec.h"
#include <stdlib.h>
#include <string.h>

void run_process_clear(struct run_process *p) {
    json_decref(p->json);
    free(p->stdin_data);
    free(p->directory);
    *p = (struct run_process){0};
}

void run_clear(struct run *r) {
    free(r->text);
    network_rules_clear(&r->rules);
    run_mounts_clear(&r->mounts);
    run_process_clear(&r->process);
    for (size_t i = 0; i < r->file_count; i++)
        free(r->files[i].path);
    free(r->files);
    *r = (struct run){0};
}

int64_t run_start_limit(const struct run *r) {
    return r->process.held ? RUN_TIMEOUT : r->process.timeout;
}

unsigned run_image_etc(const struct run *r) {
    static const struct {
        const char *path;
        unsigned bit;
    } etc[] = {{"/etc/hosts", ETC_HOSTS},
               {"/etc/hostname", ETC_HOSTNAME},
               {"/etc/resolv.conf", ETC_RESOLV_CONF}};
    unsigned bits = r->image_etc ? ETC_ALL : 0;
    for (size_t i = 0; i < r->file_count; i++)
        for (size_t k = 0; k < sizeof etc / sizeof *etc; k++)
            if (strcmp(r->files[i].path, etc[k].path) == 0)
                bits |= etc[k].bit;
    return bits;
}

void run_file_xattrs(const struct run_file *file,
                     const char *strings[2 * RUN_XATTRS_MAX], size_t *count) {
    const char *name;
    json_t *value;
    *count = 0;
    if (!file->xattrs)
        return;
    json_object_foreach((json_t *)file->xattrs, name, value) {
        strings[(*count)++] = name;
        strings[(*count)++] = json_string_value(value);
    }
}
