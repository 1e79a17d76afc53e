#pragma once

/// The shell scripts that run in a satellite's container: constants. Names and numbers reach them
/// as arguments only, so nothing that a user wrote is ever part of a script's text.

#include <string_view>

namespace breakwater::replication {

/// Prints everything an observation needs, in sections: a line "@@ <name>", then the output of one
/// tool. A tool that fails leaves its section empty; the last line says that the script came to its
/// end.
inline constexpr std::string_view kObserveScript = R"sh(
echo '@@ status'; drbdsetup status --json 2>/dev/null
echo; echo '@@ show'; drbdsetup show --json --show-defaults 2>/dev/null
echo; echo '@@ ss'; ss -tni 2>/dev/null
echo; echo '@@ tls_stat'; cat /proc/net/tls_stat 2>/dev/null
echo; echo '@@ proc_drbd'; head -n 8 /proc/drbd 2>/dev/null
echo; echo '@@ drbdadm'; drbdadm --version 2>/dev/null
echo; echo '@@ modules'; ls -d /sys/module/tls 2>/dev/null
echo; echo '@@ end'
)sh";

/// Does a list of operations in order and stops at the first that fails. Arguments: groups of four,
/// "<operation> <resource> <x> <y>" with "-" for what an operation does not need. Prints
/// "@@ <index> <exit code>" after each. Operations (see NodeOp):
/// - disconnect R P: drbdadm disconnect R:P (the cluster may refuse)
/// - force-disconnect R: drbdadm disconnect --force R (all own connections). Exit code 75, and
///   nothing is cut, unless I/O is suspended and a watchdog with at least two seconds left stands
///   behind it: somebody else may have resumed since the operator looked (F2.8, F23, L24).
/// - net-options R ID yes: drbdsetup net-options R ID --tls=yes, tried for about 1 s, because it is
///   refused while a handshake runs (F19.3); the planner tries again later.
/// - connect R ID: drbdsetup connect R ID: the kernel's settings, whatever the .res file says.
/// - arm R SECONDS IDS: a watchdog (F23). After that time, and then every two seconds until it is
///   disarmed or five minutes are over, it resumes I/O (also a suspension that completed late,
///   F2.7) and connects those of the peers IDS ("1,2") that are StandAlone (F6), even if nobody is
///   left. A second process, whose end closes the time for forced cuts, goes with it.
/// - disarm R: ends both, recognised by their command line.
/// - suspend R, resume R: drbdadm suspend-io / resume-io
/// - invalidate-remote R P: drbdadm invalidate-remote R:P --reset-bitmap=no
/// - invalidate R: drbdadm invalidate R --reset-bitmap=no
inline constexpr std::string_view kActScript = R"sh(
guards() {
  for file in $(grep -l -s -z -x -F -e "$1" /proc/[0-9]*/cmdline); do
    if grep -q -s -z -x -F -e "$res" "$file"; then file=${file#/proc/}; echo "${file%/cmdline}"; fi
  done
}
index=0
while [ $# -ge 4 ]; do
  op=$1; res=$2; x=$3; y=$4; shift 4; code=0
  case "$op" in
    disconnect) drbdadm disconnect "$res:$x" || code=$?;;
    force-disconnect)
      if [ -n "$(guards breakwater-cut-window)" ] &&
        drbdsetup status "$res" --json | grep -q '"suspended-user": *true'; then
        drbdadm disconnect --force "$res" || code=$?
      else
        echo "I/O is not suspended, or the watchdog is about to resume it" >&2; code=75
      fi;;
    net-options)
      tries=0
      until drbdsetup net-options "$res" "$x" "--tls=$y"; do
        code=$?; tries=$((tries + 1))
        [ "$tries" -ge 5 ] && break
        code=0; sleep 0.2
      done;;
    connect) drbdsetup connect "$res" "$x" || code=$?;;
    arm)
      window=$((x - 2)); [ "$window" -ge 1 ] || window=1
      setsid sh -c 'sleep "$1"; exit' breakwater-cut-window "$window" "$res" </dev/null >/dev/null 2>&1 &
      setsid sh -c '
        sleep "$1"; IFS=,; turn=0
        while [ "$turn" -lt 150 ]; do
          drbdadm resume-io "$2"
          for id in $3; do drbdsetup connect "$2" "$id"; done
          turn=$((turn + 1)); sleep 2
        done' breakwater-watchdog "$x" "$res" "$y" </dev/null >/dev/null 2>&1 &
      tries=0
      until [ -n "$(guards breakwater-cut-window)" ] && [ -n "$(guards breakwater-watchdog)" ]; do
        tries=$((tries + 1))
        if [ "$tries" -ge 50 ]; then code=70; break; fi
        sleep 0.1
      done;;
    disarm)
      tries=0
      while pids="$(guards breakwater-cut-window) $(guards breakwater-watchdog)"; [ "$pids" != " " ]; do
        for pid in $pids; do kill -TERM "-$pid" || kill -TERM "$pid"; done
        tries=$((tries + 1))
        if [ "$tries" -ge 50 ]; then code=70; break; fi
        sleep 0.1
      done;;
    suspend) drbdadm suspend-io "$res" || code=$?;;
    resume) drbdadm resume-io "$res" || code=$?;;
    invalidate-remote) drbdadm invalidate-remote "$res:$x" --reset-bitmap=no || code=$?;;
    invalidate) drbdadm invalidate "$res" --reset-bitmap=no || code=$?;;
    *) code=64;;
  esac
  echo "@@ $index $code"
  [ "$code" -eq 0 ] || exit "$code"
  index=$((index + 1))
done
)sh";

/// Reads the certificate files in the container of tlshd: "@@ <name>", then the file.
inline constexpr std::string_view kCertificateScript = R"sh(
echo '@@ crt'; cat /etc/tlshd.d/tls.crt 2>/dev/null
echo; echo '@@ ca'; cat /etc/tlshd.d/ca.crt 2>/dev/null
echo; echo '@@ mode'; stat -L -c %a /etc/tlshd.d/tls.key 2>/dev/null
echo; echo '@@ end'
)sh";

}  // namespace breakwater::replication
