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
echo; echo '@@ show'; drbdsetup show --json --show-defaults 2>/dev/null | sed 's/\("shared-secret": *"\)\([^"\\]\|\\.\)*"/\1"/'
echo; echo '@@ ss'; ss -tni 2>/dev/null
echo; echo '@@ tls_stat'; cat /proc/net/tls_stat 2>/dev/null
echo; echo '@@ proc_drbd'; head -n 8 /proc/drbd 2>/dev/null
echo; echo '@@ drbdadm'; drbdadm --version 2>/dev/null
echo; echo '@@ modules'; ls -d /sys/module/tls 2>/dev/null
echo; echo '@@ end'
)sh";

/// Heals a peer that lacks writes, on a node that has no agent: looks and acts in one go.
/// Arguments: resource, node id of the peer, volume, and the state that was seen: "outdated" (F12)
/// or "out-of-sync". Acts only if that state is still there on an Established connection, the own
/// disk is UpToDate, the node has quorum, nothing is suspended, no other resync or verify runs, and
/// the peer is no Primary. Exit code 75: it did not act; the reason is on standard error. Otherwise
/// that of `drbdsetup invalidate-remote`. Needs sh and tr; drbdadm is not used, because it reads
/// every .res file of the node (F33).
inline constexpr std::string_view kHealScript = R"sh(
resource=$1; peer=$2; volume=$3; state=$4
why=$(drbdsetup status "$resource" --json 2>/dev/null | tr -d ' \t\r"' | tr ',{}[]' '\n\n\n\n\n' | {
  part=resource; name=; role=; frozen=; disk=; quorum=; here=; at=
  connected=; other=; repl=; behind=0; peer_disk=; client=; busy=
  while IFS=: read -r key value; do
    case "$key" in
      devices) part=device;;
      connections) part=connection;;
      peer-node-id) part=connection; at=$value; up=;;
      peer_devices) part=peer;;
    esac
    case "$part.$key" in
      resource.name) name=$name$value;;
      resource.role) role=$value;;
      resource.suspended|resource.suspended-*) [ "$value" = false ] && frozen=${frozen:-no} || frozen=yes;;
      device.volume|peer.volume) here=$value;;
      device.disk-state) [ "$here" != "$volume" ] || disk=$value;;
      device.quorum) [ "$here" != "$volume" ] || quorum=$value;;
      connection.connection-state) up=$value; [ "$at" != "$peer" ] || connected=$value;;
      connection.peer-role) [ "$at" != "$peer" ] || other=$value;;
      peer.replication-state)
        if [ "$at.$here" = "$peer.$volume" ]; then repl=$value
        elif [ "$up" = Connected ] && [ "$value" != Established ] && [ "$value" != Off ]; then busy=$value; fi;;
      peer.peer-disk-state) [ "$at.$here" != "$peer.$volume" ] || peer_disk=$value;;
      peer.peer-client) [ "$at.$here" != "$peer.$volume" ] || client=$value;;
      peer.out-of-sync) [ "$at.$here" != "$peer.$volume" ] || behind=$value;;
    esac
  done
  [ "$name" = "$resource" ] || { echo "the resource is not up"; exit; }
  [ "$frozen" = no ] || { echo "I/O is suspended"; exit; }
  [ "$disk" = UpToDate ] || { echo "the own disk is $disk"; exit; }
  [ "$quorum" = true ] || { echo "there is no quorum"; exit; }
  [ "$connected" = Connected ] || { echo "the connection is $connected"; exit; }
  [ "$other" = Secondary ] || { echo "the peer is $other"; exit; }
  [ "$client" = false ] || { echo "the peer has no disk"; exit; }
  [ "$repl" = Established ] || { echo "the connection is $repl"; exit; }
  [ -z "$busy" ] || { echo "another resync runs: $busy"; exit; }
  case "$state" in
    outdated) [ "$peer_disk" = Outdated ] || { echo "the peer disk is $peer_disk"; exit; };;
    out-of-sync)
      [ "$role" = Primary ] || { echo "this node is $role"; exit; }
      [ "$peer_disk" = UpToDate ] || { echo "the peer disk is $peer_disk"; exit; }
      [ "$behind" -gt 0 ] || { echo "nothing is out of sync"; exit; };;
    *) echo "what is $state?"; exit;;
  esac
  echo heal
})
if [ "$why" != heal ]; then echo "not healed: $why" >&2; exit 75; fi
exec drbdsetup invalidate-remote "$resource" "$peer" "$volume" --reset-bitmap=no
)sh";

/// Reads the certificate files in the container of tlshd, and its clock (seconds since 1970): "@@
/// <name>", then the file.
inline constexpr std::string_view kCertificateScript = R"sh(
echo '@@ crt'; cat /etc/tlshd.d/tls.crt 2>/dev/null
echo; echo '@@ ca'; cat /etc/tlshd.d/ca.crt 2>/dev/null
echo; echo '@@ mode'; stat -L -c %a /etc/tlshd.d/tls.key 2>/dev/null
echo; echo '@@ clock'; date +%s 2>/dev/null
echo; echo '@@ end'
)sh";

}  // namespace breakwater::replication
