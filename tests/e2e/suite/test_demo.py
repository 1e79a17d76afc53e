"""The demo is the first thing that a stranger runs: it must work, and its report must be true."""
import json
import pathlib
import statistics
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]


def run_demo(tmp_path, strategy, latency_ms=0):
    done = subprocess.run([sys.executable, "-u", "-m", "demo", "--strategy", strategy, "--latency-ms", str(latency_ms)],
                          cwd=ROOT,
                          env={**__import__("os").environ, "PYTHONPATH": "tests/e2e",
                               "BREAKWATER_DEMO_REPORT": str(tmp_path / "report.json")},
                          capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return json.loads((tmp_path / "report.json").read_text()), done.stdout


# The simulated reconnect takes up to 0.4 s and the commands of a switch about 0.3 s; half as much again (F31), and what
# the machine itself takes.
FREEZE_MS = 2000


@pytest.mark.parametrize("strategy", ["PairByPair", "SuspendIO"])
def test_demo_encrypts_every_volume(tmp_path, strategy):
    # A user's first impression; and the promise of each strategy: pair by pair freezes nobody, SuspendIO
    # freezes a volume for less than suspendTimeout and loses nothing.
    report, out = run_demo(tmp_path, strategy)
    assert len(report["volumes"]) == 6
    assert report["harm"] == []
    for row in report["volumes"]:
        assert row["strategy"] == strategy, row
        assert row["writes"] > 0, row
        assert row["errors"] == row["lostWrites"] == row["divergedBlocks"] == 0, row
        assert row["encryptedConnections"] == row["connections"] > 0, row
        if strategy == "PairByPair":
            # Only a real freeze takes this long: the simulator's time does not stand still on a busy machine.
            assert row["longestStallMs"] < 1000, row
    if strategy == "SuspendIO":
        # Not each of them: one of ten is healed inside its freeze (F27), and other tests want the machine too.
        stalls = [row["longestStallMs"] for row in report["volumes"]]
        assert statistics.median(stalls) < FREEZE_MS and max(stalls) < 2 * FREEZE_MS, stalls
    assert "Handshake with" in out


def test_the_freeze_does_not_depend_on_the_way_to_the_node(tmp_path):
    # REVIEW-1 R4: the frozen time was made of execs and looks. Half a second more for each of them must not be felt.
    # The shortest of six freezes: what comes on top is a heal inside the freeze, in one of ten volumes 0.3 to 0.6 s
    # (F27), and other tests on the same machine. A way that counted would lengthen them all, by 500 ms at least; three
    # other test beds at work make 140 ms.
    near, far = (min(row["longestStallMs"] for row in run_demo(tmp_path, "SuspendIO", latency)[0]["volumes"])
                 for latency in (0, 500))
    print(f"freeze: {near} ms, with 500 ms added to every exec and message {far} ms")
    assert far - near < 250
