#!/usr/bin/env bash
# Prometheus and promtool for the tests of the alerts, from Debian's package `prometheus`.
#
#   scripts/prometheus.sh              fetches them when they are missing
#   scripts/prometheus.sh --print-dir  same; stdout is only the directory of the programs
#
# The package is unpacked into the cache of the test tools, not installed: installed it would start a server.
# Environment: BREAKWATER_TOOLS_DIR (default ${XDG_CACHE_HOME:-~/.cache}/breakwater). Programs on PATH are taken as they are.
set -euo pipefail
say() { printf 'prometheus: %s\n' "$*" >&2; }

directory=${BREAKWATER_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/breakwater}/prometheus
if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
  bin=$(dirname "$(command -v promtool)")
  [ -x "$bin/prometheus" ] || bin=$directory/usr/bin
else
  bin=$directory/usr/bin
fi
if ! [ -x "$bin/prometheus" ] || ! [ -x "$bin/promtool" ]; then
  command -v apt-get >/dev/null || { say "this is not Debian: put prometheus and promtool on PATH"; exit 1; }
  sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  say "fetching Debian's package"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  chmod 755 "$work"
  # Twice: the lists of a machine that was set up long ago may name a package that is gone.
  (cd "$work" && apt-get -qq download prometheus >"$work/log" 2>&1) ||
    { $sudo apt-get -qq update >"$work/log" 2>&1 && (cd "$work" && apt-get -qq download prometheus >"$work/log" 2>&1); } ||
    { tail -n 20 "$work/log" >&2; say "apt-get failed, see above"; exit 1; }
  dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$work" ./usr/bin/prometheus ./usr/bin/promtool
  mkdir -p "$directory/usr"
  rm -rf "$directory/usr/bin"
  mv "$work/usr/bin" "$directory/usr/bin"
fi
if [ "${1:-}" = --print-dir ]; then
  echo "$bin"
else
  say "$("$bin/promtool" --version 2>&1 | head -1) in $bin"
fi
