#!/usr/bin/env bash
# Prometheus and promtool for the tests of the alerts, from Debian's package `prometheus`; and the definitions of the kinds that
# the Prometheus Operator reads, from its Go module.
#
#   scripts/prometheus.sh                      fetches what is missing
#   scripts/prometheus.sh --print-dir          fetches the programs and prints only their directory
#   scripts/prometheus.sh --print-definitions  fetches the definitions and prints only their directory
#
# The package is unpacked into the cache of the test tools, not installed: installed it would start a server.
# Environment: BREAKWATER_TOOLS_DIR (default ${XDG_CACHE_HOME:-~/.cache}/breakwater). Programs on PATH are taken as they are.
set -euo pipefail
say() { printf 'prometheus: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${BREAKWATER_TOOLS_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/breakwater}
bin=$cache/prometheus/usr/bin
if command -v promtool >/dev/null && [ -x "$(dirname "$(command -v promtool)")/prometheus" ]; then
  bin=$(dirname "$(command -v promtool)")
fi
module=github.com/prometheus-operator/prometheus-operator
source=$root/tests/e2e/tools/prometheus-operator
version=$(sed -n "s|^require $module \(v[0-9.]*\)$|\1|p" "$source/go.mod")
definitions=$cache/prometheus/definitions-$version

work=""
trap '[ -z "$work" ] || rm -rf "$work"' EXIT

fetch_programs() {
  command -v apt-get >/dev/null || die "this is not Debian: put prometheus and promtool on PATH"
  local sudo=""
  [ "$(id -u)" = 0 ] || sudo=sudo
  say "fetching Debian's package"
  chmod 755 "$work"
  # Twice: the lists of a machine that was set up long ago may name a package that is gone.
  (cd "$work" && apt-get -qq download prometheus >"$work/log" 2>&1) ||
    { $sudo apt-get -qq update >"$work/log" 2>&1 && (cd "$work" && apt-get -qq download prometheus >"$work/log" 2>&1); } ||
    { tail -n 20 "$work/log" >&2; die "apt-get failed, see above"; }
  dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$work" ./usr/bin/prometheus ./usr/bin/promtool
  mkdir -p "$bin"
  mv -f "$work/usr/bin/prometheus" "$work/usr/bin/promtool" "$bin"
}

fetch_definitions() {
  local go from
  # The one of tools.sh first: it installs one where that on PATH is too old.
  go=$(ls "$cache"/go-*/bin/go 2>/dev/null | head -1) || true
  [ -n "$go" ] || go=$(command -v go) || true
  [ -n "$go" ] || die "no Go: run scripts/tools.sh first"
  say "fetching the definitions of the Prometheus Operator $version"
  from=$(cd "$source" && GOWORK=off "$go" mod download -json "$module@$version" 2>"$work/log" | sed -n 's|.*"Dir": "\(.*\)".*|\1|p')
  [ -n "$from" ] || { cat "$work/log" >&2; die "go mod download failed; is the Go module proxy reachable?"; }
  mkdir "$work/definitions"
  cp "$from"/example/prometheus-operator-crd/monitoring.coreos.com_{servicemonitors,podmonitors,prometheusrules}.yaml "$work/definitions"
  chmod -R u+w "$work/definitions" # the module cache is read-only
  mkdir -p "$cache/prometheus"
  mv -T "$work/definitions" "$definitions" 2>/dev/null || [ -d "$definitions" ] # another run may have been faster
}

mode=${1:-}
if [ "$mode" != --print-definitions ] && ! { [ -x "$bin/prometheus" ] && [ -x "$bin/promtool" ]; }; then
  work=$(mktemp -d)
  fetch_programs
  rm -rf "$work"
fi
if [ "$mode" != --print-dir ] && ! [ -d "$definitions" ]; then
  work=$(mktemp -d)
  fetch_definitions
fi
case "$mode" in
  --print-dir) echo "$bin" ;;
  --print-definitions) echo "$definitions" ;;
  *) say "$("$bin/promtool" --version 2>&1 | head -1) in $bin; definitions $version" ;;
esac
