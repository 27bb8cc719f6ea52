/* sha256: the SHA-256 of a file with libcrypto alone, read in pieces of 1 MB.
 * Prints the seconds that it took: sha256 FILE */
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    static unsigned char piece[1 << 20];
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    double begin = now();
    int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    ssize_t got;
    if (fd < 0 || !EVP_DigestInit_ex(context, EVP_sha256(), NULL)) {
        fprintf(stderr, "usage: sha256 FILE\n");
        return 2;
    }
    while ((got = read(fd, piece, sizeof piece)) > 0)
        EVP_DigestUpdate(context, piece, (size_t)got);
    EVP_DigestFinal_ex(context, digest, NULL);
    printf("%f\n", now() - begin);
    EVP_MD_CTX_free(context);
    return got < 0;
}
