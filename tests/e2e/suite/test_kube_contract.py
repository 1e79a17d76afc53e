"""The contract suite of the Kubernetes client, against a real API server: fakes drift, servers do not."""
import base64
import json
import os
import pathlib
import subprocess
import time

import testbed
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from testbed.pki import write_private

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = "breakwater_testing_kube_contract_test"
PRESETS = ("asan", "dev", "ci")  # those that have tests


def test_client_contract_holds_on_a_real_server():
    # Conflicts, pages, expired watches and applies behave as the operator's code assumes.
    binary = up_to_date_binary()
    with testbed.TestBed(nodes=1, simulators=False) as bed:
        valid, expired = tokens_without_rights(bed)
        environment = {"BREAKWATER_TEST_KUBECONFIG": str(bed.kubeconfig),
                       "BREAKWATER_TEST_COMPACTED_VERSION": forgotten_version(bed),
                       "BREAKWATER_TEST_TOKEN_FILE": str(write_private(bed.work / "valid.token", valid)),
                       "BREAKWATER_TEST_EXPIRED_TOKEN_FILE": str(write_private(bed.work / "expired.token", expired))}
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


def tokens_without_rights(bed):
    """A valid token and one that expired an hour ago; both signed here, so that they differ in nothing else."""
    bed.wait_for(lambda: bed.kubectl("get", "serviceaccount", "-n", "default", "default", check=False).returncode == 0, 30,
                 "the ServiceAccount of the namespace")
    issued = bed.kubectl("create", "token", "-n", "default", "default").stdout.strip()
    header, claims = (json.loads(decode(part)) for part in issued.split(".")[:2])
    key = serialization.load_pem_private_key((bed.work / "pki/sa.key").read_bytes(), password=None)
    hour = 3600
    past = {"iat": int(time.time()) - 2 * hour, "nbf": int(time.time()) - 2 * hour, "exp": int(time.time()) - hour}
    assert past.keys() <= claims.keys(), claims.keys()
    return sign(header, claims, key), sign(header, {**claims, **past}, key)


def sign(header, claims, key):
    assert header["alg"] == "ES256", header
    text = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    numbers = utils.decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{encode(b''.join(number.to_bytes(32, 'big') for number in numbers))}"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def up_to_date_binary():
    """Builds what has changed in the first preset that is configured: an old binary would prove nothing."""
    preset = next((p for p in PRESETS if (ROOT / "build" / p / "build.ninja").exists()), "dev")
    subprocess.run([ROOT / "scripts/build.sh", preset, TARGET], check=True)
    return ROOT / "build" / preset / "bin" / TARGET
