/* rest.c: see rest.h. */
#define _GNU_SOURCE
#include "command/rest.h"
#include "http/http.h"
#include "store/store.h"
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

/* Long enough that scripts with pauses do not pay for it. */
enum { REST_MS = 2000 };

bool engine_is_busy(struct engine *e) {
    return http_active(e->http) > 0 || operations_active(e->operations) > 0 ||
           e->workers.jobs > 0;
}

/* Segments that are never written are the same in the page cache, from where
 * they come back when they are used. (Breakpoints of a debugger do not.) */
static int drop_code(struct dl_phdr_info *object, size_t size, void *page) {
    (void)size;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &object->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || (p->p_flags & PF_W))
            continue;
        uintptr_t begin = object->dlpi_addr + p->p_vaddr;
        uintptr_t inside = begin % *(uintptr_t *)page;
        madvise((void *)(begin - inside), p->p_memsz + inside, MADV_DONTNEED);
    }
    return 0;
}

static void give_back(struct engine *e) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    store_trim(e->store);
    malloc_trim(0);
    dl_iterate_phdr(drop_code, &page);
}

static void on_rest(uv_timer_t *timer) {
    struct rest *r = timer->data;
    uint64_t last = http_last_activity(r->engine->http);
    uint64_t passed = uv_now(r->engine->loop) - last;
    bool busy = engine_is_busy(r->engine);
    if (busy || passed < REST_MS) {
        uv_timer_start(timer, on_rest, busy ? REST_MS : REST_MS - passed, 0);
        return;
    }
    r->rested_since = last;
    give_back(r->engine);
}

/* Any turn may be the one after a rest. */
static void on_turn(uv_prepare_t *turn) {
    struct rest *r = turn->data;
    if (!uv_is_active((uv_handle_t *)&r->timer) && r->engine->http &&
        r->rested_since != http_last_activity(r->engine->http))
        uv_timer_start(&r->timer, on_rest, REST_MS, 0);
}

void rest_watch(struct rest *r, struct engine *e) {
    r->engine = e;
    r->turn.data = r->timer.data = r;
    uv_timer_init(e->loop, &r->timer);
    uv_prepare_init(e->loop, &r->turn);
    uv_prepare_start(&r->turn, on_turn);
}
