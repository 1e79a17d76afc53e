#!/usr/bin/env bash
# clang-tidy over every source that changed since it was last found clean; DEEP=1 adds the static
# analyzer. It comes from PyPI: the one of Debian 12 also walks through every system header, which takes four
# times as long. Takes about four minutes when nothing is cached.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-$HOME/.cache}/breakwater
export CCACHE_DIR="${CCACHE_DIR:-$cache/ccache}"
version=$(sha256sum scripts/tidy-requirements.txt | cut -c1-12)
venv=$cache/clang-tidy-venv-$version
if [ ! -x "$venv/bin/clang-tidy" ]; then
  echo "tidy: fetching clang-tidy into $venv"
  rm -rf "$venv"
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r scripts/tidy-requirements.txt
fi
cmake --preset tidy >/dev/null
# Generated sources must exist before clang-tidy can read the files that include them.
if ninja -C build/tidy -t targets all | grep -q '^breakwater_generated:'; then
  cmake --build build/tidy --target breakwater_generated >/dev/null
fi
CLANG_TIDY="$venv/bin/clang-tidy" TIDY_VERSION="$version" exec /usr/bin/python3 scripts/tidy.py
