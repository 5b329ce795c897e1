#!/bin/bash
# A proxy's node takes a POST and dies before it has responded. nginx responds with 502. Apache httpd and HAProxy, with
# their defaults, close the client's connection without a response if a request was made on it before; curl then sends
# the POST a second time by itself and reports success, so that a request sent once was carried out twice.
# With `KeepAlive Off` and `option httpclose` they respond with 502.
#
# Needs Debian's nginx-light, apache2, haproxy, curl, python3. Loopback only; exits with 1 if the behaviour is another.
set -u
dir=$(mktemp -d)
pids=()
cleanup() { kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"; }
trap cleanup EXIT
chmod 755 "$dir"
for program in nginx apache2 haproxy curl python3; do
  PATH=$PATH:/usr/sbin command -v $program >/dev/null || { echo "missing: $program"; exit 2; }
done
PATH=$PATH:/usr/sbin
nginx -v 2>&1; apache2 -v | head -1; haproxy -v | head -1; curl --version | head -1

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Responds to every GET with 200. Of each two POSTs it carries out the first and closes, and responds to the second.
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
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PYTHON
origin=$(free_port)
python3 "$dir/origin.py" "$origin" & pids+=($!)

wait_for() { for _ in $(seq 200); do curl -s -o "$dir/none" "http://127.0.0.1:$1/" && return; read -rt 0.05 <> <(:); done; echo "port $1 doesn't listen"; exit 2; }
wait_for "$origin"

start_nginx() {
  cat > "$dir/nginx.conf" <<CONF
pid $dir/nginx.pid;
events {}
http {
  access_log off; client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
  server { listen 127.0.0.1:$1; location / { proxy_pass http://127.0.0.1:$origin; } }
}
CONF
  nginx -p "$dir" -c "$dir/nginx.conf" -e stderr -g 'daemon off;' 2>"$dir/nginx.log" & pids+=($!)
}

start_apache() { # port, KeepAlive
  mkdir -p "$dir/$1"; local modules=/usr/lib/apache2/modules
  cat > "$dir/$1/apache.conf" <<CONF
ServerRoot $dir/$1
ServerName test
Listen 127.0.0.1:$1
PidFile $dir/$1/pid
DefaultRuntimeDir $dir/$1
ErrorLog $dir/$1/log
LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule proxy_module $modules/mod_proxy.so
LoadModule proxy_http_module $modules/mod_proxy_http.so
User www-data
Group www-data
KeepAlive $2
ProxyPass / http://127.0.0.1:$origin/
CONF
  apache2 -f "$dir/$1/apache.conf" -D FOREGROUND & pids+=($!)
}

start_haproxy() { # port, option
  cat > "$dir/haproxy-$1.cfg" <<CONF
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
frontend in
  bind 127.0.0.1:$1
  $2
  default_backend origin
backend origin
  server origin 127.0.0.1:$origin
CONF
  haproxy -db -f "$dir/haproxy-$1.cfg" 2>"$dir/haproxy.log" & pids+=($!)
}

failed=0
# A GET and then a POST in one run of curl, which uses the connection again if it may.
expect() { # name, port, status of the POST, times that the origin got it
  wait_for "$2"
  curl -s -o "$dir/none" "http://127.0.0.1:$origin/reset"
  local status times
  status=$(curl -s -o "$dir/none" "http://127.0.0.1:$2/" --next -s -o "$dir/none" -w '%{http_code}' -d vote "http://127.0.0.1:$2/")
  times=$(curl -s "http://127.0.0.1:$origin/reset")
  echo "$1: sent once, curl got $status, carried out $times x"
  [ "$status $times" = "$3 $4" ] || { echo "  expected: $3, $4 x"; failed=1; }
}

port=$(free_port); start_nginx "$port"; expect "nginx" "$port" 502 1
port=$(free_port); start_apache "$port" On; expect "Apache, KeepAlive On (default)" "$port" 200 2
port=$(free_port); start_apache "$port" Off; expect "Apache, KeepAlive Off" "$port" 502 1
port=$(free_port); start_haproxy "$port" ""; expect "HAProxy, keep-alive (default)" "$port" 200 2
port=$(free_port); start_haproxy "$port" "option httpclose"; expect "HAProxy, option httpclose" "$port" 502 1
exit $failed
