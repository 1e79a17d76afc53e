#!/bin/sh
# Runs the Python tests of linstor-sim. usage: run_python_tests.sh [pytest arguments]
#
# The clients come from PyPI and live in a virtual environment outside the tree, one per version of
# requirements.txt. LINSTOR_SIM names the program; without it the newest one below build/ is taken.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${BREAKWATER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/breakwater}
digest=$(sha256sum "$here/requirements.txt" | cut -c1-12)
venv=$cache/linstor-sim-venv-$digest

if [ ! -x "$venv/bin/pytest" ]; then
  mkdir -p "$cache"
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --requirement "$here/requirements.txt"
fi

cd "$here"
PYTHONDONTWRITEBYTECODE=1 exec "$venv/bin/python" -m pytest -p no:cacheprovider -q -rs "$@"
