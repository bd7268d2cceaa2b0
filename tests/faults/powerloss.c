/* What a process does to the files below POWERLOSS_DIR, told in order to POWERLOSS_LOG (power.py reads it).
 *
 * Preloaded: cc -shared -fPIC -o powerloss.so powerloss.c -ldl; LD_PRELOAD=powerloss.so
 *
 * A record: operation, inode, offset, two lengths, path, data. One lock spans each operation and its record, so that a
 * sync covers what was recorded before it and nothing else. Without the two variables nothing is recorded.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

struct __attribute__((packed)) head {
    char op; /* C made, W written, T cut to `offset`, S synced, R renamed, U unlinked, L linked, M folder made */
    uint64_t inode, offset;
    uint32_t path, data;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *below;
static int told = -1;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static int watching(void) {
    if (told < 0) {
        const char *log = getenv("POWERLOSS_LOG");
        below = getenv("POWERLOSS_DIR");
        if (!log || !below)
            return 0;
        told = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    return told >= 0;
}

static int ours(const char *path) {
    size_t n = strlen(below);
    return !strncmp(path, below, n) && (path[n] == '/' || !path[n]);
}

/* Whether it is the folder above ours, whose sync makes the name of ours last. */
static int above(const char *path) {
    size_t n = strlen(path);
    return !strncmp(path, below, n) && below[n] == '/' && !strchr(below + n + 1, '/');
}

/* The path behind a descriptor, if it is below the folder. */
static int place(int fd, char *path) {
    char link[64];
    if (!watching())
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0)
        return 0;
    path[n] = 0;
    return ours(path) || above(path);
}

static void tell(char op, uint64_t inode, uint64_t offset, const char *path, const void *data, size_t size) {
    struct head h = {op, inode, offset, (uint32_t)strlen(path), (uint32_t)size};
    struct iovec parts[3] = {{&h, sizeof h}, {(void *)path, h.path}, {(void *)data, size}};
    int keep = errno;
    if (REAL(writev)(told, parts, size ? 3 : 2) != (ssize_t)(sizeof h + h.path + size))
        abort();
    errno = keep;
}

static uint64_t inode(int fd) {
    struct stat s;
    return fstat(fd, &s) ? 0 : s.st_ino;
}

static int opened(int (*call)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    char at[PATH_MAX];
    pthread_mutex_lock(&lock);
    int there = (flags & O_CREAT) ? !access(path, F_OK) : 1;
    int fd = call(path, flags, mode);
    if (fd >= 0 && (!there || flags & O_TRUNC) && place(fd, at))
        tell(there ? 'T' : 'C', inode(fd), 0, at, "", 0);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(name)                                                                                                    \
    int name(const char *path, int flags, ...) {                                                                      \
        va_list rest;                                                                                                 \
        va_start(rest, flags);                                                                                        \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;                                     \
        va_end(rest);                                                                                                 \
        return opened((int (*)(const char *, int, ...))real(#name), path, flags, mode);                               \
    }
OPEN(open)
OPEN(open64)

static ssize_t written(int fd, ssize_t done, uint64_t at, const void *data, const char *path) {
    if (done > 0)
        tell('W', inode(fd), at, path, data, (size_t)done);
    return done;
}

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    if (!place(fd, path))
        return REAL(write)(fd, data, size);
    pthread_mutex_lock(&lock);
    int whence = fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR;
    uint64_t at = (uint64_t)lseek(fd, 0, whence);
    ssize_t done = written(fd, REAL(write)(fd, data, size), at, data, path);
    pthread_mutex_unlock(&lock);
    return done;
}

#define PWRITE(name, off)                                                                                             \
    ssize_t name(int fd, const void *data, size_t size, off at) {                                                     \
        char path[PATH_MAX];                                                                                          \
        if (!place(fd, path))                                                                                         \
            return REAL(name)(fd, data, size, at);                                                                    \
        pthread_mutex_lock(&lock);                                                                                    \
        ssize_t done = written(fd, REAL(name)(fd, data, size, at), (uint64_t)at, data, path);                         \
        pthread_mutex_unlock(&lock);                                                                                  \
        return done;                                                                                                  \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, off)                                                                                           \
    int name(int fd, off size) {                                                                                      \
        char path[PATH_MAX];                                                                                          \
        if (!place(fd, path))                                                                                         \
            return REAL(name)(fd, size);                                                                              \
        pthread_mutex_lock(&lock);                                                                                    \
        int bad = REAL(name)(fd, size);                                                                               \
        if (!bad)                                                                                                     \
            tell('T', inode(fd), (uint64_t)size, path, "", 0);                                                        \
        pthread_mutex_unlock(&lock);                                                                                  \
        return bad;                                                                                                   \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name)                                                                                                    \
    int name(int fd) {                                                                                                \
        char path[PATH_MAX];                                                                                          \
        if (!place(fd, path))                                                                                         \
            return REAL(name)(fd);                                                                                    \
        pthread_mutex_lock(&lock);                                                                                    \
        int bad = REAL(name)(fd);                                                                                     \
        if (!bad)                                                                                                     \
            tell('S', inode(fd), 0, path, "", 0);                                                                     \
        pthread_mutex_unlock(&lock);                                                                                  \
        return bad;                                                                                                   \
    }
SYNC(fsync)
SYNC(fdatasync)

/* Names: the caller gives absolute paths, as the daemon does for its folder. */
static void named(char op, const char *path, const char *other) {
    struct stat s;
    if (watching() && ours(path))
        tell(op, stat(other ? other : path, &s) ? 0 : s.st_ino, 0, path, other ? other : "", other ? strlen(other) : 0);
}

#define NAMED(signature, op, call, path, other)                                                                       \
    int signature {                                                                                                   \
        pthread_mutex_lock(&lock);                                                                                    \
        int bad = call;                                                                                               \
        if (!bad)                                                                                                     \
            named(op, path, other);                                                                                   \
        pthread_mutex_unlock(&lock);                                                                                  \
        return bad;                                                                                                   \
    }
NAMED(rename(const char *from, const char *to), 'R', REAL(rename)(from, to), from, to)
NAMED(unlink(const char *path), 'U', REAL(unlink)(path), path, NULL)
NAMED(link(const char *from, const char *to), 'L', REAL(link)(from, to), from, to)
NAMED(linkat(int a, const char *from, int b, const char *to, int f), 'L', REAL(linkat)(a, from, b, to, f), from, to)
NAMED(mkdir(const char *path, mode_t mode), 'M', REAL(mkdir)(path, mode), path, NULL)
