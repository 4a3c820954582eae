"""Runs a command, shows its output and keeps it, and ends every process that it leaves behind.

    python3 suite.py LOG MINUTES COMMAND [ARGUMENT...]

Exits with the command's code, or 124 if it was not done after MINUTES. Linux only: orphans, wherever they put themselves,
are handed to this process, because it is a child subreaper.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def own_children():
    """Process ids of this process's children, orphans of its descendants included."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == os.getpid() and state != "Z":
            yield int(name)


def end_all(report):
    """Kills children until there are none: those of a killed child become ours."""
    while True:
        for pid in own_children():
            if report:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
                print(f"left behind and ended: {pid} {command}", flush=True)
            os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def main():
    log_path, minutes, *command = sys.argv[1:]
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("this kernel has no child subreapers")
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)

    def give_up(number, _):
        end_all(report=False)
        os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, give_up)

    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def copy():
        with open(log_path, "wb") as log:
            while chunk := child.stdout.read1(65536):
                log.write(chunk)
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()

    copier = threading.Thread(target=copy)
    copier.start()
    try:
        code = child.wait(timeout=float(minutes) * 60)
    except subprocess.TimeoutExpired:
        print(f"not done after {minutes} minutes", flush=True)
        code = 124
    end_all(report=code != 124)
    copier.join()
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
