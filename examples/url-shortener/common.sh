# What setup.sh, run.sh, test.sh and stop.sh share. They may be called from any folder.
#   PORT       where the host listens; 0 for any port that is free (4000)
#   STATE_DIR  links, logs and the sockets of a running host (.cache/url-shortener in the checkout)
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
PORT=${PORT:-4000}
STATE_DIR=${STATE_DIR:-$root/.cache/url-shortener}
export PORT STATE_DIR

fail() {
  echo "$*" >&2
  exit 1
}

# Prints the folder with the compiled host and plugins; compiles what has changed.
compiled() {
  (cd "$root" && node --input-type=module -e '
    import { buildExamples } from "./scripts/example-build.mjs";
    console.log(buildExamples());
  ')
}

# Whether the host that run.sh started still runs. Its socket tells, because another program may have its process id by now.
is_running() {
  [ -f "$STATE_DIR/pid" ] &&
    curl -s -o "$STATE_DIR/answer" --max-time 2 --unix-socket "$STATE_DIR/admin.sock" http://localhost/healthz
}
