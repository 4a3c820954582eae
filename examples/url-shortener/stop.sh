#!/bin/sh
# Stops the host that run.sh started; it lets calls end and stops its plugins. Links are kept.
set -eu
. "$(dirname -- "$0")/common.sh"

is_running || fail "it does not run"
pid=$(cat "$STATE_DIR/pid")
kill "$pid"
tries=0
# Where nobody asks how processes ended, such as in some containers, its id stays; its last line says that it stopped.
while kill -0 "$pid" 2>/dev/null && ! tail -n 1 "$STATE_DIR/host.log" | grep -q ' stopped$'; do
  tries=$((tries + 1))
  [ "$tries" -le 75 ] || fail "process $pid still runs after 15 s: see $STATE_DIR/host.log"
  sleep 0.2
done
rm -f "$STATE_DIR/pid" "$STATE_DIR/url"
echo "stopped"
