#!/bin/sh
# Runs one command and ends it, with everything it started, as soon as the parent process is gone, however it went.
#
#   shim.sh GRACE_SECONDS PROGRAM [ARGUMENT...]
#
# The caller starts this shell as the leader of its own process group (setsid) and hands it one end of a socket as
# descriptor 3. That socket is never written to by the caller: its end-of-file is the news that the caller died.
#   caller dies         TERM to the whole group, KILL to the whole group after GRACE_SECONDS
#   TERM to this shell  passed on to the command alone, as a container runtime does
#   the command ends    its exit code is written to descriptor 3, then whatever it left running is killed
# PROGRAM is a path with a slash, so that no shell builtin is ever meant by it.
grace_s=$1
shift
command_pid=
trap 'signalled=yes; [ -z "$command_pid" ] || kill -TERM "$command_pid"' TERM
trap '' PIPE

"$@" 3<&- &
command_pid=$!
exec </dev/null >/dev/null 2>&1

(
  trap '' TERM
  read -r _ <&3
  kill -TERM 0
  sleep "$grace_s"
  kill -KILL 0
) &
watcher_pid=$!

# A trapped signal ends `wait` early; only a wait without one tells how the command ended.
while :; do
  signalled=
  wait "$command_pid"
  code=$?
  [ -n "$signalled" ] || break
done

echo "$code" >&3
# The watcher is reaped here because the process that would inherit it (PID 1 of a container) may not reap.
kill -KILL "$watcher_pid"
wait "$watcher_pid"
kill -KILL 0
