/* SPDX-License-Identifier: ISC */

/* exec-stamp STAMP PROGRAM ARGUMENT...: writes the CLOCK_MONOTONIC ns of this moment to the file STAMP and
 * becomes the program: when a service was executed, without the time that whoever measures needs to make a
 * process. */

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    char text[32];

    if (argc < 3)
        return 2;
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    clock_gettime(CLOCK_MONOTONIC, &now);
    int n = snprintf(text, sizeof text, "%lld", (long long) now.tv_sec * 1000000000 + now.tv_nsec);
    (void) !write(fd, text, (size_t) n);
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
