"""Secrets of a test bed that are where they should not be (REVIEW-2 T8).

The secrets are those that the bed really has: DRBD's shared secret of each volume, the private keys and passwords in
Secrets, the operator's token. Looked through is what people, log collectors and other programs get to see.
"""
import base64
import json

from .storage import SERVICE_ACCOUNT

SHOWN_KINDS = ("events,configmaps,pods,deployments,daemonsets,services,linstorclusters,linstorsatellites,"
               "linstorsatelliteconfigurations,linstornodeconnections,persistentvolumes,validatingadmissionpolicies")
OTHERS = ("etcd", "kube-", "certmanager", "linstor-sim", "drbd-sim")  # logs of what is not ours
SECRET_KEYS = ("tls.key", "keystore.jks", "password", "passphrase", "MASTER_PASSPHRASE")


def secrets_of(storage):
    """{text that must not be seen: what it is}."""
    found = {}
    try:
        definitions = storage.linstor("GET", "/v1/resource-definitions")
    except OSError:  # a module without LINSTOR has no volumes
        definitions = []
    for definition in definitions:
        for layer in definition.get("layer_data", []):
            if secret := (layer.get("data") or {}).get("secret"):
                found[secret] = f"DRBD's shared secret of {definition['name']}"
    for secret in storage.get("secrets", "-A")["items"]:
        for key, value in secret.get("data", {}).items():
            if key in SECRET_KEYS:
                name = f"{key} of Secret {secret['metadata']['name']}"
                text = base64.b64decode(value).decode(errors="replace")
                body = [line for line in text.splitlines() if line and not line.startswith("-----")]
                # Of a PEM file its first full line: a log may have cut it, or put it on one line.
                found[body[0][:48] if "-----BEGIN" in text else text] = name
                found[value[-80:-4]] = f"{name}, encoded"
    token = (storage.bed.work / f"{SERVICE_ACCOUNT}.token").read_text()
    found[token.rsplit(".", 1)[1]] = "the signature of the operator's token"
    return {text: what for text, what in found.items() if len(text) >= 16}


def shown(storage):
    """(where, text) of everything that is looked through."""
    bed = storage.bed
    for folder in ("logs", "execs"):
        for path in (bed.work / folder).iterdir():
            if path.is_file() and not path.name.startswith(OTHERS):
                yield f"{folder}/{path.name}", path.read_text(errors="replace")
    for path in (bed.work / "pods").glob("*/agent.log"):
        yield f"agent {path.parent.name}", path.read_text(errors="replace")
    for item in storage.get(SHOWN_KINDS, "-A")["items"]:
        yield f"{item['kind']} {item['metadata']['name']}", json.dumps(item)
    if storage.bed.component("operator").alive:
        yield "metrics", storage.operator_metrics()


def leaks(storage):
    """One sentence for each secret that is seen somewhere; empty: none."""
    secrets = secrets_of(storage)
    assert secrets, "a bed without any secret shows nothing"
    found = []
    for where, text in shown(storage):
        found += [f"{what} is in {where}" for secret, what in secrets.items() if secret in text]
    return found
