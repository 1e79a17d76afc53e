"""The real cert-manager issues the certificates of internalTLS and of replication, renews them and gets a new CA.

The tests of this module run in order and build on each other.
"""
import base64
import datetime
import json

import pytest
from conftest import NODES, assert_unharmed, create_volumes
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from scenario import CLUSTER_TLS_YAML, NAMESPACE
from test_certificates import files, reconnect, set_mode, wait_for_condition

CERT_MANAGER = True  # the fixture `storage` starts it before the operator, which looks for its kinds only once

CERTIFICATES = "certificates.cert-manager.io"
CLUSTER_NAMESPACE = "cert-manager"  # where ClusterIssuers have their Secrets
INTERNAL = {"name": "linstor-internal-ca", "kind": "Issuer"}
REPLICATION = {"name": "replication-ca", "kind": "ClusterIssuer"}
FREEZE_MS = 1000  # of a machine that does other things too; what it would mean for DRBD to be cut is above 5000

CLUSTER = {
    "apiVersion": "piraeus.io/v1", "kind": "LinstorCluster", "metadata": {"name": "linstorcluster"},
    "spec": {"internalTLS": {"certManager": INTERNAL}},
}
HANDSHAKE_DAEMON = {
    "apiVersion": "piraeus.io/v1", "kind": "LinstorSatelliteConfiguration", "metadata": {"name": "internal-tls"},
    "spec": {"internalTLS": {"tlsHandshakeDaemon": True, "certManager": INTERNAL}},
}


def authority(name, namespace, kind):
    """A self-signed CA and its issuer, as docs/how-to/replication-tls.md makes them."""
    def document(kind, name, spec):
        metadata = {"name": name, **({} if kind == "ClusterIssuer" else {"namespace": namespace})}
        return {"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": metadata, "spec": spec}
    return [
        document("Issuer", "ca-bootstrapper", {"selfSigned": {}}),
        document("Certificate", name, {
            "commonName": name, "secretName": name, "duration": "87600h", "isCA": True,
            "usages": ["signing", "key encipherment", "cert sign"],
            "issuerRef": {"name": "ca-bootstrapper", "kind": "Issuer"}}),
        document(kind, name, {"ca": {"secretName": name}}),
    ]


@pytest.fixture(scope="module")
def volumes(storage):
    """A cluster under load whose certificates all come from cert-manager."""
    storage.bed.apply([*authority(INTERNAL["name"], NAMESPACE, "Issuer"),
                       *authority(REPLICATION["name"], CLUSTER_NAMESPACE, "ClusterIssuer")])
    storage.create_cluster(CLUSTER)
    create_volumes(storage)
    return storage


def data(volumes, name, key="tls.crt", namespace=NAMESPACE):
    return base64.b64decode(volumes.get("-n", namespace, "secret", name)["data"].get(key, "")).decode()


def replication_ca(volumes):
    return data(volumes, REPLICATION["name"], namespace=CLUSTER_NAMESPACE)


def serial(pem):
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def is_client(pem):
    certificate = x509.load_pem_x509_certificate(pem.encode())
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return ExtendedKeyUsageOID.CLIENT_AUTH in usages


def ready(volumes, name):
    certificate = volumes.get("-n", NAMESPACE, CERTIFICATES, name)
    condition = volumes.condition(certificate, "Ready")
    return (condition.get("status") == "True" and
            condition.get("observedGeneration") == certificate["metadata"]["generation"])


def renew(volumes, name, secret, namespace=NAMESPACE):
    """`cmctl renew`: the condition that cert-manager itself sets when it is time. Waits for the new certificate."""
    before = data(volumes, secret, namespace=namespace), data(volumes, secret, "tls.key", namespace)
    certificate = volumes.get("-n", namespace, CERTIFICATES, name)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [c for c in certificate["status"]["conditions"] if c["type"] != "Issuing"] + [
        {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by the test",
         "lastTransitionTime": now, "observedGeneration": certificate["metadata"]["generation"]}]
    volumes.kubectl("-n", namespace, "patch", CERTIFICATES, name, "--subresource=status", "--type=merge", "-p",
                    json.dumps({"status": {"conditions": conditions}}))
    volumes.bed.wait_for(lambda: data(volumes, secret, namespace=namespace) != before[0], 60, f"{name} to be renewed")
    # cert-manager >= 1.18 makes a new key each time where nobody says otherwise.
    assert data(volumes, secret, "tls.key", namespace) != before[1]


