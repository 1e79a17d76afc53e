"""Fixtures: a storage cluster on a test bed of its own for each module; nothing is shared between modules."""
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import testbed  # noqa: E402  (needs the path above)
from scenario import Storage, leaks  # noqa: E402

NODES = ["node1.example.com", "node2.example.com", "node3.example.com"]
# Longest first, so that none of them is alone at the end. What is not here comes after them.
SLOWEST_MODULES = ["test_killed_operator", "test_certmanager", "test_agent_kills", "test_charts", "test_idle", "test_demo", "test_guide", "test_linstor_unreachable"]


def pytest_collection_modifyitems(items):
    def rank(item):
        name = item.path.stem
        return SLOWEST_MODULES.index(name) if name in SLOWEST_MODULES else len(SLOWEST_MODULES)
    items.sort(key=rank)  # stable: the order inside a module stays


@pytest.fixture(scope="module")
def node_names(request):
    return getattr(request.module, "NODE_NAMES", NODES)


@pytest.fixture(scope="module")
def storage(request, node_names):
    """Breakwater installed, nothing else. A module tunes it with OPERATOR_FLAGS; CERT_MANAGER: that is there too."""
    with testbed.TestBed(nodes=node_names) as bed:
        if getattr(request.module, "CERT_MANAGER", False):
            bed.start_certmanager()
        storage = Storage(bed, getattr(request.module, "OPERATOR_FLAGS", ()))
        storage.install()
        yield storage
        found = leaks.leaks(storage)
        assert not found, found


@pytest.fixture(scope="module")
def volumes(storage):
    """A cluster with plaintext volumes under load, whose certificates somebody made by hand."""
    storage.create_cluster()
    storage.issue_certificates()
    create_volumes(storage)
    return storage


def create_volumes(storage):
    """Three volumes of two and three copies, written to; what was before does not count in the report."""
    storage.create_group("three-copies", 3)
    storage.create_group("two-copies", 2)
    for name, replicas in [("pvc-a", 3), ("pvc-b", 3), ("pvc-c", 2)]:
        storage.create_volume(name, "three-copies" if replicas == 3 else "two-copies", replicas)
    storage.bed.wait_for(storage.all_connected, 60, "all volumes connected and in sync")
    storage.bed.drbd({"op": "report", "reset": True})


def assert_unharmed(storage):
    """Every writer wrote, nothing failed, is frozen or differs, and no step was one that could have done harm."""
    harm = storage.harm()
    assert not harm, harm
