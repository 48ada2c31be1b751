/* SPDX-License-Identifier: ISC */

#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ipc/table.h"
#include "util/fd.h"

static void what_the_manager_writes_a_gateway_reads(void **state)
{
    _cleanup_close_ int fd = -EBADF;
    StatusTable *t;
    const StatusTable *seen;

    assert_int_equal(status_table_new(&t, &fd), 0);
    assert_int_equal(status_table_map(fd, &seen), 0);
    assert_int_equal(atomic_load(&seen->slots[SLOTS_MAX - 1].state), SERVICE_OFFLINE);
    atomic_store(&t->slots[SLOTS_MAX - 1].state, SERVICE_ONLINE);
    atomic_store(&t->slots[SLOTS_MAX - 1].epoch, 7);
    atomic_store(&t->slots[0].watch, 1);
    assert_int_equal(atomic_load(&seen->slots[SLOTS_MAX - 1].state), SERVICE_ONLINE);
    assert_int_equal(atomic_load(&seen->slots[SLOTS_MAX - 1].epoch), 7);
    assert_int_equal(atomic_load(&seen->slots[0].watch), 1);
    status_table_unmap(seen);
    status_table_unmap(t);
}

static void nobody_but_the_manager_can_write_the_status_table(void **state)
{
    _cleanup_close_ int fd = -EBADF;
    StatusTable *t;
    const StatusTable *seen;

    assert_int_equal(status_table_new(&t, &fd), 0);
    assert_ptr_equal(mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    assert_int_equal(errno, EPERM);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
    assert_int_equal(errno, EPERM);

    /* nor through a mapping made for reading */
    assert_int_equal(status_table_map(fd, &seen), 0);
    assert_int_equal(mprotect((void *) seen, sizeof *seen, PROT_READ | PROT_WRITE), -1);
    assert_int_equal(errno, EACCES);

    /* nor through a second open of the same file */
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    _cleanup_close_ int again = open(path, O_RDWR | O_CLOEXEC);
    if (again >= 0)
        assert_ptr_equal(mmap(NULL, sizeof *t, PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
    status_table_unmap(seen);
    status_table_unmap(t);
}

static void neither_table_changes_its_size_or_seals(void **state)
{
    _cleanup_close_ int status_fd = -EBADF, activity_fd = -EBADF;
    StatusTable *t;
    const ActivityTable *a;

    assert_int_equal(status_table_new(&t, &status_fd), 0);
    assert_int_equal(activity_table_new(&a, &activity_fd), 0);
    int fds[] = {status_fd, activity_fd};
    for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
        assert_int_equal(ftruncate(fds[i], 0), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(ftruncate(fds[i], 64 << 20), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(fcntl(fds[i], F_ADD_SEALS, F_SEAL_WRITE), -1);
        assert_int_equal(errno, EPERM);
        assert_int_equal(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    }
    status_table_unmap(t);
    activity_table_unmap(a);
}

static void what_a_worker_writes_outlives_the_worker(void **state)
{
    _cleanup_close_ int fd = -EBADF;
    const ActivityTable *a;

    assert_int_equal(activity_table_new(&a, &fd), 0);
    pid_t pid = fork();
    if (pid == 0) {
        ActivityTable *mine;
        if (activity_table_map(fd, &mine) < 0)
            _exit(1);
        atomic_store(&mine->slots[SLOTS_MAX - 1].active, 3);
        atomic_store(&mine->slots[SLOTS_MAX - 1].last_activity, 12345);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(atomic_load(&a->slots[SLOTS_MAX - 1].active), 3);
    assert_int_equal(atomic_load(&a->slots[SLOTS_MAX - 1].last_activity), 12345);
    assert_int_equal(atomic_load(&a->slots[0].active), 0);
    activity_table_unmap(a);
}

static void a_gateway_refuses_what_is_no_table(void **state)
{
    const StatusTable *t = NULL;
    ActivityTable *a = NULL;

    /* no memfd */
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_equal(status_table_map(null, &t), -EINVAL);
    assert_int_equal(activity_table_map(null, &a), -EINVAL);
    /* no descriptor */
    assert_int_equal(status_table_map(-EBADF, &t), -EINVAL);
    /* a memfd that can shrink below the mapping */
    _cleanup_close_ int loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(loose, sizeof(ActivityTable)), 0);
    assert_int_equal(activity_table_map(loose, &a), -EINVAL);
    /* sealed, and too small */
    _cleanup_close_ int small = memfd_new_sized("small", 4096);
    assert_int_equal(fcntl(small, F_ADD_SEALS, F_SEAL_SEAL), 0);
    assert_int_equal(activity_table_map(small, &a), -EINVAL);
    /* right in size, and writable by all */
    _cleanup_close_ int open_to_all = memfd_new_sized("open", sizeof(StatusTable));
    assert_int_equal(status_table_map(open_to_all, &t), -EINVAL);
    assert_null(t);
    assert_null(a);
}

static void slots_do_not_share_cache_lines(void **state)
{
    assert_int_equal(sizeof(ActivitySlot), 64);
    assert_int_equal(sizeof(StatusSlot), 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_the_manager_writes_a_gateway_reads),
            cmocka_unit_test(nobody_but_the_manager_can_write_the_status_table),
            cmocka_unit_test(neither_table_changes_its_size_or_seals),
            cmocka_unit_test(what_a_worker_writes_outlives_the_worker),
            cmocka_unit_test(a_gateway_refuses_what_is_no_table),
            cmocka_unit_test(slots_do_not_share_cache_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
