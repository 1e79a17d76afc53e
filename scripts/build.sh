#!/usr/bin/env bash
# build.sh PRESET [TARGET...]: configures (when needed) and builds a CMake preset; prints one line of progress
# at the start and the end, and all of the output when it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
# One cache for all presets and clones, outside the tree, so that a clean clone compiles only what is new.
export CCACHE_DIR="${CCACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/breakwater/ccache}"
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE="${CCACHE_MAXSIZE:-8G}"
export CCACHE_SLOPPINESS=pch_defines,time_macros
mkdir -p "build/$preset"
log="build/$preset/build.log"
start=$(date +%s)
echo "build: $preset (log: $log)"
# An old build directory keeps old flags unless it is configured again.
if [ ! -f "build/$preset/build.ninja" ] || [ CMakePresets.json -nt "build/$preset/build.ninja" ]; then
  cmake --preset "$preset" >"$log" 2>&1 || { tail -n 40 "$log"; exit 1; }
fi
targets=()
for target in "$@"; do targets+=(--target "$target"); done
if [ -t 1 ]; then
  cmake --build "build/$preset" "${targets[@]}"
else
  cmake --build "build/$preset" "${targets[@]}" >"$log" 2>&1 || { grep -E -A12 'FAILED|error' "$log" | head -n 120; exit 1; }
fi
echo "build: $preset done in $(($(date +%s) - start)) s"
