#!/usr/bin/env python3
"""Writes what the charts share with crds/ and deploy/, so that each thing is said in one place.

  scripts/chart_sources.py           writes the files
  scripts/chart_sources.py --check   fails when a file is not up to date

charts/breakwater gets the definitions, the rights, the admission policies and the images of deploy/default; a template
differs from its source by the namespace and the labels of the release. The schema of charts/linstor-cluster gets the
specs of the custom resources: Helm itself drops fields that nobody knows, without a word. What has values of its own (the
Deployment, the webhook, network policies) is written twice, and tests/e2e/suite/test_charts.py compares.
Only Python's standard library is used.
"""

import argparse
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "crds"))
import cluster  # noqa: E402  (needs the path above)
import node_connection  # noqa: E402
import satellite_configuration  # noqa: E402

CHARTS = ROOT / "charts"
NAMESPACE = "{{ .Release.Namespace }}"
NAMESPACED = {"ServiceAccount", "Role", "RoleBinding"}
LABELS = '  labels:\n    {{- include "breakwater.labels" $ | nindent 4 }}\n'
# Template in charts/breakwater/templates: source, and when it is rendered.
TEMPLATES = {
    "rights/service-account.yaml": ("deploy/default/service-account.yaml", ""),
    "rights/cluster-role.yaml": ("deploy/default/cluster-role.yaml", ".Values.rbac.create"),
    "rights/role.yaml": ("deploy/default/role.yaml", ".Values.rbac.create"),
    "rights/events-role.yaml": ("deploy/default/events-role.yaml", ".Values.rbac.create"),
    "rights/rights-to-pass-on.yaml": ("deploy/default/rights-to-pass-on.yaml", ".Values.rbac.create"),
    "rights/user-roles.yaml": ("deploy/default/user-roles.yaml", ".Values.rbac.userRoles"),
    "rights/admission-policies.yaml": ("deploy/default/admission-policies.yaml", ""),
    "rights/storage-class-policy.yaml": ("deploy/default/storage-class-policy.yaml", ""),
    **{f"crds/{kind}.yaml": (f"crds/piraeus.io_{kind}.yaml", ".Values.crds.install") for kind in (
        "linstorclusters", "linstornodeconnections", "linstorsatelliteconfigurations", "linstorsatellites")},
}
COPIES = {"files/images.yaml": "deploy/default/images.yaml", "files/csi-images.yaml": "deploy/default/csi-images.yaml"}
SPECS = {"linstorClusterSpec": cluster, "linstorSatelliteConfigurationSpec": satellite_configuration,
         "linstorNodeConnectionSpec": node_connection}
KEPT = ("type", "description", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
        "required")


def metadata(kind, name):
    """The lines below `metadata:` of one object."""
    namespace = "default" if name == "piraeus-operator-events" else NAMESPACE
    lines = f"  name: {name}\n"
    if kind in NAMESPACED:
        lines += f"  namespace: {namespace}\n"
    if kind == "CustomResourceDefinition":
        lines += '  {{- include "breakwater.crdAnnotations" $ | nindent 2 }}\n'
    if kind == "ServiceAccount":
        lines += "  {{- with .Values.serviceAccount.annotations }}\n  annotations:\n    {{- toYaml . | nindent 4 }}\n  {{- end }}\n"
    return lines + LABELS


def template(source, condition):
    """The text of a manifest as a template of the chart."""
    documents = (ROOT / source).read_text(encoding="utf-8").split("\n---\n")
    result = []
    for document in documents:
        if "{{" in document:
            sys.exit(f"{source}: {{{{ would be taken for a directive of the chart")
        kind = re.search(r"^kind: (\w+)$", document, re.MULTILINE).group(1)
        document = document.replace("namespace: piraeus-datastore", f"namespace: {NAMESPACE}")
        document, count = re.subn(r"^metadata:\n  name: (\S+)\n",
                                  lambda match: "metadata:\n" + metadata(kind, match.group(1)), document, count=1,
                                  flags=re.MULTILINE)
        if count != 1:
            sys.exit(f"{source}: a {kind} does not begin with its name below metadata")
        if kind == "RoleBinding":  # kustomize adds the namespace of its subject
            document = re.sub(r"(subjects:\n  - kind: ServiceAccount\n    name: \S+)\n*\Z",
                              rf"\1\n    namespace: {NAMESPACE}", document.rstrip("\n"))
        result.append(document.rstrip("\n"))
    text = "\n---\n".join(result) + "\n"
    head = f"{{{{- /* Written by scripts/chart_sources.py from {source}: change it there. */}}}}\n"
    if condition:
        return f"{head}{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n"
    return head + text


def json_schema(node):
    """A schema of a definition as JSON schema; what only an API server understands is left to it."""
    result = {key: node[key] for key in KEPT if key in node}
    open_ended = node.get("x-kubernetes-preserve-unknown-fields", False)
    if node.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    if node.get("nullable"):
        result["type"] = [result["type"], "null"]
    if "properties" in node:
        result["properties"] = {key: json_schema(value) for key, value in node["properties"].items()}
        if not open_ended:
            result["additionalProperties"] = False
    elif isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = json_schema(node["additionalProperties"])
    if "items" in node:
        result["items"] = json_schema(node["items"])
    return result


def schema(path):
    """The schema of the values with the specs of today; the rest of it is written by hand."""
    document = json.loads(path.read_text(encoding="utf-8"))
    definitions = document.setdefault("definitions", {})
    for name, module in SPECS.items():
        definitions[name] = json_schema(module.spec())
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def wanted():
    """{path: text} of every file that this script is responsible for."""
    operator = CHARTS / "breakwater"
    files = {operator / "templates" / name: template(*source) for name, source in TEMPLATES.items()}
    files |= {operator / name: (ROOT / source).read_text(encoding="utf-8") for name, source in COPIES.items()}
    path = CHARTS / "linstor-cluster/values.schema.json"
    return files | {path: schema(path)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    files = wanted()
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    # A source that is gone must not live on in the chart.
    known = [path for folder in ("rights", "crds") for path in (CHARTS / "breakwater/templates" / folder).glob("*.yaml")]
    strangers = [path for path in known if path not in files]
    if arguments.check:
        if stale or strangers:
            sys.exit("not up to date, run scripts/chart_sources.py: " + ", ".join(
                str(path.relative_to(ROOT)) for path in stale + strangers))
        return
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    for path in strangers:
        path.unlink()


if __name__ == "__main__":
    main()