def readiness(volumes, node):
    return volumes.condition(volumes.get("linstorsatellite", node), "ReplicationTLSReady")


def presents(volumes, node, secret):
    return serial(files(volumes, node, "tls.crt")) == serial(data(volumes, secret))


def authorities(volumes, node):
    return files(volumes, node, "ca.crt").count("BEGIN CERTIFICATE")


def begin(volumes):
    """What `assert_untouched` compares with: from here on counts."""
    volumes.trace(reset=True)
    volumes.bed.drbd({"op": "report", "reset": True})
    return [volumes.satellite_pod(node) for node in NODES]


def assert_uncut(volumes):
    """No connection was cut and no write had to wait for longer than the machine explains."""
    assert not [c for c in volumes.trace() if "disconnect" in c["argv"]]
    assert volumes.encrypted()
    stalls = {name: row["longestStallMs"] for name, row in volumes.report().items()}
    assert max(stalls.values()) < FREEZE_MS, stalls
    assert_unharmed(volumes)


def assert_untouched(volumes, pods):
    """As `assert_uncut`, and no pod was started again."""
    assert [volumes.satellite_pod(node) for node in NODES] == pods
    assert_uncut(volumes)


def test_internal_tls(volumes):
    # spec.internalTLS.certManager on both kinds: who has cert-manager makes no certificate by hand.
    volumes.create(HANDSHAKE_DAEMON)
    volumes.apply(CLUSTER_TLS_YAML)
    volumes.bed.wait_for(lambda: volumes.encrypted() and volumes.migration_complete(), 240,
                         "every connection to be encrypted")
    assert ready(volumes, "linstor-controller-internal-tls")
    ca = data(volumes, INTERNAL["name"])
    for node in NODES:
        assert ready(volumes, f"linstor-satellite.{node}")
        assert presents(volumes, node, f"{node}-tls")
        assert files(volumes, node, "ca.crt").strip() == ca.strip()
        assert is_client(files(volumes, node, "tls.crt"))  # of DRBD's two sockets it opens one
    wait_for_condition(volumes, "SharedWithLINSTOR")
    assert_unharmed(volumes)


def test_new_authority_without_overlap(volumes):
    # In this mode cert-manager's Secrets are mounted as they are, so no handshake succeeds between a node that has renewed
    # and one that has not. It is said, nothing is cut for it, and it is over when the last one has renewed.
    pods = begin(volumes)
    renew(volumes, INTERNAL["name"], INTERNAL["name"])
    first, *others = NODES
    renew(volumes, f"linstor-satellite.{first}", f"{first}-tls")
    volumes.bed.wait_for(lambda: "Untrusted" in readiness(volumes, first)["reason"], 90, "the lack of trust to be said")
    assert_untouched(volumes, pods)
    for node in others:
        renew(volumes, f"linstor-satellite.{node}", f"{node}-tls")
    for node in NODES:
        volumes.bed.wait_for(lambda: readiness(volumes, node)["status"] == "True", 150, f"{node} to be ready again")
    volumes.bed.wait_for(volumes.migration_complete, 60, "the migration to be complete again")
    assert_untouched(volumes, pods)
    reconnect(volumes, "pvc-a")
    assert_unharmed(volumes)


def test_take_over(volumes):
    # T5: to an issuer for replication alone. Satellites restart once for the mount; nothing is cut for it.
    begin(volumes)
    set_mode(volumes, mode="CertManager", issuerRef=REPLICATION)
    wait_for_condition(volumes, "CertManager", 240)
    for node in NODES:
        assert ready(volumes, f"linstor-replication.{node}")
        assert presents(volumes, node, f"{node}-replication-issued")
        assert authorities(volumes, node) == 1
        # The key of a satellite now opens no other one: cert-manager has issued it again, for a server only.
        volumes.bed.wait_for(lambda: not is_client(data(volumes, f"{node}-tls")), 60, f"{node}-tls to be a server's")
    assert_uncut(volumes)
    reconnect(volumes, "pvc-a")
    assert_unharmed(volumes)


