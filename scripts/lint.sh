#!/usr/bin/env bash
# Formatting, layers, shell and Python syntax. `FIX=1` formats instead of checking.
set -euo pipefail
cd "$(dirname "$0")/.."
sources=$(git ls-files '*.h' '*.cc')
if [ "${FIX:-0}" = 1 ]; then
  echo "$sources" | xargs -r clang-format-14 -i
  exit 0
fi
echo "lint: clang-format"
echo "$sources" | xargs -r clang-format-14 --dry-run -Werror
echo "lint: layers"
/usr/bin/python3 scripts/check_layers.py
echo "lint: the security model names tests that are there"
/usr/bin/python3 scripts/check_security_model.py
echo "lint: definitions are what crds/generate.py writes"
/usr/bin/python3 crds/generate.py --check
echo "lint: charts have what is in crds/ and deploy/, and their READMEs what is in their schemas"
/usr/bin/python3 scripts/chart_sources.py --check
/usr/bin/python3 scripts/chart_docs.py --check
echo "lint: shell and Python syntax"
git ls-files '*.sh' .ci/run | xargs -r -n 1 bash -n
git ls-files '*.py' | xargs -r /usr/bin/python3 -m py_compile
