#!/usr/bin/env bash
# libfaketime with FAKETIME_DONT_FAKE_MONOTONIC=1 leaves what CLOCK_MONOTONIC shows alone, but not a sleep until a moment of
# that clock (clock_nanosleep with TIMER_ABSTIME), which fails with EINVAL. Python's time.sleep is such a sleep; a program
# that waits in epoll_wait or on a futex, as one of Tokio's does, isn't affected.
#
# Needs: python3 (3.11 or later), and Debian's libfaketime (apt-get install libfaketime). Exits with 1 if it behaves otherwise.
set -euo pipefail

library=$(find /usr/lib -path '*/faketime/libfaketime.so.1' | head -1)
[ -n "$library" ] || { echo "libfaketime is missing: apt-get install libfaketime" >&2; exit 2; }
echo "libfaketime $(dpkg-query --show --showformat='${Version}' libfaketime), $(python3 --version)"

sleeper='
import time
before = time.monotonic()
try:
    time.sleep(0.2)
    print(f"slept {time.monotonic() - before:.1f} s")
except OSError as error:
    print(error)
'
sleep_with() { env LD_PRELOAD="$library" FAKETIME=-3600 "$@" timeout 10 python3 -c "$sleeper"; }

all_faked=$(sleep_with A=1)
monotonic_real=$(sleep_with FAKETIME_DONT_FAKE_MONOTONIC=1)
echo "all clocks faked by -3600 s:            $all_faked"
echo "all but the monotonic clock faked so:   $monotonic_real"
[ "$all_faked" = "slept 0.2 s" ] && [ "$monotonic_real" = "[Errno 22] Invalid argument" ]