def test_renewal(volumes):
    # T3: a leaf of the same CA. The files change in the running containers, sessions go on.
    pods = begin(volumes)
    for node in NODES:
        renew(volumes, f"linstor-replication.{node}", f"{node}-replication-issued")
    for node in NODES:
        volumes.bed.wait_for(lambda: presents(volumes, node, f"{node}-replication-issued"), 60,
                             f"{node} to present its new certificate")
        assert authorities(volumes, node) == 1
        # What the operator wrote into cert-manager's Secret is still there: the key goes with the node.
        owner, = volumes.get("-n", NAMESPACE, "secret", f"{node}-replication-issued")["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("LinstorSatellite", node)
    wait_for_condition(volumes, "CertManager")
    assert_untouched(volumes, pods)
    reconnect(volumes, "pvc-b")
    assert_unharmed(volumes)


def test_new_authority(volumes):
    # The trap of cert-manager >= 1.18: a renewed CA has a new key under its old name, and each leaf follows at a time of
    # its own, with nothing but the new CA in its ca.crt. Without bundles that overlap, no handshake between a node that
    # has renewed and one that has not.
    pods = begin(volumes)
    old = replication_ca(volumes)
    renew(volumes, REPLICATION["name"], REPLICATION["name"], CLUSTER_NAMESPACE)
    assert replication_ca(volumes) != old
    first, *others = NODES
    renew(volumes, f"linstor-replication.{first}", f"{first}-replication-issued")
    volumes.bed.kill_operator()
    volumes.start_operator()
    volumes.bed.wait_for(lambda: presents(volumes, first, f"{first}-replication-issued"), 90,
                         "the first node to present a certificate of the new authority")
    assert [authorities(volumes, node) for node in NODES] == [2, 2, 2]
    assert data(volumes, f"{others[0]}-replication-issued", "ca.crt").strip() == old.strip()
    assert_untouched(volumes, pods)
    reconnect(volumes, "pvc-a")  # one with the new, one with the old
    pods = begin(volumes)
    for node in others:
        renew(volumes, f"linstor-replication.{node}", f"{node}-replication-issued")
    volumes.bed.wait_for(lambda: [authorities(volumes, node) for node in NODES] == [1, 1, 1], 150,
                         "the old authority to be withdrawn")
    wait_for_condition(volumes, "CertManager")
    for node in NODES:
        assert files(volumes, node, "ca.crt").strip().endswith(replication_ca(volumes).strip())
        assert presents(volumes, node, f"{node}-replication-issued")
    assert_untouched(volumes, pods)
    reconnect(volumes, "pvc-b")
    assert_unharmed(volumes)


def test_back(volumes):
    # T5, the last way: the satellites' certificates must be a client's again before anybody presents them.
    begin(volumes)
    set_mode(volumes, mode="InternalTLS", issuerRef=None)
    wait_for_condition(volumes, "SharedWithLINSTOR", 240)
    for node in NODES:
        assert is_client(files(volumes, node, "tls.crt"))
        assert presents(volumes, node, f"{node}-tls")
        volumes.bed.wait_for(lambda: volumes.bed.kubectl(
            "-n", NAMESPACE, "get", CERTIFICATES, f"linstor-replication.{node}", check=False).returncode != 0, 30,
            "the Certificate that nobody needs to be gone")
        volumes.bed.wait_for(lambda: not data(volumes, f"{node}-replication-issued", "tls.key"), 30,
                             "the key that nobody uses to be gone")
    assert_uncut(volumes)
    reconnect(volumes, "pvc-a")
    volumes.bed.wait_for(volumes.migration_complete, 60, "the proof for every connection")
    assert_unharmed(volumes)
