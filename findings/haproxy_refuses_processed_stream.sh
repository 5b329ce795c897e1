#!/bin/bash
# A server takes a POST from HAProxy and closes before it has responded. To an HTTP/1.1 client on a new connection HAProxy
# responds with 502. To an HTTP/2 client, whose request came on a new connection too, it resets the stream with
# REFUSED_STREAM, which says that the request was not processed (RFC 9113, 8.7). curl sends it a second time by itself.
#
# Needs Debian's haproxy, curl, openssl, python3. Loopback only; exits with 1 if the behaviour is another.
set -u
dir=$(mktemp -d)
pids=()
cleanup() { kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"; }
trap cleanup EXIT
PATH=$PATH:/usr/sbin
for program in haproxy curl openssl python3; do
  command -v $program >/dev/null || { echo "missing: $program"; exit 2; }
done
haproxy -v | head -1; curl --version | cut -d' ' -f1,2 | head -1

# Responds to every GET with how many POSTs it took. It takes every POST, and responds to every second one.
cat > "$dir/origin.py" <<'PYTHON'
import socketserver, sys
posts = 0
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        global posts
        while line := self.rfile.readline():
            length = 0
            while (header := self.rfile.readline()).strip():
                name, value = header.split(b":", 1)
                if name.lower() == b"content-length":
                    length = int(value)
            self.rfile.read(length)
            if line.startswith(b"POST"):
                posts += 1
                if posts % 2 == 1:
                    return
            body = b"%d" % posts
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            if line.startswith(b"GET /reset"):
                posts = 0
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    def handle_error(self, *_):
        pass  # a client that is gone
server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], file=open(sys.argv[1], "w"), flush=True)
server.serve_forever()
PYTHON
python3 "$dir/origin.py" "$dir/port" & pids+=($!)
for _ in $(seq 200); do [ -s "$dir/port" ] && break; read -rt 0.05 <> <(:); done
origin=127.0.0.1:$(cat "$dir/port")
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$dir/key" -out "$dir/certificate" -days 2 -subj /CN=localhost 2>"$dir/log"
cat "$dir/certificate" "$dir/key" > "$dir/pem"
cat > "$dir/haproxy.cfg" <<CONF
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
frontend in
  bind 127.0.0.1:$port ssl crt $dir/pem alpn h2,http/1.1
  default_backend origin
backend origin
  server origin $origin
CONF
haproxy -db -f "$dir/haproxy.cfg" 2>"$dir/log" & pids+=($!)
for _ in $(seq 200); do curl -k -s -o "$dir/none" "https://127.0.0.1:$port/" && break; read -rt 0.05 <> <(:); done

failed=0
expect() { # version, status, times that the server took it
  curl -s -o "$dir/none" "http://$origin/reset"
  local status times refused
  status=$(curl -k -s -v "--$1" -o "$dir/none" -w '%{http_code}' -d vote "https://127.0.0.1:$port/" 2>"$dir/verbose")
  times=$(curl -s "http://$origin/reset")
  refused=$(grep -c REFUSED_STREAM "$dir/verbose")
  echo "$1, new connection: sent once, status $status, taken $times x, REFUSED_STREAM $refused x"
  [ "$status $times $refused" = "$2 $3 $4" ] || { echo "  expected: $2, $3 x, REFUSED_STREAM $4 x"; failed=1; }
}
expect http1.1 502 1 0
expect http2 200 2 1
exit $failed
