#!/bin/bash
# A response may be kept by shared caches for a second: `Cache-Control: public, max-age=0, s-maxage=1`. Varnish, with its
# defaults, shows it to a reader 5 seconds later: it adds `default_grace`, 10 seconds. `CDN-Cache-Control` (RFC 9213) and
# `must-revalidate` don't change that. `stale-while-revalidate=0` does: Varnish takes it for the grace.
#
# Needs Debian's varnish, curl, python3. Loopback only, 20 seconds; exits with 1 if the behaviour is another.
set -u
dir=$(mktemp -d)
pids=()
cleanup() { kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"; }
trap cleanup EXIT
chmod 755 "$dir"
PATH=$PATH:/usr/sbin
for program in varnishd curl python3; do
  command -v $program >/dev/null || { echo "missing: $program"; exit 2; }
done
varnishd -V 2>&1 | head -1

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Responds with the number of the request, and with the headers that the query names.
cat > "$dir/origin.py" <<'PYTHON'
import http.server, sys, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version, number = "HTTP/1.1", 0
    def do_GET(self):
        Handler.number += 1
        body = b"%d" % Handler.number
        self.send_response(200)
        for name, value in urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PYTHON
origin=$(free_port)
python3 "$dir/origin.py" "$origin" & pids+=($!)
port=$(free_port)
varnishd -F -n "$dir/varnish" -a "127.0.0.1:$port" -b "127.0.0.1:$origin" -s default,16m -T none >"$dir/log" 2>&1 & pids+=($!)
for _ in $(seq 200); do
  [ "$(curl -s -o "$dir/none" -w '%{http_code}' "http://127.0.0.1:$port/")" = 200 ] && break
  read -rt 0.1 <> <(:)
done

failed=0
expect() { # headers, what a reader 5 seconds after the first gets
  local url="http://127.0.0.1:$port/?$1" first second seen=new
  first=$(curl -s -g "$url"); sleep 5; second=$(curl -s -g "$url")
  [ "$first" = "$second" ] && seen="the response of 5 s before"
  echo "$1: $seen"
  [ "$seen" = "$2" ] || { echo "  expected: $2"; failed=1; }
}
stale="the response of 5 s before"
expect 'Cache-Control=public,max-age=0,s-maxage=1' "$stale"
expect 'Cache-Control=public,max-age=0,s-maxage=1,must-revalidate' "$stale"
expect 'Cache-Control=public,max-age=0,s-maxage=1&CDN-Cache-Control=public,max-age=1' "$stale"
expect 'Cache-Control=public,max-age=0,s-maxage=1,stale-while-revalidate=0' new
exit $failed
