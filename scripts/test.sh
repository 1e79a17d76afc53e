#!/usr/bin/env bash
# Everything that CI runs, in the order "quick and likely to fail" first. Ends with `N passed, N failed`.
# A step that cannot run is a failure, never a silent skip.
set -uo pipefail
cd "$(dirname "$0")/.."
results="$PWD/build/test-results"
rm -rf "$results"
mkdir -p "$results"
start=$(date +%s)
failed_steps=()

step() {  # step NAME COMMAND...: runs it, remembers a failure, goes on
  local name=$1
  shift
  echo "=== [$(($(date +%s) - start)) s] $name"
  if ! "$@"; then
    echo "=== FAILED: $name"
    failed_steps+=("$name")
    return 1
  fi
}

# Code of the operator with threads of its own, in it or in its test. testing_controllers takes over two minutes, and was
# clean when last run by hand (CONTRIBUTING.md). The other libraries start no thread (controllers_replication runs in virtual
# time on one, its streams are controllers_agent_link's); the simulators are test tools.
threaded=(base net kube linstor runtime testing testing_kube_contract controllers_agent_link controllers_node_shell
  controllers_linstor_connection cmd)

sanitized() {  # sanitized PRESET [LIBRARY...]: builds and runs the tests of a preset, or of some libraries
  local preset=$1
  shift
  local targets=() expression=""
  for library in "$@"; do
    targets+=("breakwater_${library}_test")
    expression="$expression|^$library\$"
  done
  local filter="*"
  # The contract suite meets a real API server in the end-to-end tests; asan lists that part as skipped, once is enough.
  [ "$preset" = tsan ] && filter="-*/Real:TokenContractTest.*"
  scripts/build.sh "$preset" "${targets[@]}" || return 1
  # Three at a time on two cores: the test with python-linstor waits for most of its time.
  # cpprestsdk is not built with the thread sanitizer, which then would take its locking for races.
  GTEST_OUTPUT="xml:$results/$preset/" GTEST_FILTER="$filter" \
    ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 \
    TSAN_OPTIONS=halt_on_error=1:ignore_noninstrumented_modules=1 \
    ctest --test-dir "build/$preset" --output-on-failure -j3 ${expression:+-R "${expression#|}"} \
    >"$results/$preset.log" 2>&1 ||
    { grep -vE '^\[ *(RUN|OK)' "$results/$preset.log" | tail -n 150; return 1; }
  tail -n 4 "$results/$preset.log"
}

end_to_end() {
  BREAKWATER_RIGHTS="$results/rights" PYTHONPATH=tests/e2e /usr/bin/python3 -u -m pytest -q -p no:cacheprovider -n 4 --dist loadfile --durations=15 \
    --junitxml="$results/e2e.xml" tests/e2e/testbed/selftest.py tests/e2e/faultproxy/selftest.py \
    tests/e2e/suite
}

monitoring() {  # the rules and the dashboard as files; test_monitoring.py of the end-to-end tests meets a real operator
  PYTHONPATH=tests/e2e /usr/bin/python3 -m pytest -q -p no:cacheprovider --junitxml="$results/monitoring.xml" tests/monitoring
}

step "Debian packages" scripts/deps.sh || { echo "0 passed, 1 failed"; exit 1; }
step "lint" scripts/lint.sh
step "test tools" scripts/tools.sh --all
step "alerts and dashboard" monitoring
step "unit tests, address and undefined behaviour sanitizers" sanitized asan
step "fuzz targets" env FUZZ_SECONDS="${FUZZ_SECONDS:-5}" scripts/fuzz.py
step "unit tests, thread sanitizer" sanitized tsan "${threaded[@]}"
if step "release build" scripts/build.sh release; then
  step "walks" scripts/walks.py --walks 600 --junit "$results/walks.xml"
  step "patches against kubectl kustomize" /usr/bin/python3 tests/differential/kustomize.py --junit "$results/patches.xml"
  step "end-to-end tests" end_to_end
  step "rights" env PYTHONPATH=tests/e2e /usr/bin/python3 -m rights "$results/rights"
fi
step "clang-tidy" scripts/tidy.sh
/usr/bin/python3 scripts/summary.py "$results" "${failed_steps[@]+"${failed_steps[@]}"}"
status=$?
echo "took $(($(date +%s) - start)) s"
/usr/bin/python3 scripts/summary.py --line "$results" "${failed_steps[@]+"${failed_steps[@]}"}"
exit $status
