/* pins.c: what active operations keep from garbage collection. */
#include "operation/internal.h"

int operations_pin(const struct operations *all, struct gc_pins *p,
                   struct fault *f) {
    bool ok = operations_pin_squash(all, p);
    for (const struct operation *op = all->active; op && ok; op = op->next) {
        p->importing |= op->import != NULL;
        if (op->image.layer)
            ok = gc_pin_layer(p, op->image.layer);
        for (size_t i = 0; ok && i < op->layer_count; i++)
            ok = gc_pin_layer(p, op->layers[i]);
        for (size_t i = 0; ok && op->contents && i < op->run.file_count; i++)
            ok = gc_pin_file(p, op->contents[i]);
    }
    return ok ? 0 : fault_memory(f);
}
