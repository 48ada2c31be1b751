/* SPDX-License-Identifier: ISC */

/* Tokens are compared here and nowhere else: the gateway, which strangers talk to, passes on what they
 * present and keeps none. They are read once, when the configuration is, and erased when they are forgotten.
 */

#include "manager/admin.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/bus.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/text.h"

#define TOKEN_FILE_MAX 4096
#define TOKEN_SHORT 16 /* below, it can be found by trying */

static char *forget(char *token)
{
    if (token)
        explicit_bzero(token, strlen(token));
    return mfree(token);
}

void admin_done(Admin *a)
{
    a->token = forget(a->token);
    a->read_token = forget(a->read_token);
}

/* token68 (RFC 9110, 11.2): what else nobody could present. */
static bool is_token68(const char *s, size_t len)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/");
    return n > 0 && n + strspn(s + n, "=") == len;
}

/* One line, white space around it aside. 0, -EINVAL, -ENOMEM, or -errno of what is not to be read. */
static int read_file(const char *path, char **ret)
{
    struct stat st;
    char *text;
    size_t len;

    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if ((st.st_mode & 0007) != 0)
        log_warning("%s can be read by everybody (mode %04o), and with it the admin API's token.", path,
                st.st_mode & 07777);
    int r = fd_read_file(fd, TOKEN_FILE_MAX, &text, &len);
    if (r < 0)
        return r;
    const char *begin = text + strspn(text, " \t\r\n");
    size_t n = strcspn(begin, " \t\r\n");
    bool good = is_token68(begin, n) && n <= BUS_TOKEN_MAX && begin[n + strspn(begin + n, " \t\r\n")] == 0;
    char *token = good ? strndup(begin, n) : NULL;
    explicit_bzero(text, len);
    free(text);
    if (!token)
        return good ? -ENOMEM : -EINVAL;
    *ret = token;
    return 0;
}

static int read_credential(const char *name, char **ret)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (!folder)
        return -ENXIO;
    _cleanup_free_ char *path = text_format("%s/%s", folder, name);
    return path ? read_file(path, ret) : -ENOMEM;
}

/* The configuration's file can be read by whom? */
static void warn_of_readers(const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && (st.st_mode & 0004) != 0)
        log_warning("%s can be read by everybody (mode %04o), and with it the admin API's token: "
                    "chmod o-r, or use tokenFile or tokenCredential.",
                path, st.st_mode & 07777);
}

static int load_token(Admin *a, const AdminToken *t, const char *file, char **ret)
{
    const char *where = t->file ?: t->credential ?: file;
    int r;

    if (!admin_token_is_set(t))
        return 0;
    if (t->text) {
        *ret = strdup(t->text);
        if (!*ret)
            return -ENOMEM;
        if (ret == &a->token) /* once is enough */
            warn_of_readers(file);
    } else {
        r = t->file ? read_file(t->file, ret) : read_credential(t->credential, ret);
        if (r == -ENOMEM)
            return r;
        if (r < 0) {
            a->unusable = true;
            if (r == -EINVAL) {
                log_error(
                        "The admin API lets nobody in, what %s %s holds is no token: expected one line of at "
                        "most %d letters, digits and -._~+/, with = at its end.",
                        t->file ? "file" : "credential", where, BUS_TOKEN_MAX);
                return 0;
            }
            log_error_errno(r, "The admin API lets nobody in, its token cannot be had from %s %s: %m",
                    t->file ? "file" : "credential", where);
            return 0;
        }
    }
    if (strlen(*ret) < TOKEN_SHORT)
        log_warning("The admin API's token of %s is short enough to be guessed.", where);
    return 0;
}

int admin_load(Admin *a, const AdminConfig *config)
{
    admin_done(a);
    *a = (Admin){.enabled = config->enabled};
    if (!config->enabled)
        return 0;
    int r = load_token(a, &config->token, config->file, &a->token);
    if (r >= 0)
        r = load_token(a, &config->read_token, config->file, &a->read_token);
    return r < 0 ? r : 0;
}

/* Looks at as many bytes whatever they are, and whatever the right ones are. */
static bool is_same(const char *a, const char *b)
{
    char x[BUS_TOKEN_MAX + 1] = {}, y[BUS_TOKEN_MAX + 1] = {};
    unsigned char differ = 0;

    if (strlen(a) > BUS_TOKEN_MAX)
        return false;
    memcpy(x, a, strlen(a));
    memcpy(y, b, strlen(b));
    for (size_t i = 0; i < sizeof x; i++)
        differ |= (unsigned char) (x[i] ^ y[i]);
    explicit_bzero(x, sizeof x);
    explicit_bzero(y, sizeof y);
    return differ == 0;
}

AdminRole admin_role(const Admin *a, const char *token)
{
    if (!a->enabled || a->unusable)
        return ADMIN_NOBODY;
    if (!a->token)
        return ADMIN_MANAGE;
    bool manages = is_same(token, a->token), reads = a->read_token && is_same(token, a->read_token);
    return manages ? ADMIN_MANAGE : reads ? ADMIN_READ : ADMIN_NOBODY;
}
