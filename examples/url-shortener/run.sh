#!/bin/sh
# Starts the host in the background, which starts logger, storage and api as child processes, and waits until people can call.
set -eu
. "$(dirname -- "$0")/common.sh"

mkdir -p "$STATE_DIR"
if is_running; then fail "it runs already at $(cat "$STATE_DIR/url"): ./stop.sh ends it"; fi
EXAMPLES=$(compiled)/examples
export EXAMPLES
rm -f "$STATE_DIR/url"
: >"$STATE_DIR/host.out"

nohup node "$EXAMPLES/../src/cli/main.js" serve --config "$here/host.yaml" \
  >"$STATE_DIR/host.out" 2>"$STATE_DIR/host.log" </dev/null &
pid=$!
echo "$pid" >"$STATE_DIR/pid"

# The first line says where the host listens. Its root leads to api as soon as api is healthy, which needs storage.
tries=0
until url=$(sed -n 's/^listening on //p' "$STATE_DIR/host.out") && [ -n "$url" ] &&
  curl -sf -o "$STATE_DIR/answer" --max-time 2 "$url/"; do
  tries=$((tries + 1))
  if ! kill -0 "$pid" 2>/dev/null || [ "$tries" -gt 150 ]; then
    kill "$pid" 2>/dev/null || true
    cat "$STATE_DIR/host.log" >&2
    fail "the host did not get ready; above is its log"
  fi
  sleep 0.2
done
echo "$url" >"$STATE_DIR/url"
echo "listening on $url"
