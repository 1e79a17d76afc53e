"""What is installed: the same with kustomize and with Helm, and the operator's metrics where Prometheus looks for them."""
import json
import re
import subprocess

import pytest
import yaml
from monitoring import DASHBOARD, OBJECTS, ROOT, kustomized, program, rule_groups
from scenario import charts

NAMESPACE = "piraeus-datastore"
HELMS_LABELS = {"app.kubernetes.io/managed-by", "helm.sh/chart"}


def overlay(directory, *components, base="default"):
    """{(kind, name): object} of an overlay as docs/how-to/monitoring.md has it."""
    return named(kustomized(directory, components, base))


def helm(values):
    return named(charts.render(charts.OPERATOR, {"monitoring": {"enabled": True, **values}}))


def named(text):
    return {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(text) if d}


def of_monitoring(objects):
    return {key: document for key, document in objects.items() if key in OBJECTS}


def container(objects):
    return objects["Deployment", "piraeus-operator-controller-manager"]["spec"]["template"]["spec"]["containers"][0]


def ports(objects):
    return {port["name"]: port for port in container(objects)["ports"]}


@pytest.mark.parametrize("components, values", [
    (["monitoring"], {}),
    (["monitoring", "monitoring/linstor-tls"], {"linstor": {"tls": True}}),
])
def test_kustomize_and_chart_are_one(components, values, tmp_path):
    # What was fixed in one of the two must not be missing for the users of the other.
    plain, chart = overlay(tmp_path, *components), helm(values)
    for objects in (plain, chart):
        assert set(of_monitoring(objects)) == OBJECTS
        assert {d["metadata"]["namespace"] for d in of_monitoring(objects).values()} == {NAMESPACE}
    for key, document in of_monitoring(chart).items():
        labels = document["metadata"]["labels"]
        assert HELMS_LABELS <= set(labels), key
        document["metadata"]["labels"] = {name: value for name, value in labels.items() if name not in HELMS_LABELS}
        assert document == plain[key], key


def test_rules_and_dashboard_arrive_as_they_are(tmp_path):
    # Helm and Prometheus both write {{ }}.
    objects = helm({})
    assert objects["PrometheusRule", "breakwater"]["spec"]["groups"] == rule_groups()
    assert json.loads(objects["ConfigMap", "breakwater-dashboard"]["data"]["breakwater.json"]) == json.loads(DASHBOARD.read_text())


