"""The demo is the first thing that a stranger runs: it must work, and its report must be true."""
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]


def run_demo(tmp_path, strategy):
    done = subprocess.run([sys.executable, "-u", "-m", "demo", "--strategy", strategy], cwd=ROOT,
                          env={**__import__("os").environ, "PYTHONPATH": "tests/e2e",
                               "BREAKWATER_DEMO_REPORT": str(tmp_path / "report.json")},
                          capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return json.loads((tmp_path / "report.json").read_text()), done.stdout


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
        else:
            assert row["longestStallMs"] < 10_000, row
    assert "Handshake with" in out
