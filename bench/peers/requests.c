/* requests: N small requests over a Unix socket, one after the other, with
 * libcurl alone. The Lua client is compared with this.
 *
 *   requests N SOCKET PATH
 *
 * Prints the seconds that passed, and the processor time used. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static size_t count_bytes(char *data, size_t size, size_t n, void *total) {
    (void)data;
    *(size_t *)total += size * n;
    return size * n;
}

static double wall(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double processor(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return seconds(u.ru_utime) + seconds(u.ru_stime);
}

/* Make one request on a multi handle, like a program with a loop. */
static int perform(CURLM *multi, CURL *easy) {
    int running = 1;
    curl_multi_add_handle(multi, easy);
    while (running) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return -1;
        if (running)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    curl_multi_remove_handle(multi, easy);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: requests N SOCKET PATH\n");
        return 2;
    }
    long n = strtol(argv[1], NULL, 10), status = 0;
    size_t bytes = 0;
    char url[256];
    curl_global_init(CURL_GLOBAL_ALL);
    CURL *easy = curl_easy_init();
    CURLM *multi = curl_multi_init();
    snprintf(url, sizeof url, "http://localhost%s", argv[3]);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, argv[2]);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, count_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &bytes);
    double begun = wall(), used = processor();
    for (long i = 0; i < n; i++)
        if (perform(multi, easy) < 0)
            return 1;
    begun = wall() - begun;
    used = processor() - used;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    printf("%f %f\n", begun, used);
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
    return status == 200 && bytes ? 0 : 1;
}