def test_the_operator_serves_what_is_scraped(tmp_path):
    # Port, name in the certificate and Secret are said in four places.
    objects = overlay(tmp_path, "monitoring")
    manager, service = container(objects), objects["Service", "piraeus-operator-metrics"]
    monitor = objects["ServiceMonitor", "piraeus-operator"]["spec"]
    (port,), (endpoint,) = service["spec"]["ports"], monitor["endpoints"]
    assert f"--metrics-bind-address=:{ports(objects)['metrics']['containerPort']}" in manager["args"]
    assert port["targetPort"] == "metrics" and port["port"] == ports(objects)["metrics"]["containerPort"]
    assert endpoint["port"] == port["name"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    pod = objects["Deployment", "piraeus-operator-controller-manager"]["spec"]["template"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert ("Service", endpoint["tlsConfig"]["serverName"].split(".")[0]) in objects
    (mount,) = [v["secret"]["secretName"] for v in pod["spec"]["volumes"] if v["name"] == "webhook-certificate"]
    assert endpoint["tlsConfig"]["ca"]["secret"]["name"] == mount


def test_the_certificate_of_cert_manager(tmp_path):
    objects = overlay(tmp_path, "monitoring", "monitoring/cert-manager", base="cert-manager")
    (endpoint,) = objects["ServiceMonitor", "piraeus-operator"]["spec"]["endpoints"]
    certificate = objects["Certificate", "piraeus-operator-serving-cert"]["spec"]
    assert endpoint["tlsConfig"]["ca"]["secret"]["name"] == certificate["secretName"]
    assert endpoint["tlsConfig"]["serverName"] in certificate["dnsNames"]


def test_pods_that_are_scraped_have_these_labels_and_ports(tmp_path):
    # The pods are rendered by the operator: its manifests say what they are called.
    objects = overlay(tmp_path, "monitoring")
    for name, kind, manifest in (("linstor-controller", "Deployment", "controller"), ("linstor-satellite", "DaemonSet", "satellite")):
        text = (ROOT / f"operator/core/render/manifests/{manifest}.yaml").read_text()
        template = named(text)[kind, name]["spec"]["template"]
        spec = objects["PodMonitor", name]["spec"]
        assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert template["metadata"]["labels"][spec["jobLabel"]] == name  # the job that the rules ask for
        known = {port["name"] for c in template["spec"]["containers"] for port in c.get("ports", [])}
        assert {endpoint["port"] for endpoint in spec["podMetricsEndpoints"]} <= known


@pytest.mark.parametrize("values, missing", [
    ({"enabled": False}, OBJECTS),
    ({"monitors": {"enabled": False}}, {key for key in OBJECTS if key[0] in ("Service", "ServiceMonitor", "PodMonitor")}),
    ({"linstor": {"enabled": False}}, {("PodMonitor", "linstor-controller")}),
    ({"rules": {"enabled": False}}, {("PrometheusRule", "breakwater")}),
    ({"dashboard": {"enabled": False}}, {("ConfigMap", "breakwater-dashboard")}),
])
def test_what_is_switched_off_is_not_there(values, missing):
    objects = helm(values)
    assert OBJECTS - set(objects) == missing


def test_the_operators_certificate_whoever_makes_it():
    # Prometheus trusts what is in the Secret that the operator serves from, and in the namespace of the release.
    for certificate, secret in (("Operator", "breakwater-webhook-certificate"), ("CertManager", "webhook-server-cert")):
        objects = named(charts.render(charts.OPERATOR, {"monitoring": {"enabled": True}, "webhook": {"certificate": certificate}},
                                      namespace="storage"))
        (endpoint,) = objects["ServiceMonitor", "piraeus-operator"]["spec"]["endpoints"]
        assert endpoint["tlsConfig"]["ca"]["secret"]["name"] == secret
        assert endpoint["tlsConfig"]["serverName"] == "piraeus-operator-webhook-service.storage.svc"
    good, said = charts.template(charts.OPERATOR, {"monitoring": {"enabled": True}, "metrics": {"enabled": False}})
    assert not good and "metrics.enabled" in said


def test_labels_and_pages_of_ones_own():
    # A Prometheus that looks for a label would see nothing, without a word.
    objects = helm({"labels": {"release": "kube-prometheus-stack"}, "rules": {"runbookURL": "https://wiki.example.com/storage/"}})
    for key, document in of_monitoring(objects).items():
        mine = document["apiVersion"].startswith("monitoring.coreos.com/")
        assert (document["metadata"]["labels"].get("release") == "kube-prometheus-stack") == mine, key
    for group in objects["PrometheusRule", "breakwater"]["spec"]["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["runbook_url"] == f"https://wiki.example.com/storage/{rule['alert']}.md"


def test_with_network_policies_prometheus_reaches_linstor():
    # Else LINSTOR would be reported as down, for ever.
    policies = {"networkPolicies": {"enabled": True}}
    allowed = ("NetworkPolicy", "linstor-controller-metrics")
    chart = named(charts.render(charts.OPERATOR, {"monitoring": {"enabled": True}, **policies}))
    plain = named((ROOT / "deploy/network-policies/linstor-metrics.yaml").read_text())
    assert chart[allowed]["spec"] == plain[allowed]["spec"]
    assert allowed not in named(charts.render(charts.OPERATOR, {"monitoring": {"enabled": True, "linstor": {"enabled": False}},
                                                                **policies}))
    assert allowed not in helm({})


def test_scrape_configuration_without_the_prometheus_operator(tmp_path):
    # The jobs and labels of the guide's own configuration are what the rules ask for.
    (text,) = re.findall(r"```yaml\n(scrape_configs:.*?)```", (ROOT / "docs/how-to/monitoring.md").read_text(), re.DOTALL)
    jobs = yaml.safe_load(text)["scrape_configs"]
    for job in jobs:
        assert job.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": [NAMESPACE]}}]  # Debian's cannot do that
        for files, name in (("tls_config", "ca_file"), ("authorization", "credentials_file")):
            job.get(files, {}).pop(name, None)  # promtool looks whether they are there
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump({"scrape_configs": jobs}))
    done = subprocess.run([program("promtool"), "check", "config", tmp_path / "prometheus.yaml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    monitors = {key: d["spec"] for key, d in overlay(tmp_path, "monitoring").items() if key[0].endswith("Monitor")}
    scraped = {f"{name};{endpoint['port']}" for (_, name), spec in monitors.items()
               for endpoint in spec.get("endpoints", spec.get("podMetricsEndpoints"))}
    kept, made = set(), set()
    for rule in (rule for job in jobs for rule in job["relabel_configs"]):
        kept |= set(rule["regex"].split("|")) if rule.get("action") == "keep" else set()
        made |= {rule["target_label"]} if "target_label" in rule else set()
    assert kept == scraped and made == {"job", "namespace", "pod", "endpoint", "node"}
    server = monitors["ServiceMonitor", "piraeus-operator"]["endpoints"][0]["tlsConfig"]["serverName"]
    assert jobs[0]["tls_config"]["server_name"] == server
