"""The admission webhook as deploy/default installs it, called by the API server, with the operator's own certificate.

The operator is a process here and not a pod: the configuration gets its address as a URL, and the test brings the files of
the Secret to its directory, as a kubelet does for the mounted volume.
"""
import base64
import datetime
import json
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request

import pytest
from scenario import NAMESPACE, Storage
from scenario.storage import ROOT
from testbed import TestBed, kube
from testbed.pki import Authority

CONFIGURATION = "piraeus-operator-validating-webhook-configuration"
SECRET = "breakwater-webhook-certificate"


class Webhook:
    def __init__(self, bed):
        self.bed = bed
        self.address = bed.free_addresses(1)[0]
        self.directory = bed.work / "webhook"
        self.directory.mkdir()
        self.storage = Storage(bed, [f"--webhook-bind-address={self.address}", f"--webhook-cert-path={self.directory}",
                                     f"--webhook-secret-name={SECRET}", f"--metrics-cert-path={self.directory}",
                                     "--metrics-authentication=token"])

    def serves(self):
        host, port = self.address.rsplit(":", 1)
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def secret(self):
        """The Secret's files, or nothing while it is not there."""
        found = self.bed.kubectl("-n", NAMESPACE, "get", "secret", SECRET, "--ignore-not-found", "-o", "json").stdout
        data = json.loads(found)["data"] if found else {}
        return {name: base64.b64decode(text) for name, text in data.items()}

    def deliver(self):
        """What the kubelet does; whether there was something to bring."""
        files = self.secret()
        for name in ("tls.key", "tls.crt"):
            if name not in files:
                return False
            partial = self.directory / (name + ".new")
            partial.write_bytes(files[name])
            partial.replace(self.directory / name)
        return True

    def put(self, prefix, authority, pair):
        """Another certificate in the Secret, as if the operator had made it some time ago."""
        texts = {"tls.crt": pair[0], "tls.key": pair[1], "ca.crt": authority.pem}
        data = {prefix + name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
        self.bed.kubectl("-n", NAMESPACE, "patch", "secret", SECRET, "--type=merge", "-p", json.dumps({"data": data}))

    def bundle(self):
        configuration = self.bed.get("validatingwebhookconfiguration", CONFIGURATION)
        bundles = {webhook["clientConfig"].get("caBundle", "") for webhook in configuration["webhooks"]}
        return base64.b64decode(bundles.pop()) if len(bundles) == 1 else b""

    def configure(self):
        """The configuration as shipped, but for the address: the operator is a process and not behind a Service."""
        documents = kube.yaml.safe_load_all(self.bed.kubectl("kustomize", str(ROOT / "deploy/default")).stdout)
        configuration = next(d for d in documents if d["kind"] == "ValidatingWebhookConfiguration")
        assert configuration["metadata"]["name"] == CONFIGURATION
        for webhook in configuration["webhooks"]:
            service = webhook["clientConfig"].pop("service")
            webhook["clientConfig"]["url"] = f"https://{self.address}{service['path']}"
        self.bed.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(configuration))

    def create(self, kind, spec, name="probe"):
        """What a user sees of a `kubectl create` that is tried only; (allowed, text)."""
        document = {"apiVersion": "piraeus.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        done = self.bed.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(document), check=False)
        return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def webhook():
    with TestBed(nodes=1) as bed:
        yield Webhook(bed)


BAD_PATCH = {"patches": [{"patch": "- op: replace\n  path: /spec\n  value: 1\n"}]}
BAD = {
    "LinstorCluster": (BAD_PATCH, "spec.patches[0].patch"),
    "LinstorSatelliteConfiguration": ({"patches": [{"target": {"name": "("}, "patch": "- {op: remove, path: /a}"}]},
                                      "spec.patches[0].target"),
    "LinstorSatellite": ({"clusterRef": {"name": "linstorcluster"}, **BAD_PATCH}, "spec.patches[0].patch"),
    "LinstorNodeConnection": ({"selector": [{"matchLabels": [{"key": "a b", "op": "Exists"}]}]},
                              "spec.selector[0].matchLabels[0].key"),
}


def test_a_mistake_is_refused_where_it_is_made(webhook):
    # A cluster without cert-manager has the webhook too; and one whose operator is not there yet blocks nobody.
    bed = webhook.bed
    bed.kubectl("apply", "--server-side", "-k", str(ROOT / "deploy/default"))
    bed.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
    for kind, (spec, _) in BAD.items():
        begin = time.monotonic()
        assert webhook.create(kind, spec)[0], f"{kind}: an operator that does not answer must block nobody"
        assert time.monotonic() - begin < 10
    webhook.configure()
    webhook.storage.install()
    webhook.configure()  # install() applied the Service again
    assert webhook.storage.operator_ready() and not webhook.serves()
    bed.wait_for(webhook.deliver, 30, "the operator to make its certificate")
    bed.wait_for(webhook.serves, 30, "the webhook to be served once its certificate is there")
    for kind, (spec, field) in BAD.items():
        # The API server takes up a changed configuration after a moment.
        bed.wait_for(lambda: webhook.deliver() and not webhook.create(kind, spec)[0], 40, f"a bad {kind} to be refused")
        _, text = webhook.create(kind, spec)
        assert f'The {kind} "probe" is invalid: {field}' in text, text

    allowed, text = webhook.create("LinstorSatelliteConfiguration", {"patches": [
        {"target": {"kind": "Pod", "name": "satellite"}, "patch": "- {op: add, path: /spec/hostNetwork, value: true}"}]})
    assert allowed and "Warning: spec.patches[0]" in text, text


def test_a_bundle_that_somebody_took_away_comes_back(webhook):
    # `kubectl replace` of the shipped file, or a tool that keeps it as it was, must not switch the webhook off for ever.
    trusted = webhook.bundle()
    assert trusted.count(b"BEGIN CERTIFICATE") == 1
    webhook.bed.kubectl("patch", "validatingwebhookconfiguration", CONFIGURATION, "--type=json", "-p", json.dumps(
        [{"op": "remove", "path": f"/webhooks/{i}/clientConfig/caBundle"} for i in range(len(BAD))]))
    webhook.bed.wait_for(lambda: webhook.bundle() == trusted, 20, "the bundle to be put back")


def test_a_renewal_fails_no_admission(webhook):
    # A renewal that only a restart picks up, or that the API server does not trust for a moment, fails some day, at night.
    bed, refused, stop = webhook.bed, [], threading.Event()
    spec, _ = BAD["LinstorCluster"]

    def ask():
        while not stop.is_set():
            refused.append(not webhook.create("LinstorCluster", spec)[0])

    # The certificate is old: one that ends in an hour, of an authority of its own that is trusted like the first one.
    host = webhook.address.rsplit(":", 1)[0]
    old = Authority("an old one")

    def issue(days, until):
        now = datetime.datetime.now(datetime.timezone.utc)
        return old.issue("webhook", ips=[host], not_before=now + datetime.timedelta(days=days),
                         not_after=now + datetime.timedelta(days=until))

    webhook.put("", old, issue(days=-89, until=1 / 24))
    bed.wait_for(lambda: webhook.secret().get("next-tls.crt"), 20, "the next certificate to be made")
    bed.wait_for(lambda: webhook.bundle().count(b"BEGIN CERTIFICATE") == 2, 20, "both authorities to be trusted")
    webhook.deliver()
    bed.wait_for(lambda: not webhook.create("LinstorCluster", spec)[0], 40, "the old one to be served")
    asker = threading.Thread(target=ask)
    asker.start()
    try:
        # The next one is made to look as if it had been trusted for a while; then it is served.
        webhook.put("next-", old, issue(days=-1, until=80))
        bed.wait_for(lambda: webhook.deliver() and "next-tls.crt" not in webhook.secret(), 30, "the next one to be served")
        bed.wait_for(lambda: "serving certificate renewed" in bed.log("operator"), 30, "the server to take it up")
        asked = len(refused)
        bed.wait_for(lambda: len(refused) >= asked + 20, 60, "twenty more questions")
    finally:
        stop.set()
        asker.join()
    assert all(refused), f"{refused.count(False)} of {len(refused)} were let through unasked"


def test_taking_the_encryption_off_is_warned_about(webhook):
    # One changed line of YAML moves every volume back to plaintext: whoever applies it must read so.
    def apply(value):
        return webhook.bed.kubectl("apply", "-f", "-", input=json.dumps({
            "apiVersion": "piraeus.io/v1", "kind": "LinstorCluster", "metadata": {"name": "linstorcluster"},
            "spec": {"properties": [{"name": "DrbdOptions/Net/tls", "value": value}]}})).stderr
    assert "plaintext" not in apply("yes")
    text = apply("no")
    assert "Warning: spec.properties" in text and "plaintext" in text, text


def test_a_wrong_object_can_be_deleted_while_the_operator_is_down(webhook):
    # Finalizers and deletions must never wait for a webhook.
    webhook.bed.kill_operator()
    spec, _ = BAD["LinstorNodeConnection"]
    document = {"apiVersion": "piraeus.io/v1", "kind": "LinstorNodeConnection", "metadata": {"name": "wrong"}, "spec": spec}
    webhook.bed.kubectl("create", "-f", "-", input=json.dumps(document))
    webhook.storage.start_operator()
    webhook.bed.wait_for(webhook.serves, 30, "the webhook to be served again")
    webhook.bed.kubectl("delete", "linstornodeconnection", "wrong", "--timeout=30s")


def test_metrics_are_for_whoever_has_the_right(webhook):
    # Any pod of the cluster could read the names of all volumes, claims and nodes.
    bed = webhook.bed
    context = ssl.create_default_context(cadata=webhook.bundle().decode())
    context.check_hostname = False  # the webhook's certificate names the Service

    def read(account=None):
        headers = {}
        if account:
            token = bed.kubectl("-n", NAMESPACE, "create", "token", account).stdout.strip()
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(f"https://{webhook.storage.metrics_address}/metrics", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
    for account in ("prometheus", "stranger"):
        bed.kubectl("-n", NAMESPACE, "create", "serviceaccount", account)
    bed.kubectl("create", "clusterrolebinding", "prometheus-breakwater-metrics",
                "--clusterrole=piraeus-operator-metrics-reader", f"--serviceaccount={NAMESPACE}:prometheus")
    bed.wait_for(lambda: read("prometheus")[0] == 200, 70, "the right to be known")
    assert "breakwater_build_info" in read("prometheus")[1]
    assert read()[0] == 401
    assert read("stranger")[0] == 403


TLS = "property.linstor.csi.linbit.com/DrbdOptions/Net/tls"
GOOD_CLASSES = [
    {TLS: "yes", "linstor.csi.linbit.com/placementCount": "3", "linstor.csi.linbit.com/storagePool": "pool1"},
    {"DrbdOptions/Net/tls": "no", "autoPlace": "2", "resourceGroup": "mine", "csi.storage.k8s.io/fstype": "xfs"},
    {"layerList": "drbd luks storage", TLS: "yes", "linstor.csi.linbit.com/xReplicasOnDifferent": "zone 2"},
]
BAD_CLASSES = [
    ({"placementcounts": "3"}, "does not know the parameter placementcounts"),
    ({"linstor.csi.linbit.com/storagePools": "a"}, "does not know the parameter linstor.csi.linbit.com/storagePools"),
    ({TLS: "true"}, 'is "yes" or "no"'),
    ({TLS: "yes", "DrbdOptions/Net/tls": "no"}, "says two things"),
    ({TLS: "yes", "layerList": "storage"}, "without the layer drbd"),
    ({"autoPlace": "three"}, "is a number"),
    ({"autoPlace": "2", "placementCount": "3"}, "say two things"),
    ({"nodeList": "a b", "placementCount": "2"}, "placed by hand"),
]


def test_a_storage_class_that_cannot_work_is_warned_about(webhook):
    # Without it a typing error is found when the first claim stays Pending, and a class that was to encrypt does not.
    def create(parameters, provisioner="linstor.csi.linbit.com"):
        document = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "probe"},
                    "provisioner": provisioner, "parameters": parameters}
        return webhook.bed.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(document)).stderr
    parameters, text = BAD_CLASSES[0]
    webhook.bed.wait_for(lambda: text in create(parameters), 30, "the API server to take up the policy")
    for parameters, text in BAD_CLASSES:
        said = create(parameters)
        assert "Warning" in said and text in said, f"{parameters}: {said}"
        assert create(parameters, "other.example.com") == ""
    for parameters in GOOD_CLASSES:
        assert create(parameters) == "", parameters
