"""What takes part in a switch is killed at its steps: a volume is neither frozen nor cut for longer than promised
(REVIEW-1 C4, R4). A short form of `make kills`, which plays every case."""
import pytest

from kills import Case, Scene

NODE_NAMES = [f"node{i}.example.com" for i in range(1, 10)]
CASES = [
    Case("SuspendIO", "operator", "disconnect", "never"),
    Case("SuspendIO", "both", "connect", "at once"),
    Case("PairByPair", "agent", "disconnect", "at once"),
    Case("SuspendIO", "pod", "net-options", "at once"),
    # Nobody but the guardian is left on the node, so the freeze lasts until suspendTimeout.
    Case("SuspendIO", "agent", "net-options", "never"),
]


@pytest.fixture(scope="module")
def scene(storage):
    scene = Scene(storage, CASES, never_seconds=15)
    scene.prepare()
    return scene


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kill(scene, case):
    row = scene.play(case)
    print(row)
    assert not row.missed, row


def test_everything_comes_to_its_end(scene):
    # The next operator and the next agent go on where the dead ones stopped.
    assert not (missed := scene.finish()), missed
