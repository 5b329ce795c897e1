#!/bin/bash
# The processor throttling of Chromium's developer tools (Emulation.setCPUThrottlingRate, as used by performance tests that stand
# for a slow phone) slows a page's own thread down, and not its dedicated workers: what is computed in a worker takes as long as
# without. A test of a slow device has to compute on the page's thread, or measures a fast one.
#
# Needs Debian's chromium, chromium-driver and python3. Loopback only; exits with 1 if the page isn't slowed down, or the worker is as much.
set -u
for program in chromium chromedriver python3; do
  command -v "$program" >/dev/null || { echo "missing: $program"; exit 2; }
done
chromium --version 2>/dev/null
exec python3 - <<'PYTHON'
import json, socket, subprocess, sys, tempfile, time, urllib.request

WORK = "const begun = performance.now(); let sum = 0; for (let n = 0; n < 6e7; n++) sum = (sum + n * n) | 0; " \
       "const took = performance.now() - begun;"
SCRIPT = f"""
const done = arguments[arguments.length - 1];
{WORK}
const worker = new Worker(URL.createObjectURL(new Blob(["{WORK} postMessage(took)"])));
worker.onmessage = (message) => done([took, message.data]);
"""

with socket.socket() as chosen:
    chosen.bind(("127.0.0.1", 0))
    port = chosen.getsockname()[1]
driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

def call(path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)["value"]

try:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.1)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}"]
        capabilities = {"alwaysMatch": {"goog:chromeOptions": {"args": flags}, "timeouts": {"script": 100000}}}
        session = "/session/" + call("/session", {"capabilities": capabilities})["sessionId"]
        # The first page takes no worker.
        call(session + "/url", {"url": "data:text/html,<p>empty</p>"})
        took = {}
        for rate in [1, 6, 1, 6]:
            call(session + "/goog/cdp/execute", {"cmd": "Emulation.setCPUThrottlingRate", "params": {"rate": rate}})
            page, worker = call(session + "/execute/async", {"script": SCRIPT, "args": []})
            print(f"rate {rate}: the page's thread took {page:.0f} ms, a worker {worker:.0f} ms")
            best = took.get(rate, (page, worker))
            took[rate] = (min(best[0], page), min(best[1], worker))
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{session}", method="DELETE"), timeout=30)
finally:
    driver.terminate()
    driver.wait()
page, worker = took[6][0] / took[1][0], took[6][1] / took[1][1]
print(f"at rate 6 the page's thread is {page:.1f} times as slow, a worker {worker:.1f} times")
sys.exit(0 if page > 3 and worker < page / 2 else 1)
PYTHON
