#!/bin/bash
# chromedriver --port=0 asks the system for a port on ::1, and then wants the same number on 127.0.0.1. Where another socket has
# that, it ends: "IPv4 port not available. Exiting...". On a machine with many connections on 127.0.0.1 that is now and then.
# Here half of the ports of 127.0.0.1 that the system gives out are taken, so that it is more often.
#
# Needs Debian's chromium-driver, python3. Loopback only; exits with 1 if it never ended so.
set -u
command -v chromedriver >/dev/null || { echo "missing: chromedriver"; exit 2; }
chromedriver --version
exec python3 - <<'PYTHON'
import resource, socket, subprocess, sys
first, last = map(int, open("/proc/sys/net/ipv4/ip_local_port_range").read().split())
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
taken = []
for _ in range(min((last - first) // 2, most - 100)):
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    taken.append(holder)
print(f"{len(taken)} of {last - first + 1} ports of 127.0.0.1 are taken")
ended = 0
for _ in range(10):
    driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in driver.stdout:
        if "successfully on port" in line:
            break
        if "port not available" in line:
            ended += 1
    driver.terminate()
    driver.wait()
print(f"10 started, {ended} ended since the port was taken")
sys.exit(0 if ended else 1)
PYTHON
