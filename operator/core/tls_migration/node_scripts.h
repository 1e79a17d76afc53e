#pragma once

/// The shell scripts that run in a satellite's container: constants. Names and numbers reach them
/// as arguments only, so nothing that a user wrote is ever part of a script's text.

#include <string_view>

namespace breakwater::tls_migration {

/// Prints everything an observation needs, in sections: a line "@@ <name>", then the output of one
/// tool. A tool that fails leaves its section empty; the last line says that the script came to its
/// end.
inline constexpr std::string_view kObserveScript = R"sh(
echo '@@ status'; drbdsetup status --json 2>/dev/null
echo; echo '@@ show'; drbdsetup show --json 2>/dev/null
echo; echo '@@ ss'; ss -tni 2>/dev/null
echo; echo '@@ tls_stat'; cat /proc/net/tls_stat 2>/dev/null
echo; echo '@@ proc_drbd'; head -n 8 /proc/drbd 2>/dev/null
echo; echo '@@ drbdadm'; drbdadm --version 2>/dev/null
echo; echo '@@ modules'; ls -d /sys/module/tls /sys/module/handshake 2>/dev/null
echo; echo '@@ end'
)sh";

/// Does a list of operations in order and stops at the first that fails. Arguments: groups of four,
/// "<operation> <resource> <x> <y>" with "-" for what an operation does not need. Prints
/// "@@ <index> <exit code>" after each. Operations (see NodeOp):
///   disconnect R P        drbdadm disconnect R:P (the cluster may refuse)
///   force-disconnect R    drbdadm disconnect --force R (all own connections)
///   net-options R ID yes  drbdsetup net-options R ID --tls=yes, tried for about 1 s: it is refused
///   while
///                         a handshake runs (F19.3); the planner tries again later
///   connect R ID          drbdsetup connect R ID: the kernel's settings, whatever the .res file
///   says adjust R P            drbdadm adjust R:P arm R SECONDS         watchdog that resumes I/O
///   after that time even if nobody is left (F23) disarm R              ends the watchdogs of R,
///   recognised by their command line suspend R, resume R   drbdadm suspend-io / resume-io
///   invalidate-remote R P drbdadm invalidate-remote R:P --reset-bitmap=no
///   invalidate R          drbdadm invalidate R --reset-bitmap=no
inline constexpr std::string_view kActScript = R"sh(
index=0
while [ $# -ge 4 ]; do
  op=$1; res=$2; x=$3; y=$4; shift 4; code=0
  case "$op" in
    disconnect) drbdadm disconnect "$res:$x" || code=$?;;
    force-disconnect) drbdadm disconnect --force "$res" || code=$?;;
    net-options)
      tries=0
      until drbdsetup net-options "$res" "$x" "--tls=$y"; do
        code=$?; tries=$((tries + 1))
        [ "$tries" -ge 5 ] && break
        code=0; sleep 0.2
      done;;
    connect) drbdsetup connect "$res" "$x" || code=$?;;
    adjust) drbdadm adjust "$res:$x" || code=$?;;
    arm)
      setsid sh -c 'sleep "$1"; exec drbdadm resume-io "$2"' breakwater-watchdog "$x" "$res" </dev/null >/dev/null 2>&1 &
      kill -0 $! || code=$?;;
    disarm)
      for file in $(grep -l -s -z -x -F -e breakwater-watchdog /proc/[0-9]*/cmdline); do
        if grep -q -s -z -x -F -e "$res" "$file"; then
          pid=${file#/proc/}; kill -TERM -- "-${pid%/cmdline}" || kill -TERM "${pid%/cmdline}"
        fi
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

}  // namespace breakwater::tls_migration
