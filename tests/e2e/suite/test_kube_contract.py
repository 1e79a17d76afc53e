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
        environment = {"BREAKWATER_TEST_KUBECONFIG": str(bed.kubeconfig),
                       "BREAKWATER_TEST_COMPACTED_VERSION": forgotten_version(bed),
                       "BREAKWATER_TEST_TOKEN": token_without_rights(bed)}
        done = subprocess.run([str(binary)], env={**os.environ, **environment}, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[:6000]
    assert "SKIPPED" not in done.stdout, done.stdout[-3000:]


def forgotten_version(bed):
    """A version that was in a list once and that neither etcd nor the API server remembers."""
    version = bed.get("namespace", "default")["metadata"]["resourceVersion"]
    bed.kubectl("annotate", "namespace", "default", "example.com/newer=version")
    bed.compact_etcd()
    bed.stop_apiserver()  # its cache of recent events would still serve the old version
    bed.start_apiserver()
    return version


def token_without_rights(bed):
    bed.wait_for(lambda: bed.kubectl("get", "serviceaccount", "-n", "default", "default", check=False).returncode == 0, 30,
                 "the ServiceAccount of the namespace")
    return bed.kubectl("create", "token", "-n", "default", "default").stdout.strip()


def up_to_date_binary():
    """Builds what has changed in the first preset that is configured: an old binary would prove nothing."""
    preset = next((p for p in PRESETS if (ROOT / "build" / p / "build.ninja").exists()), "dev")
    subprocess.run([ROOT / "scripts/build.sh", preset, TARGET], check=True)
    return ROOT / "build" / preset / "bin" / TARGET
