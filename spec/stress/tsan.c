/* tsan.c: linked into an engine with ThreadSanitizer. After fork() the
 * sanitizer starts a thread of its own in the child, and a process with several
 * threads may not enter a user namespace. After _Fork() it does not. */
#define _GNU_SOURCE
#include <sys/types.h>
#include <unistd.h>

pid_t __wrap_fork(void);

pid_t __wrap_fork(void) {
    return _Fork();
}
