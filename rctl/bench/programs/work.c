/*
 * The small built-in set of workloads: WORK NAME COUNT [ARGUMENT...] does COUNT operations after a warm-up, times them
 * itself, and prints the nanoseconds. Files are made in the current directory. work.py does the same, less strictly.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KIB = 1024, MIB = 1024 * KIB, BLOCK = 4 * KIB, FILE_SIZE = 4 * MIB, SEGMENT = 64 * KIB, AREA = 256 * KIB };

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static long ok(long got, const char *what) {
    if (got < 0) die(what);
    return got;
}

static void whole(long got, size_t size, const char *what) {
    if (ok(got, what) != (long)size) {
        fprintf(stderr, "%s: short\n", what);
        exit(1);
    }
}

static uint64_t elapsed(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/*
 * With WORK_CLOCK=busy, the time in which the CPUs ran any task (the 7th number in Documentation/scheduler/sched-stats.rst).
 * On an instruction clock that is the number of instructions; the emulator decides how long a wait is. The kernel adds a
 * task's time when the task leaves the CPU, hence the nap.
 */
static uint64_t now(void) {
    static int busy = -1;
    unsigned long long ran, sum = 0;
    char line[4096];
    if (busy < 0) busy = getenv("WORK_CLOCK") && !strcmp(getenv("WORK_CLOCK"), "busy");
    if (!busy) return elapsed();
    nanosleep(&(struct timespec){0, 1000}, NULL);
    FILE *stats = fopen("/proc/schedstat", "r");
    if (!stats) die("/proc/schedstat");
    while (fgets(line, sizeof line, stats))
        if (sscanf(line, "cpu%*u %*u %*u %*u %*u %*u %*u %llu", &ran) == 1) sum += ran;
    fclose(stats);
    return sum;
}

/* On one CPU each hand-over is a context switch; on several CPUs it may be none. */
static void one_cpu(void) {
    cpu_set_t all, one;
    CPU_ZERO(&one);
    ok(sched_getaffinity(0, sizeof all, &all), "sched_getaffinity");
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &one);
            break;
        }
    ok(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
}

/* A child that works until its parent is gone. */
static int partner(void) {
    int child = ok(fork(), "fork");
    if (!child) prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

static char *area(size_t size, int flags) {
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) die("mmap");
    return memory;
}

/* ---- CPU and system calls ---- */

static volatile uint64_t sink;

static void compute(void) {
    uint64_t x = sink | 1;
    for (int i = 0; i < 1000; i++) x = x * 6364136223846793005ull + 1442695040888963407ull;
    sink = x;
}

static void call(void) { syscall(SYS_getppid); }

static char *from, *to;
static void memory_setup(void) {
    from = area(8 * MIB, MAP_PRIVATE), to = area(8 * MIB, MAP_PRIVATE);
    memset(from, 1, 8 * MIB), memset(to, 2, 8 * MIB);
}
static void memory(void) {
    static size_t at;
    memcpy(to + at, from + at, MIB);
    at = (at + MIB) % (8 * MIB);
}

static void fault(void) {
    char *fresh = area(AREA, MAP_PRIVATE);
    for (size_t i = 0; i < AREA; i += BLOCK) fresh[i] = 1;
    munmap(fresh, AREA);
}

/* ---- switching and processes ---- */

static int there[2], back[2];
static void pipe_setup(void) {
    char byte;
    one_cpu();
    ok(pipe(there), "pipe"), ok(pipe(back), "pipe");
    if (!partner())
        while (read(there[0], &byte, 1) == 1) whole(write(back[1], &byte, 1), 1, "write");
}
static void ping(void) {
    char byte = 0;
    whole(write(there[1], &byte, 1), 1, "write");
    whole(read(back[0], &byte, 1), 1, "read");
}

static uint32_t *turn;
static void hand_over(uint32_t mine) {
    __atomic_store_n(turn, !mine, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, turn, FUTEX_WAKE, 1, NULL, NULL, 0);
    while (__atomic_load_n(turn, __ATOMIC_SEQ_CST) != mine) syscall(SYS_futex, turn, FUTEX_WAIT, !mine, NULL, NULL, 0);
}
static void futex_setup(void) {
    one_cpu();
    turn = (uint32_t *)area(BLOCK, MAP_SHARED);
    if (!partner())
        for (;;) {
            while (__atomic_load_n(turn, __ATOMIC_SEQ_CST) != 1) syscall(SYS_futex, turn, FUTEX_WAIT, 0, NULL, NULL, 0);
            hand_over(1);
        }
}
static void futex(void) { hand_over(0); }

static void reap(int child) {
    int status;
    ok(waitpid(child, &status, 0), "waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status)) {
        fprintf(stderr, "what was run ended with wait status %d\n", status);
        exit(1);
    }
}
static void forking(void) {
    int child = ok(fork(), "fork");
    if (!child) _exit(0);
    reap(child);
}

static char **command;
static char *itself[] = {"/proc/self/exe", "nothing", "0", NULL};
static void exec_setup(void) { command = itself; }
static void run(void) {
    int child = ok(fork(), "fork");
    if (!child) {
        execvp(command[0], command);
        fprintf(stderr, "%s: %s\n", command[0], strerror(errno));
        _exit(127);
    }
    reap(child);
}

/* ---- files, in the current directory ---- */

