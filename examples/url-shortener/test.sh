#!/bin/sh
# Calls the URL shortener as people would and checks the answers. Ends with 0 if all are right.
#   ./test.sh        the one that run.sh started; also takes plugins away and brings them back
#   ./test.sh URL    one that runs somewhere else, such as in containers
set -eu
. "$(dirname -- "$0")/common.sh"

if [ $# -gt 0 ]; then
  url=$1
else
  is_running || fail "it does not run: ./run.sh starts it"
  url=$(cat "$STATE_DIR/url")
fi
answer=$(mktemp -d)
trap 'rm -rf "$answer"' EXIT

# call <curl options...>: status, head and body of the answer
call() { status=$(curl -s --max-time 10 -D "$answer/head" -o "$answer/body" -w '%{http_code}' "$@") || fail "no answer: $*"; }
shorten() { call -X POST -H 'content-type: application/json' -d "$1" "$url/shorten"; }
# expect <what> <status> <text in head or body>
expect() {
  [ "$status" = "$2" ] || fail "FAILED: $1: expected $2, got $status: $(cat "$answer/body")"
  grep -qi -e "$3" "$answer/head" "$answer/body" || fail "FAILED: $1: no '$3' in $(cat "$answer/head" "$answer/body")"
  echo "ok: $1"
}

long="https://example.org/a/long/way?n=$$.$(date +%s)"
shorten "{\"url\":\"$long\"}"
expect "a long URL gets a code" 201 '"code":"[a-z0-9]\{8\}"'
code=$(sed -n 's/.*"code":"\([a-z0-9]*\)".*/\1/p' "$answer/body")
shorten "{\"url\":\"$long\"}"
expect "the same URL keeps its code" 200 "\"shortUrl\":\"$url/$code\""
call "$url/$code"
expect "the code leads to the URL" 302 "^location: https://example\.org/a/long/way?n=$$\."
call "$url/stats/$code"
expect "the visit is counted" 200 '"visits":1,'
call "$url/zzzzzzzz"
expect "an unknown code" 404 'there is no link'
shorten '{"url":"javascript:alert(1)"}'
expect "a URL that is no web page" 400 'http: or https:'
shorten 'url'
expect "a body that is no JSON" 400 'must be JSON'
call "$url/shorten"
expect "a method that does not fit" 405 '^allow: POST'

if [ $# -gt 0 ]; then
  echo "all passed"
  exit 0
fi

# What happens without a part of it. The CLI reaches the host through its admin socket.
CONNECT_PLUGIN_HOST_SOCKET=$STATE_DIR/admin.sock
export CONNECT_PLUGIN_HOST_SOCKET
examples=$(compiled)/examples
host() { node "$examples/../src/cli/main.js" "$@" >"$answer/cli" 2>&1 || fail "FAILED: $*: $(cat "$answer/cli")"; }

host remove logger-plugin
shorten "{\"url\":\"$long&without=logger\"}"
expect "without logger all goes on" 201 '"code"'
host plugins
grep -q 'storage-plugin.*degraded' "$answer/cli" || fail "FAILED: storage is not degraded: $(cat "$answer/cli")"
echo "ok: storage says that it misses logger"
host add -- node "$examples/logger/main.js"

host remove storage-plugin
call "$url/$code"
expect "without storage people are told why" 503 'storage is not available'
host add --env "LINKS_FILE=$STATE_DIR/links.jsonl" -- node "$examples/url-shortener/storage-main.js"
call "$url/$code"
expect "storage comes back with its links" 302 '^location:'
call "$url/stats/$code"
expect "and with their visits" 200 '"visits":2,'
echo "all passed"
