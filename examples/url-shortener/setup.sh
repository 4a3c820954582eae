#!/bin/sh
# Installs what is missing and compiles host and plugins. Needs Node 20.19 or later, curl, and nothing else.
set -eu
. "$(dirname -- "$0")/common.sh"

command -v node >/dev/null || fail "node is missing: install Node 20.19 or later"
command -v curl >/dev/null || fail "curl is missing: the scripts call the host with it"
node -e '
  const [major, minor] = process.versions.node.split(".").map(Number);
  process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1);
' || fail "Node $(node -v) is too old: install 20.19 or later"
[ -d "$root/node_modules" ] || (cd "$root" && npm ci)
compiled >/dev/null
echo "ready: ./run.sh starts it"
