/* SPDX-License-Identifier: ISC */

/* Runs a fuzz target over the files of a corpus folder, so that what a fuzzer once found stays found. */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "util/fd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    unsigned n = 0;

    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            perror(argv[i]);
            return 1;
        }
        for (struct dirent *e; (e = readdir(d));) {
            _cleanup_close_ int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC);
            _cleanup_free_ char *buf = NULL;
            size_t len = 0;
            if (e->d_name[0] == '.' || fd < 0 || fd_read_file(fd, 16 * 1024 * 1024, &buf, &len) < 0)
                continue;
            /* A buffer of exactly the input's size lets the address sanitizer see a read past its end. */
            _cleanup_free_ uint8_t *exact = malloc(len ? len : 1);
            if (!exact)
                return 1;
            memcpy(exact, buf, len);
            (void) LLVMFuzzerTestOneInput(exact, len);
            n++;
        }
        closedir(d);
    }
    printf("%u inputs\n", n);
    return n > 0 ? 0 : 1; /* an empty corpus proves nothing */
}
