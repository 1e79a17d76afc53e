"""Helm, the charts of this repository, and the commands of docs/how-to/install-helm.md."""
import functools
import pathlib
import subprocess
import tempfile

import yaml

from . import documents

ROOT = pathlib.Path(__file__).resolve().parents[3]
OPERATOR, CLUSTER = ROOT / "charts/breakwater", ROOT / "charts/linstor-cluster"
GUIDE = ROOT / "docs/how-to/install-helm.md"
KUBERNETES = "--kube-version=1.36"  # without an API server Helm takes one from the time when it was built


@functools.lru_cache(maxsize=None)
def helm_program():
    """The path of Helm; it is built when it is missing."""
    return subprocess.run([ROOT / "scripts/tools.sh", "--print-helm"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def template(chart, values=None, *flags, namespace="piraeus-datastore"):
    """`helm template` with values: (whether it went well, manifests or errors)."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values or {}, file)
        file.flush()
        done = subprocess.run([helm_program(), "template", "test", str(chart), "-n", namespace, KUBERNETES, "-f", file.name, *flags],
                              capture_output=True, text=True)
    return done.returncode == 0, done.stdout if done.returncode == 0 else done.stderr


def render(chart, values=None, **options):
    """The manifests as text; fails when the values are refused."""
    good, text = template(chart, values, **options)
    assert good, text
    return text


def objects(text):
    """{(kind, namespace, name): object} of manifests."""
    return {(d["kind"], d["metadata"].get("namespace", ""), d["metadata"]["name"]): d for d in yaml.safe_load_all(text) if d}


def guide_blocks():
    """[(marker, commands)] of every block of the guide, "" for one without a marker."""
    return documents.blocks(GUIDE)


def guide(name):
    """The commands that the guide marks with `test: name`."""
    return documents.block(GUIDE, name)
