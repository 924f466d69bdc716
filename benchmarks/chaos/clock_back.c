/* Sets the wall clock an hour back for the program that has this library in LD_PRELOAD, and for those that it starts.
 *
 * As when NTP sets a clock back: what tells the wall-clock time tells an hour less, what waits until a wall-clock time
 * waits as if the clock were right, and monotonic clocks do not notice. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define BACK 3600
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define EARLIEST 1000000000 /* no monotonic clock has come so far: seconds of about 30 years */

static int is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

static const struct timespec *kernel_time(const struct timespec *until, struct timespec *copy) {
    if (until == NULL || until->tv_sec < EARLIEST) return until;
    *copy = *until;
    copy->tv_sec += BACK;
    return copy;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static __typeof__(&clock_gettime) real;
    if (real == NULL) real = REAL(clock_gettime);
    int result = real(clock, now);
    if (result == 0 && is_wall(clock)) now->tv_sec -= BACK;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    static __typeof__(&gettimeofday) real;
    if (real == NULL) real = REAL(gettimeofday);
    int result = real(now, zone);
    if (result == 0) now->tv_sec -= BACK;
    return result;
}

time_t time(time_t *now) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now != NULL) *now = precise.tv_sec;
    return precise.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    struct timespec copy;
    return REAL(pthread_cond_timedwait)(condition, mutex, kernel_time(until, &copy));
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    struct timespec copy;
    return REAL(pthread_mutex_timedlock)(mutex, kernel_time(until, &copy));
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    struct timespec copy;
    return REAL(sem_timedwait)(semaphore, kernel_time(until, &copy));
}

int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock,
                           const struct timespec *until) {
    struct timespec copy;
    return REAL(pthread_cond_clockwait)(condition, mutex, clock, is_wall(clock) ? kernel_time(until, &copy) : until);
}

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until) {
    struct timespec copy;
    return REAL(sem_clockwait)(semaphore, clock, is_wall(clock) ? kernel_time(until, &copy) : until);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    struct timespec copy;
    int at_wall_time = is_wall(clock) && (flags & TIMER_ABSTIME);
    return REAL(clock_nanosleep)(clock, flags, at_wall_time ? kernel_time(until, &copy) : until, left);
}

/* Abseil, which Ray is built with, waits by the kernel's futex itself. */
long syscall(long number, ...) {
    static __typeof__(&syscall) real;
    if (real == NULL) real = REAL(syscall);
    struct timespec copy;
    va_list given;
    long a[6];
    va_start(given, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(given, long);
    va_end(given);
    if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME)) a[3] = (long)kernel_time((const struct timespec *)a[3], &copy);
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
