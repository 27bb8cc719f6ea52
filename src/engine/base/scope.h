/* scope.h: what the compiler checks for us, and does when a scope ends. */
#ifndef CONTREE_BASE_SCOPE_H
#define CONTREE_BASE_SCOPE_H

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK __attribute__((warn_unused_result))

/* Scope-exit cleanup. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))
void cleanup_free(void *p); /* char *p CLEANUP(cleanup_free) = NULL; */
void *steal_pointer(void *p);

#endif
