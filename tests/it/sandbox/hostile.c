/* What a hostile interpreter might try, one thing at a time. The exit code is 0 where it succeeded,
   and errno where it did not. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

extern char **environ;

static int failed(void) { return errno ? errno : 255; }

static int read_file(const char *path) {
    char buffer[64];
    int file = open(path, O_RDONLY);
    if (file < 0) return failed();
    ssize_t length = read(file, buffer, sizeof buffer);
    if (length < 0) return failed();
    return write(1, buffer, length) == length ? 0 : failed();
}

static int write_file(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT, 0600);
    if (file < 0) return failed();
    return write(file, "hostile", 7) == 7 ? 0 : failed();
}

/* No file is made, and none opened to write: O_TRUNC alone does it. */
static int empty_file(const char *path) { return open(path, O_RDONLY | O_TRUNC) < 0 ? failed() : 0; }

static int empty_file_as_of_old(const char *path) {
#ifdef SYS_open
    return syscall(SYS_open, path, O_RDONLY | O_TRUNC) < 0 ? failed() : 0;
#else
    return empty_file(path);
#endif
}

static int control_device(const char *path) {
    int file = open(path, O_RDONLY), queued;
    if (file < 0) return failed();
    return ioctl(file, TIOCOUTQ, &queued) < 0 ? failed() : 0;
}

static int connect_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor < 0) return failed();
    return connect(descriptor, (void *)&address, sizeof address) == 0 ? 0 : failed();
}

static int bind_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor < 0) return failed();
    return bind(descriptor, (void *)&address, sizeof address) == 0 ? 0 : failed();
}

/* A socket that has a name and no file. */
static int connect_to_abstract(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path + 1, name, sizeof address.sun_path - 2);
    int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
    if (descriptor < 0) return failed();
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name);
    return connect(descriptor, (void *)&address, length) == 0 ? 0 : failed();
}

static int fork_often(int times) {
    for (int i = 0; i < times; i++) {
        pid_t child = fork();
        if (child < 0) return failed();
        if (child == 0) _exit(0);
    }
    return 0;
}

static int allocate(long gibibytes) {
    size_t length = (size_t)gibibytes << 30;
    void *memory = mmap(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? failed() : 0;
}

static int descriptors(void) {
    for (int i = 0; i < 1024; i++)
        if (fcntl(i, F_GETFD) >= 0) printf("%d ", i);
    return 0;
}

static int open_often(const char *path) {
    int count = 0;
    while (open(path, O_RDONLY) >= 0) count++;
    printf("%d\n", count);
    return failed();
}

static int where(void) {
    char path[4096];
    if (!getcwd(path, sizeof path)) return failed();
    puts(path);
    return 0;
}

static int core(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit)) return failed();
    return limit.rlim_max ? 255 : 0;
}

static int environment(void) {
    for (char **variable = environ; *variable; variable++) puts(*variable);
    return 0;
}

static void *nothing(void *argument) { return argument; }

static int thread(void) {
    pthread_t thread;
    int error = pthread_create(&thread, 0, nothing, 0);
    if (error) return error;
    return pthread_join(thread, 0);
}

static int capabilities(void) {
    struct { unsigned version; int process; } header = {0x20080522, 0};
    unsigned sets[6] = {0};
    if (syscall(SYS_capget, &header, sets) < 0) return failed();
    unsigned all = 0;
    for (int i = 0; i < 6; i++) all |= sets[i];
    return all ? 255 : 0;
}

int main(int count, char **arguments) {
    setvbuf(stdout, 0, _IONBF, 0);
    const char *what = count > 1 ? arguments[1] : "", *with = count > 2 ? arguments[2] : "0";
    if (!strcmp(what, "read")) return read_file(with);
    if (!strcmp(what, "write")) return write_file(with);
    if (!strcmp(what, "empty")) return empty_file(with);
    if (!strcmp(what, "empty-old")) return empty_file_as_of_old(with);
    if (!strcmp(what, "truncate")) return truncate(with, 0) ? failed() : 0;
    if (!strcmp(what, "control")) return control_device(with);
    if (!strcmp(what, "bind")) return bind_to(atoi(with));
    if (!strcmp(what, "abstract")) return connect_to_abstract(with);
    if (!strcmp(what, "connect")) return connect_to(atoi(with));
    if (!strcmp(what, "fork")) return fork_often(atoi(with));
    if (!strcmp(what, "allocate")) return allocate(atol(with));
    if (!strcmp(what, "exec")) { execl(with, with, "exit", "42", (char *)0); return failed(); }
    if (!strcmp(what, "signal")) return kill(atoi(with), 0) ? failed() : 0;
    if (!strcmp(what, "call")) return syscall(atol(with), 0, 0, 0, 0, 0, 0) < 0 ? failed() : 0;
    if (!strcmp(what, "unix")) return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? failed() : 0;
    if (!strcmp(what, "descriptors")) return descriptors();
    if (!strcmp(what, "open")) return open_often(with);
    if (!strcmp(what, "where")) return where();
    if (!strcmp(what, "core")) return core();
    if (!strcmp(what, "environment")) return environment();
    if (!strcmp(what, "thread")) return thread();
    if (!strcmp(what, "capabilities")) return capabilities();
    if (!strcmp(what, "privileges")) return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : failed();
    if (!strcmp(what, "deaf")) signal(SIGXCPU, SIG_IGN);
    if (!strcmp(what, "deaf") || !strcmp(what, "spin")) for (;;) __asm__ volatile("");
    if (!strcmp(what, "crash")) *(volatile int *)8 = 0;
    if (!strcmp(what, "sleep")) { puts("asleep"); for (;;) sleep(1000); }
    if (!strcmp(what, "exit")) return atoi(with);
    return 254;
}
