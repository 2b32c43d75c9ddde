/*
 * From fork() to the first 200 on /healthz. The load's core asks again and again; a refused
 * connection on loopback costs it some microseconds, so that is the resolution.
 */
#include "load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIVE_UP_US 30e6

static const char REQUEST[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

static pid_t spawn(char **command, int core) {
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    pin(core);
    int nowhere = open("/dev/null", O_RDWR);
    dup2(nowhere, STDIN_FILENO);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    execvp(command[0], command);
    _exit(127);
}

static bool answers(const struct sockaddr_in *there) {
    char head[1024] = "";
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool is_ok = connect(fd, (const struct sockaddr *)there, sizeof(*there)) == 0 &&
                 send(fd, REQUEST, sizeof(REQUEST) - 1, MSG_NOSIGNAL) > 0 &&
                 recv(fd, head, sizeof(head) - 1, 0) > 0 && strncmp(head, "HTTP/1.1 200", 12) == 0;
    close(fd);
    return is_ok;
}

void load_start(const struct options *options, char **command) {
    struct latencies latencies = {0};
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
    inet_pton(AF_INET, options->address, &there.sin_addr);
    for (int i = 0; i < options->rounds; i++) {
        double began_us = now_us();
        pid_t pid = spawn(command, options->server_core);
        while (!answers(&there))
            if (now_us() - began_us > GIVE_UP_US || waitpid(pid, NULL, WNOHANG) == pid)
                fail("%s does not start", command[0]);
        latencies_add(&latencies, now_us() - began_us);
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
    }
    printf("{\"errors\": 0, \"start_us\": %.0f, \"worst_us\": %.0f}\n",
           latencies_at(&latencies, 0.5), latencies_at(&latencies, 1.0));
}