static int file;
static char *block;
static off_t offset;
static void file_setup(int flags) {
    block = area(MIB, MAP_PRIVATE);
    memset(block, 0xa5, MIB);
    file = ok(open("data", O_RDWR | O_CREAT, 0600), "open");
    for (offset = 0; offset < FILE_SIZE; offset += MIB) whole(pwrite(file, block, MIB, offset), MIB, "write");
    ok(fsync(file), "fsync");
    close(file);
    file = ok(open("data", O_RDWR | flags), "open");
    offset = 0;
}
static void cached_setup(void) { file_setup(0); }
static void direct_setup(void) { file_setup(O_DIRECT); }
static void reading(void) {
    whole(pread(file, block, BLOCK, offset), BLOCK, "read");
    offset = (offset + BLOCK) % FILE_SIZE;
}
static void overwrite(void) {
    whole(pwrite(file, block, BLOCK, offset), BLOCK, "write");
    offset = (offset + BLOCK) % FILE_SIZE;
}
static void sync_write(void) {
    overwrite();
    ok(fsync(file), "fsync");
}
static void append(void) {
    if (offset >= 16 * MIB) ok(ftruncate(file, offset = 0), "ftruncate");
    whole(pwrite(file, block, MIB, offset), MIB, "write");
    offset += MIB;
}
static void opening(void) {
    struct stat facts;
    int fd = ok(open("data", O_RDONLY), "open");
    close(fd);
    ok(stat("data", &facts), "stat");
}
static void creating(void) {
    int fd = ok(open("new", O_WRONLY | O_CREAT | O_EXCL, 0600), "open");
    whole(write(fd, block, BLOCK), BLOCK, "write");
    close(fd);
    ok(unlink("new"), "unlink");
}

/* ---- loopback TCP ---- */

static int wire;
static int connected(int port) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int one = 1, fd = ok(socket(AF_INET, SOCK_STREAM, 0), "socket");
    ok(connect(fd, (struct sockaddr *)&here, sizeof here), "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}
static void tcp_setup(long size_of_message) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    int one = 1, door = ok(socket(AF_INET, SOCK_STREAM, 0), "socket");
    block = area(MIB, MAP_PRIVATE);
    memset(block, 0xa5, MIB);
    ok(bind(door, (struct sockaddr *)&here, sizeof here), "bind");
    ok(listen(door, 1), "listen");
    ok(getsockname(door, (struct sockaddr *)&here, &size), "getsockname");
    if (!partner()) {
        wire = ok(accept(door, NULL, NULL), "accept");
        setsockopt(wire, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        while (recv(wire, block, size_of_message, MSG_WAITALL) == size_of_message)
            whole(write(wire, block, 64), 64, "write");
        exit(0);
    }
    wire = connected(ntohs(here.sin_port));
}
static void stream_setup(void) { tcp_setup(SEGMENT); }
static void request_setup(void) { tcp_setup(64); }
static void converse(size_t size) {
    whole(write(wire, block, size), size, "write");
    whole(recv(wire, block, 64, MSG_WAITALL), 64, "read");
}
/* Each message is answered, because the wake-ups of a stream without answers differ from run to run. */
static void stream(void) { converse(SEGMENT); }
static void request(void) { converse(64); }

/* An HTTP server's client: one connection that stays open; every answer is as long as the first. */
static const char GET[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
static long answer;
static void http_setup(void) {
    char *body, *length;
    block = area(MIB, MAP_PRIVATE);
    whole(write(wire, GET, sizeof GET - 1), sizeof GET - 1, "write");
    for (;;) {
        long got = ok(read(wire, block + answer, MIB - 1 - answer), "read");
        if (!got) break;
        block[answer += got] = 0;
        body = strstr(block, "\r\n\r\n");
        length = strcasestr(block, "content-length:");
        if (body && length && answer == body + 4 - block + atol(length + 15)) return;
    }
    fprintf(stderr, "http: no answer of a known length\n");
    exit(1);
}
static void get(void) {
    whole(write(wire, GET, sizeof GET - 1), sizeof GET - 1, "write");
    whole(recv(wire, block, answer, MSG_WAITALL), answer, "read");
}

static struct {
    const char *name;
    void (*setup)(void), (*once)(void);
} works[] = {
    {"compute", NULL, compute},       {"syscall", NULL, call},           {"memory", memory_setup, memory},
    {"fault", NULL, fault},           {"pipe", pipe_setup, ping},        {"futex", futex_setup, futex},
    {"fork", NULL, forking},          {"exec", exec_setup, run},         {"read", cached_setup, reading},
    {"dread", direct_setup, reading}, {"write", cached_setup, append},   {"fsync", cached_setup, sync_write},
    {"dwrite", direct_setup, overwrite}, {"open", cached_setup, opening}, {"create", cached_setup, creating},
    {"stream", stream_setup, stream}, {"request", request_setup, request},
    {"http", http_setup, get},        {"run", NULL, run},
};

int main(int words, char **word) {
    if (words < 3) return fprintf(stderr, "usage: work NAME COUNT [ARGUMENT...]\n"), 2;
    long count = atol(word[2]);
    signal(SIGPIPE, SIG_IGN);
    if (!strcmp(word[1], "nothing")) return 0;
    if (!strcmp(word[1], "run")) command = word + 3;
    if (!strcmp(word[1], "http")) wire = connected(atoi(word[3]));
    for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
        if (strcmp(word[1], works[i].name)) continue;
        if (works[i].setup) works[i].setup();
        for (long n = 0; n < count / 8 + 1; n++) works[i].once();
        uint64_t begin = now();
        for (long n = 0; n < count; n++) works[i].once();
        return printf("%llu\n", (unsigned long long)(now() - begin)) < 0;
    }
    return fprintf(stderr, "%s: no such workload\n", word[1]), 2;
}
