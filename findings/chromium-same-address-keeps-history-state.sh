#!/usr/bin/env bash
# Chromium: going to the address that is shown already, as a bookmark or the address bar does or by a link in the page, loads
# the page anew and keeps `history.state`. So what a page keeps there outlives what its visitor takes for a new visit; a page
# that means to begin anew has to clear it before the link is followed.
#
# Needs curl, jq, python3 and Debian's chromium and chromium-driver. Loopback only. Exits with 1 if Chromium does otherwise.
set -euo pipefail

work=$(mktemp -d)
pids=()
finish() {
    [ -z "${session:-}" ] || curl -s -m 10 -X DELETE "$driver/session/$session" >"$work/ended" || true
    for pid in "${pids[@]}"; do kill "$pid" 2>>"$work/ended" || true; done
    wait
    rm -rf "$work"
}
trap finish EXIT

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

mkdir "$work/site"
echo '<!doctype html><title>page</title><a href="/index.html">the same page</a>' >"$work/site/index.html"
site_port=$(port)
python3 -m http.server --bind 127.0.0.1 --directory "$work/site" "$site_port" >"$work/site.log" 2>&1 &
pids+=($!)
driver_port=$(port)
chromedriver --port="$driver_port" >"$work/driver.log" 2>&1 &
pids+=($!)
page="http://127.0.0.1:$site_port/index.html"
driver="http://127.0.0.1:$driver_port"
curl -s --retry 50 --retry-delay 1 --retry-connrefused -m 60 "$driver/status" >"$work/status"
curl -s --retry 50 --retry-delay 1 --retry-connrefused -m 60 "$page" >"$work/page"

options=$(jq -n --arg profile "--user-data-dir=$work/profile" '{capabilities: {alwaysMatch: {"goog:chromeOptions": {args:
    ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
     "--disable-sync", $profile]}}}}')
session=$(curl -s -m 120 -d "$options" "$driver/session" | jq -r .value.sessionId)
go() { curl -s -m 60 -d "$(jq -n --arg url "$page" '{url: $url}')" "$driver/session/$session/url" >"$work/went"; }
run() { curl -s -m 60 -d "$(jq -n --arg script "$1" '{script: $script, args: []}')" "$driver/session/$session/execute/sync" | jq -c .value; }

chromium --version --no-sandbox 2>"$work/version.log"
go
run 'history.replaceState({ kept: 1 }, ""); window.old = true' >"$work/ran"
go
by_address=$(run 'return [window.old === true, history.state]')
run 'history.replaceState({ kept: 2 }, ""); window.old = true; document.querySelector("a").click()' >"$work/ran"
for _ in $(seq 100); do
    by_link=$(run 'return [window.old === true, history.state]')
    [ "${by_link:1:5}" = true, ] || break
done
echo "the address again: same document and state: $by_address"
echo "a link to it:      same document and state: $by_link"
[ "$by_address" = '[false,{"kept":1}]' ] && [ "$by_link" = '[false,{"kept":2}]' ]
