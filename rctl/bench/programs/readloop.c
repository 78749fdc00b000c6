/* Reads the same files again and again, and does nothing with them: the least possible cost of a scrape.
   Usage: readloop FILE, which names one file a line. All stay open. For each line on standard input it reads all of
   them once and prints the CPU time and the elapsed time, in nanoseconds, and the bytes. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static char text[1 << 16];

static long long now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
    char line[4096];
    int *fds = NULL;
    size_t count = 0, room = 0;
    FILE *names = argc == 2 ? fopen(argv[1], "r") : NULL;

    if (!names)
        return 2;
    while (fgets(line, sizeof line, names)) {
        line[strcspn(line, "\n")] = 0;
        if (count == room && !(fds = realloc(fds, (room = 2 * room + 64) * sizeof *fds)))
            return 1;
        if ((fds[count++] = open(line, O_RDONLY | O_CLOEXEC)) < 0) {
            perror(line);
            return 1;
        }
    }
    while (fgets(line, sizeof line, stdin)) {
        long long cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC), bytes = 0;
        for (size_t i = 0; i < count; i++) {
            ssize_t got = pread(fds[i], text, sizeof text, 0);
            if (got < 0)
                return 1;
            bytes += got;
        }
        printf("%lld %lld %lld\n", now(CLOCK_PROCESS_CPUTIME_ID) - cpu, now(CLOCK_MONOTONIC) - wall, bytes);
        fflush(stdout);
    }
    return 0;
}
