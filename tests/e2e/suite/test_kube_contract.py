"""The contract suite of the Kubernetes client, against a real API server: fakes drift, servers do not."""
import os
import pathlib
import subprocess

import testbed

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = "breakwater_testing_kube_contract_test"
PRESETS = ("asan", "dev", "ci")  # those that have tests


def test_client_contract_holds_on_a_real_server():
    # Conflicts, pages, expired watches and applies behave as the operator's code assumes.
    binary = up_to_date_binary()
    with testbed.TestBed(nodes=1, simulators=False) as bed:
        done = subprocess.run([str(binary)], env={**os.environ, "BREAKWATER_TEST_KUBECONFIG": str(bed.kubeconfig)},
                              capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "SKIPPED" not in done.stdout, done.stdout[-3000:]


def up_to_date_binary():
    """Builds what has changed in the first preset that is configured: an old binary would prove nothing."""
    preset = next((p for p in PRESETS if (ROOT / "build" / p / "build.ninja").exists()), "dev")
    subprocess.run([ROOT / "scripts/build.sh", preset, TARGET], check=True)
    return ROOT / "build" / preset / "bin" / TARGET
