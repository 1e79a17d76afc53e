#!/usr/bin/env bash
# Builds the programs and the container images, see images/imagebuild/__main__.py or --help.
# BREAKWATER_BIN_DIR: takes the programs from there and builds none.
set -euo pipefail
cd "$(dirname "$0")/.."
case " $* " in
  *' --help '*|*' -h '*) ;;
  *) [ -n "${BREAKWATER_BIN_DIR:-}" ] || scripts/build.sh release breakwater-operator breakwater-agent ;;
esac
PYTHONPATH=images exec /usr/bin/python3 -u -m imagebuild "$@"
