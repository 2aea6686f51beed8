"""A wall clock that can be set wrong for chosen processes, while the machine's own stays right.

A shim of a few lines, compiled once and preloaded: it adds the seconds of a file to `CLOCK_REALTIME`, so Python, SQL
drivers and signatures of the process all see the jump, as after a wrong NTP answer. Monotonic time is left alone.
(libfaketime does more, and is under the GPL, so it is no dependency.)
"""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path
from shutil import which

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *jump;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void open_clock(void) {
    real = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("WRONG_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, 8, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) jump = page;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, time);
    if (!result && jump && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += *jump;
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""


class WrongClock:
    """`environment` is for the processes that are to have this clock; `jump` sets it, in seconds."""

    def __init__(self, folder: Path, shim: Path) -> None:
        self._file = folder / "clock"
        self.jump(0)
        self.environment = {"LD_PRELOAD": str(shim), "WRONG_CLOCK": str(self._file)}

    def jump(self, seconds: int) -> None:
        if not self._file.exists():
            self._file.write_bytes(struct.pack("q", seconds))
        with self._file.open("r+b") as file:  # in place: it is mapped
            file.write(struct.pack("q", seconds))


def wrong_clock(folder: Path) -> WrongClock | None:
    """None where it cannot be made: no C compiler, or not Linux."""
    if sys.platform != "linux" or which("cc") is None:
        return None
    source, shim = folder / "clock.c", folder / "clock.so"
    source.write_text(SHIM)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, source, "-ldl"], check=True)
    return WrongClock(folder, shim)
