#!/usr/bin/env bash
# deps.sh [GROUP...]: installs the Debian packages of debian-packages.txt, and of debian-packages-GROUP.txt, that are
# missing. Says what it does; does nothing and needs no network when all are there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

lists=("$here/debian-packages.txt")
for group in "$@"; do lists+=("$here/debian-packages-$group.txt"); done
wanted=$(grep -hv '^#' "${lists[@]}")
missing=""
for package in $wanted; do
  if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed'; then
    missing="$missing $package"
  fi
done
if [ -z "$missing" ]; then
  echo "deps: all Debian packages are installed"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "deps: this is not Debian; install these yourself, then run again:$missing" >&2
  exit 1
fi
sudo=""
if [ "$(id -u)" != 0 ]; then
  sudo=sudo
fi
echo "deps: installing with apt-get:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { $sudo apt-get update && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "deps: apt-get failed, see above" >&2
  exit 1
fi
echo "deps: installed"
