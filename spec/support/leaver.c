/* leaver.c: a command that has left its process group, and that ends by itself,
 * as a shell does, when what it waits for is killed; linked statically, as
 * there may be no library inside. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(void) {
    pid_t pid = fork();
    while (pid == 0)
        pause();
    return pid;
}

int main(void) {
    int status = 0;
    pid_t awaited = start(), leader = start();
    if (awaited < 0 || leader < 0 || setpgid(leader, leader) < 0 ||
        setpgid(0, leader) < 0)
        return 1;
    puts("left");
    fflush(stdout);
    if (waitpid(awaited, &status, 0) != awaited)
        return 1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
