#include "curl_api.h"
#include "library.h"

#include <pthread.h>
#include <stdio.h>

#ifdef __APPLE__
#define CURL_LIBRARY "libcurl.4.dylib"
#else
#define CURL_LIBRARY "libcurl.so.4"
#endif

struct curl_api curl;

/* Process-wide, because libcurl's initialisation is: see hold in core.c. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char problem[256];

static void resolve(void *library, const char *name, void *slot) {
    if (!library_resolve(library, name, slot) && !*problem)
        snprintf(problem, sizeof problem, "%s is too old: it has no %s",
                 CURL_LIBRARY, name);
}

/* The library is never closed, nor curl_global_cleanup() called: a resolver
 * thread may still run in it. */
static void load(void) {
    void *library = dlopen(CURL_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        snprintf(problem, sizeof problem,
                 "libcurl cannot be loaded (on Debian it is in the package "
                 "libcurl4): %s",
                 why ? why : CURL_LIBRARY);
        return;
    }
#define CURL_API_RESOLVE(name) resolve(library, "curl_" #name, &curl.name);
    CURL_API(CURL_API_RESOLVE)
#undef CURL_API_RESOLVE
    if (!*problem && curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        snprintf(problem, sizeof problem, "libcurl cannot be initialised");
}

const char *curl_api_load(void) {
    pthread_once(&once, load);
    return *problem ? problem : NULL;
}
