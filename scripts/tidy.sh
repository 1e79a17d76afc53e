#!/usr/bin/env bash
# clang-tidy 14 over every source that changed since it was last found clean; DEEP=1 adds the static
# analyzer. Slow when nothing is cached.
set -euo pipefail
cd "$(dirname "$0")/.."
export CCACHE_DIR="${CCACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/breakwater/ccache}"
cmake --preset tidy >/dev/null
# Generated sources must exist before clang-tidy can read the files that include them.
if ninja -C build/tidy -t targets all | grep -q '^breakwater_generated:'; then
  cmake --build build/tidy --target breakwater_generated >/dev/null
fi
exec /usr/bin/python3 scripts/tidy.py
