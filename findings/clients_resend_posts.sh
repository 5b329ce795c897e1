#!/bin/bash
# A server takes a POST and closes the connection before it has responded. Java's HttpURLConnection sends the POST a second
# time by itself, even on its first connection, and returns the second response as if it were the only one
# (sun.net.http.retryPost, true by default). wget does too (--tries, 20 by default). curl and PHP's curl extension do if the
# connection was used before, and report an error if it is new.
#
# Needs Debian's default-jdk-headless, wget, curl, php-cli, php-curl, python3. Loopback only; exits with 1 if the behaviour is another.
set -u
dir=$(mktemp -d)
pids=()
cleanup() { kill "${pids[@]}" 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"; }
trap cleanup EXIT
for program in java wget curl php python3; do
  command -v $program >/dev/null || { echo "missing: $program"; exit 2; }
done
java -version 2>&1 | head -1; wget --version | head -1; curl --version | cut -d' ' -f1,2 | head -1; php --version | head -1

# Responds to every GET. Of each two POSTs it takes the first and closes, and responds to the second.
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
url=http://127.0.0.1:$(cat "$dir/port")

cat > "$dir/Post.java" <<'JAVA'
import java.net.HttpURLConnection;
import java.net.URL;

public class Post {
    public static void main(String[] arguments) throws Exception {
        var connection = (HttpURLConnection) new URL(arguments[0]).openConnection();
        connection.setDoOutput(true);
        connection.getOutputStream().write("vote".getBytes());
        System.out.println(connection.getResponseCode());
    }
}
JAVA
cat > "$dir/post.php" <<'PHP'
<?php
$curl = curl_init($argv[1]);
curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
if ($argc > 2) curl_exec($curl);
curl_setopt($curl, CURLOPT_POSTFIELDS, 'vote');
curl_exec($curl);
echo curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
PHP

failed=0
expect() { # name, status, times that the server got it, command
  local name=$1 wanted="$2 $3" status times; shift 3
  curl -s -o "$dir/none" "$url/reset"
  status=$("$@" 2>"$dir/log"); times=$(curl -s "$url/reset")
  echo "$name: sent once, status $status, taken $times x"
  [ "$status $times" = "$wanted" ] || { echo "  expected: $wanted x"; failed=1; }
}
wget_post() { wget -q -O "$dir/none" --post-data=vote --server-response "$1" 2>&1 | sed -n 's/^ *HTTP.* \([0-9]*\) .*/\1/p' | tail -1; }
expect "Java's HttpURLConnection, new connection" 200 2 java "$dir/Post.java" "$url/"
expect "wget, new connection" 200 2 wget_post "$url/"
expect "curl, new connection" 000 1 curl -s -o "$dir/none" -w '%{http_code}' -d vote "$url/"
expect "curl, used connection" 200 2 curl -s -o "$dir/none" "$url/" --next -s -o "$dir/none" -w '%{http_code}' -d vote "$url/"
expect "PHP's curl, new connection" 0 1 php "$dir/post.php" "$url/"
expect "PHP's curl, used connection" 200 2 php "$dir/post.php" "$url/" used
exit $failed
