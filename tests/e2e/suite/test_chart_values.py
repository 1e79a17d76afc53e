"""The charts without a cluster: what they render, that it is what kustomize renders, and which values they refuse."""
import base64
import copy
import json
import re
import subprocess

import pytest
import yaml
from scenario import charts
from scenario.charts import CLUSTER, OPERATOR, ROOT

TLS = "DrbdOptions/Net/tls"
PARAMETER = f"property.linstor.csi.linbit.com/{TLS}"
ADDED_LABELS = {"app.kubernetes.io/managed-by", "helm.sh/chart"}
ADDED_ANNOTATIONS = {"helm.sh/resource-policy"}  # of definitions: they survive an uninstall
ENCRYPTED = {"encryption": {"enabled": True}}


def kustomize(folder):
    tools = subprocess.run([ROOT / "scripts/tools.sh", "--print-dir"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return charts.objects(subprocess.run([f"{tools}/kubectl", "kustomize", str(ROOT / "deploy" / folder)], check=True,
                                         capture_output=True, text=True).stdout)


def comparable(document):
    """Without what Helm adds; the documents of the image configuration by what they say."""
    document = copy.deepcopy(document)
    for field, added in (("labels", ADDED_LABELS), ("annotations", ADDED_ANNOTATIONS)):
        found = document["metadata"].pop(field, {})
        document["metadata"][field] = {key: value for key, value in found.items() if key not in added}
    if document["metadata"]["name"] == "piraeus-operator-image-config":
        document["data"] = {key: yaml.safe_load(text) for key, text in document["data"].items()}
    return document


@pytest.mark.parametrize("folder, values", [
    ("default", {}),
    ("cert-manager", {"webhook": {"certificate": "CertManager"}}),
])
def test_chart_and_kustomize_are_one(folder, values):
    """What was fixed in one of the two must not be missing for the users of the other."""
    chart = charts.objects(charts.render(OPERATOR, values))
    plain = kustomize(folder)
    # The namespace is the user's with Helm, which would not label it.
    assert set(plain) - set(chart) == {("Namespace", "", "piraeus-datastore")} and set(chart) <= set(plain)
    for key, document in chart.items():
        assert comparable(document) == comparable(plain[key]), key


def test_network_policies_are_those_of_deploy():
    chart = charts.objects(charts.render(OPERATOR, {"networkPolicies": {"enabled": True, "satellites": True}}))
    plain = kustomize("network-policies")
    (satellites,) = yaml.safe_load_all((ROOT / "deploy/network-policies/satellites.yaml").read_text())
    satellites["metadata"]["namespace"] = "piraeus-datastore"
    plain["NetworkPolicy", "piraeus-datastore", "linstor-satellite"] = satellites
    found = {key: document for key, document in chart.items() if key[0] == "NetworkPolicy"}
    assert set(found) == set(plain)
    for key, document in found.items():
        assert document["spec"] == plain[key]["spec"], key


@pytest.mark.parametrize("chart", [OPERATOR, CLUSTER])
def test_lint(chart):
    done = subprocess.run([charts.helm_program(), "lint", "--strict", charts.KUBERNETES, str(chart)], capture_output=True, text=True)
    assert done.returncode == 0 and "[WARNING]" not in done.stdout, done.stdout + done.stderr


def test_generated_parts_are_up_to_date():
    for script in ("chart_sources.py", "chart_docs.py"):
        done = subprocess.run(["/usr/bin/python3", str(ROOT / "scripts" / script), "--check"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_versions_are_those_of_the_programs():
    """An appVersion that nobody raised would install the operator of the last release."""
    version = re.search(r"project\(breakwater VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    agent = (ROOT / "operator/agent/VERSION").read_text().strip()
    for chart in (OPERATOR, CLUSTER):
        assert yaml.safe_load((chart / "Chart.yaml").read_text())["appVersion"] == version
    assert yaml.safe_load((OPERATOR / "values.yaml").read_text())["agent"]["image"]["tag"] == agent


def test_every_block_of_the_guide_is_run_or_says_why_not():
    markers = [marker for marker, _ in charts.guide_blocks()]
    assert len(markers) > 10
    assert not [marker for marker in markers if not re.match(r"(test: [\w-]+|not run: .+)$", marker)], markers
    tests = (ROOT / "tests/e2e/suite/test_charts.py").read_text()
    assert not [marker for marker in markers if marker.startswith("test: ") and f'"{marker[6:]}"' not in tests]


# Values, and what the refusal must say: the place, or what is wrong with it.
WRONG_OPERATOR = [
    ({"replica": 3}, "'replica' not allowed"),
    ({"replicas": "two"}, "at '/replicas': got string, want integer"),
    ({"replicas": -1}, "at '/replicas': minimum: got -1, want 0"),
    ({"image": {"name": "x"}}, "at '/image': additional properties 'name' not allowed"),
    ({"image": {"tag": "v1 beta"}}, "at '/image/tag': 'v1 beta' does not match"),
    ({"image": {"digest": "abc"}}, "at '/image/digest'"),
    ({"image": {"pullPolicy": "Sometimes"}}, "at '/image/pullPolicy': value must be one of"),
    ({"registry": "https://registry.example.com"}, "at '/registry'"),
    ({"agent": {"image": {"tag": ""}}}, "at '/agent/image/tag'"),
    ({"components": {"images": [{"base": "x"}]}}, "missing property 'components'"),
    ({"runAsUser": 0}, "at '/runAsUser': minimum: got 0, want 1"),
    ({"crds": {"keep": "no"}}, "at '/crds/keep': got string, want boolean"),
    ({"extraArgs": ["--namespace=other"]}, "extraArgs: --namespace is set by the chart (the release's namespace)"),
    ({"extraArgs": ["--leader-elect=false"]}, "extraArgs: --leader-elect is set by the chart"),
    ({"extraArgs": ["log-level=debug"]}, "at '/extraArgs/0'"),
    ({"extraEnv": [{"name": "NAMESPACE", "value": "x"}]}, "extraEnv: NAMESPACE is set by the chart"),
    ({"podLabels": {"app.kubernetes.io/name": "x"}}, "is what the Deployment and the policies select by"),
    ({"webhook": {"enabled": False}}, "without a webhook the operator makes none"),
    ({"webhook": {"certificate": "Secret"}}, "webhook.caBundle is needed"),
    ({"webhook": {"issuerRef": {"name": "mine"}}}, "webhook.issuerRef is for webhook.certificate: CertManager"),
    ({"metrics": {"authentication": "basic"}}, "at '/metrics/authentication': value must be one of"),
    ({"webhook": {"caBundle": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"}},
     "webhook.caBundle is for webhook.certificate: Secret"),
    ({"webhook": {"issuerRef": {"kind": "Issuer"}}}, "at '/webhook/issuerRef'"),
    ({"networkPolicies": {"enabled": True, "nodeCIDRs": ["10.0.0.1"]}}, "at '/networkPolicies/nodeCIDRs/0'"),
    ({"networkPolicies": {"satellites": True}}, "networkPolicies.satellites needs networkPolicies.enabled"),
]
WRONG_CLUSTER = [
    ({"linstorCluster": {"spec": {"propertys": []}}}, "at '/linstorCluster/spec': additional properties 'propertys' not allowed"),
    ({"linstorCluster": {"spec": {"replicationTLS": {"certificates": {"mode": "Self"}}}}},
     "at '/linstorCluster/spec/replicationTLS/certificates/mode': value must be one of"),
    ({"linstorCluster": {"spec": {"csiController": {"replicas": -1}}}}, "at '/linstorCluster/spec/csiController/replicas'"),
    ({"linstorSatelliteConfigurations": [{"spec": {}}]}, "missing property 'name'"),
    ({"linstorSatelliteConfigurations": [{"name": "a", "spec": {"storagePools": [{"name": "pool1", "lvmThin": {}}]}}]},
     "additional properties 'lvmThin' not allowed"),
    ({"linstorSatelliteConfigurations": [{"name": "a"}, {"name": "a"}]}, 'the name "a" is there twice'),
    ({"linstorNodeConnections": [{"name": "a", "spec": {"selector": [{"matchLabels": [{"key": "k", "op": "Equal"}]}]}}]},
     "matchLabels/0/op': value must be one of"),
    ({"storageClasses": [{"name": "a", "parameters": {"placementCount": 2}}]}, "got number, want string"),
    ({"storageClasses": [{"name": "a", "reclaimPolicy": "Recycle"}]}, "reclaimPolicy': value must be one of"),
    ({"storageClasses": [{"name": "linstor-encrypted"}], **ENCRYPTED}, "storageClasses: a name is there twice"),
    ({"volumeSnapshotClasses": [{"name": "a", "deletionPolicy": "Keep"}]}, "deletionPolicy': value must be one of"),
    ({"encryption": {"enabled": True, "certificates": "Helm"}}, "at '/encryption/certificates': value must be one of"),
    ({"linstorSatelliteConfigurations": [{"name": "z", "spec": {"internalTLS": {}}}], **ENCRYPTED},
     "replaces that of encryption.enabled as a whole, the handshake daemon included"),
    ({"linstorSatelliteConfigurations": [{"name": "linstor-encryption"}], **ENCRYPTED}, "belongs to encryption.enabled"),
    ({"linstorCluster": {"spec": {"properties": [{"name": TLS, "value": "no"}]}}, **ENCRYPTED},
     f"sets {TLS} to something else than yes"),
    ({"encryption": {"enabled": True, "storageClass": {"parameters": {PARAMETER: "no"}}}}, "the class would not be encrypted"),
]


@pytest.mark.parametrize("chart, values, message", [(OPERATOR, *row) for row in WRONG_OPERATOR] +
                         [(CLUSTER, *row) for row in WRONG_CLUSTER], ids=lambda value: json.dumps(value) if isinstance(value, dict) else "")
def test_a_wrong_value_is_refused_with_a_sentence(chart, values, message):
    good, said = charts.template(chart, values)
    assert not good and message in said, said


def test_encryption_is_one_line():
    """Certificates, daemon, property, API and class from `encryption.enabled` alone, as the two guides say."""
    found = charts.objects(charts.render(CLUSTER, ENCRYPTED))
    cluster = found["LinstorCluster", "", "linstorcluster"]["spec"]
    internal = {"certManager": {"name": "linstor-internal-ca", "kind": "Issuer"}}
    assert cluster == {"internalTLS": internal, "apiTLS": {"certManager": {"name": "linstor-api-ca", "kind": "Issuer"}},
                       "properties": [{"name": TLS, "value": "yes"}], "replicationTLS": {"certificates": {"mode": "Managed"}}}
    satellites = found["LinstorSatelliteConfiguration", "", "linstor-encryption"]["spec"]
    assert satellites == {"internalTLS": {"tlsHandshakeDaemon": True, **internal}}
    assert found["StorageClass", "", "linstor-encrypted"]["parameters"][PARAMETER] == "yes"
    authorities = {key[2] for key, document in found.items() if key[0] == "Certificate" and document["spec"]["isCA"]}
    assert authorities == {"linstor-internal-ca", "linstor-api-ca"}  # one for both would open LINSTOR's API to satellites


def test_what_a_user_says_is_laid_over_the_preset():
    values = {**ENCRYPTED, "linstorCluster": {"spec": {
        "internalTLS": {"certManager": {"name": "mine", "kind": "ClusterIssuer"}}, "repository": "mirror.example.com",
        "properties": [{"name": "DrbdOptions/Net/max-buffers", "value": "8000"}],
        "replicationTLS": {"certificates": {"duration": "240h"}, "minimumVersion": "TLS1.3"}}}}
    spec = charts.objects(charts.render(CLUSTER, values))["LinstorCluster", "", "linstorcluster"]["spec"]
    assert spec["internalTLS"]["certManager"] == {"name": "mine", "kind": "ClusterIssuer"}
    assert spec["properties"] == [{"name": TLS, "value": "yes"}, {"name": "DrbdOptions/Net/max-buffers", "value": "8000"}]
    assert spec["replicationTLS"] == {"certificates": {"mode": "Managed", "duration": "240h"}, "minimumVersion": "TLS1.3"}
    assert spec["repository"] == "mirror.example.com"


def test_secrets_made_by_hand_need_no_cert_manager():
    found = charts.objects(charts.render(CLUSTER, {"encryption": {"enabled": True, "certificates": "Secrets"}}))
    assert not [key for key in found if key[0] in ("Issuer", "Certificate")]
    spec = found["LinstorCluster", "", "linstorcluster"]["spec"]
    assert spec["internalTLS"] == {} and spec["apiTLS"] == {}
    assert found["LinstorSatelliteConfiguration", "", "linstor-encryption"]["spec"]["internalTLS"] == {"tlsHandshakeDaemon": True}


def test_webhook_with_a_certificate_of_the_user():
    pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
    found = charts.objects(charts.render(OPERATOR, {"webhook": {"certificate": "Secret", "caBundle": pem}}))
    assert not [key for key in found if key[0] in ("Issuer", "Certificate")]
    configuration = found["ValidatingWebhookConfiguration", "", "piraeus-operator-validating-webhook-configuration"]
    assert "annotations" not in configuration["metadata"] and len(configuration["webhooks"]) == 4
    for webhook in configuration["webhooks"]:
        assert base64.b64decode(webhook["clientConfig"]["caBundle"]).decode() == pem


def test_images_by_registry_and_digest():
    digest = "sha256:" + "0" * 64
    values = {"registry": "registry.example.com:5000/bw", "image": {"digest": digest}, "agent": {"image": {"digest": digest}},
              "components": {"images": [{"base": "m.example.com", "components": {"ktls-utils": {"image": "t", "tag": "1"}}}]}}
    found = charts.objects(charts.render(OPERATOR, values))
    deployment = found["Deployment", "piraeus-datastore", "piraeus-operator-controller-manager"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == f"registry.example.com:5000/bw/breakwater-operator@{digest}"
    data = found["ConfigMap", "piraeus-datastore", "piraeus-operator-image-config"]["data"]
    assert yaml.safe_load(data["0_breakwater_images.yaml"]) == {
        "base": "registry.example.com:5000/bw", "components": {"breakwater-agent": {"image": "breakwater-agent", "digest": digest}}}
    # Users' own documents sort between the defaults and those of the values (docs/how-to/take-over.md).
    assert sorted(data)[-1] == "2_values_00.yaml" and "ktls-utils" in data["2_values_00.yaml"]
