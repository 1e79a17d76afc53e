"""The contract suite of the Kubernetes client, against a real API server: fakes drift, servers do not."""
import os
import pathlib
import subprocess

import pytest

import testbed

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARIES = [ROOT / "build" / preset / "bin" / "breakwater_testing_kube_contract_test"
            for preset in ("asan", "dev", "ci")]


def test_client_contract_holds_on_a_real_server():
    # Conflicts, pages, expired watches and applies behave as the operator's code assumes.
    binary = next((b for b in BINARIES if b.exists()), None)
    if binary is None:
        pytest.fail("no contract test binary: build a preset with tests first (scripts/build.sh dev)")
    with testbed.TestBed(nodes=1, simulators=False) as bed:
        done = subprocess.run([str(binary)], env={**os.environ, "BREAKWATER_TEST_KUBECONFIG": str(bed.kubeconfig)},
                              capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "SKIPPED" not in done.stdout, done.stdout[-3000:]
