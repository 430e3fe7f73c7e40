/* The physical limits beside which evframe is measured, and what receives from both.
 *
 *   limits send-udp  PORT SIZE COUNT     sendto() in a loop
 *   limits send-unix PATH SIZE COUNT     blocking sendto() in a loop
 *   limits send-tcp  PORT SIZE COUNT     blocking send() in a loop
 *   limits write     PATH SIZE COUNT     write() to an appended file in a loop
 *   limits sink-unix PATH                receives until it is killed
 *   limits sink-tcp  PORT                the same, for connections
 *
 * The senders print how many they did in a second.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void check(long result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static socklen_t inet(struct sockaddr_storage *out, const char *port) {
    struct sockaddr_in *address = (struct sockaddr_in *)out;
    memset(out, 0, sizeof *out);
    address->sin_family = AF_INET;
    address->sin_port = htons(atoi(port));
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof *address;
}

static socklen_t local(struct sockaddr_storage *out, const char *path) {
    struct sockaddr_un *address = (struct sockaddr_un *)out;
    memset(out, 0, sizeof *out);
    address->sun_family = AF_UNIX;
    strncpy(address->sun_path, path, sizeof address->sun_path - 1);
    return sizeof *address;
}

static int sink(const char *mode, const char *target) {
    static char buffer[1 << 20];
    struct sockaddr_storage address;
    if (!strcmp(mode, "sink-unix")) {
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        check(bind(fd, (struct sockaddr *)&address, local(&address, target)), "bind");
        for (;;) check(recv(fd, buffer, sizeof buffer, 0), "recv");
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    check(bind(listener, (struct sockaddr *)&address, inet(&address, target)), "bind");
    check(listen(listener, 8), "listen");
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        check(fd, "accept");
        while (recv(fd, buffer, sizeof buffer, 0) > 0) {}
        close(fd);
    }
}

int main(int argc, char **argv) {
    if (argc == 3) return sink(argv[1], argv[2]);
    if (argc != 5) return 2;
    const char *mode = argv[1], *target = argv[2];
    int size = atoi(argv[3]), count = atoi(argv[4]);
    char *data = malloc(size);
    memset(data, 'x', size);
    struct sockaddr_storage address;
    socklen_t length = strcmp(mode, "send-unix") ? inet(&address, target) : local(&address, target);
    double start;
    if (!strcmp(mode, "write")) {
        int fd = open(target, O_WRONLY | O_APPEND | O_CREAT, 0644);
        check(fd, "open");
        start = now();
        for (int i = 0; i < count; i++) check(write(fd, data, size), "write");
    } else if (!strcmp(mode, "send-tcp")) {
        int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
        check(connect(fd, (struct sockaddr *)&address, length), "connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        start = now();
        for (int i = 0; i < count; i++) check(send(fd, data, size, 0), "send");
    } else {
        int fd = socket(strcmp(mode, "send-udp") ? AF_UNIX : AF_INET, SOCK_DGRAM, 0);
        start = now();
        for (int i = 0; i < count; i++) check(sendto(fd, data, size, 0, (struct sockaddr *)&address, length), "sendto");
    }
    printf("%.1f\n", count / (now() - start));
    return 0;
}
