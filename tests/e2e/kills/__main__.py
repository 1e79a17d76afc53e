"""Kills operator, agents and pods at each step of a switch and prints what that did to the volume.

    PYTHONPATH=tests/e2e python3 -m kills --cases 12 --beds 2
    PYTHONPATH=tests/e2e python3 -m kills --only 'SuspendIO/agent/*'

Ends with 1 when a limit was missed. freeze: I/O was suspended by us; stall: the longest write; cut: a pair of replicas was
not connected. What is marked "not bounded" is the gap that docs/explanation/switching-a-volume.md names: nobody is left on
the node until the kubelet starts the container again.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from scenario import Storage
from testbed import TestBed

from .cases import FREEZE_MS, Case, Row, all_cases, deal, sample
from .scene import Scene

NODES = [f"node{i}.example.com" for i in range(1, 10)]  # of each test bed
COLUMNS = ("case", "freeze ms", "stall ms", "cut ms", "cut limit", "errors", "differing", "encrypted", "limits")


def chosen_cases(arguments) -> list[Case]:
    cases = [case for case in all_cases() if fnmatch.fnmatch(str(case), arguments.only)]
    return sample(cases, arguments.cases, arguments.seed)


def play_share(cases: list[Case], never_seconds: float) -> int:
    """On a test bed of this process; a line of JSON for each case, and one for the end."""
    def tell(**fields) -> None:
        print(json.dumps(fields), flush=True)

    with TestBed(nodes=NODES) as bed:
        storage = Storage(bed)
        storage.install()
        scene = Scene(storage, cases, never_seconds)
        scene.prepare()
        for case in cases:
            tell(row=dataclasses.asdict(scene.play(case)))
        tell(finish=scene.finish())
    return 0


def cells(row: Row) -> list[str]:
    limits = "MISSED" if row.missed else "ok" if row.bounded else "not bounded"
    return [row.case, str(row.freeze_ms), str(row.stall_ms), str(row.cut_ms), str(row.cut_limit_ms), str(row.errors),
            str(row.differing), row.encrypted, limits]


def table(rows: list[Row]) -> str:
    lines = [list(COLUMNS)] + [cells(row) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(line, widths))) for line in lines)


def summary(rows: list[Row], missed: int) -> str:
    bounded = [row for row in rows if row.bounded]
    longest = lambda key, of: max((getattr(row, key) for row in of), default=0)  # noqa: E731
    text = (f"kills: {len(rows)}, longest freeze: {longest('freeze_ms', bounded)} ms (at most {FREEZE_MS}), longest cut: "
            f"{longest('cut_ms', bounded)} ms, errors: {sum(row.errors for row in rows)}, differing blocks: "
            f"{sum(row.differing for row in rows)}, limits missed: {missed}")
    gaps = [row for row in rows if not row.bounded]
    if gaps:
        text += (f"\nnot bounded by us: {len(gaps)} of them, the whole container killed and back when the kubelet wants; "
                 f"longest freeze {longest('freeze_ms', gaps)} ms")
    return text


class Shares:
    """One process, with a test bed of its own, for each share of the cases."""

    def __init__(self, arguments):
        self.rows: list[Row] = []
        self.troubles: list[str] = []
        self.lock = threading.Lock()
        self.begun = time.monotonic()
        options = ["--only", arguments.only, "--cases", str(arguments.cases), "--seed", str(arguments.seed),
                   "--beds", str(arguments.beds), "--never-seconds", str(arguments.never_seconds)]
        self.hands = deal(chosen_cases(arguments), arguments.beds)
        self.processes = [subprocess.Popen([sys.executable, "-u", "-m", "kills", *options, "--share", str(i)],
                                           stdout=subprocess.PIPE, text=True) for i in range(len(self.hands))]

    def run(self) -> None:
        threads = [threading.Thread(target=self._follow, args=(i,)) for i in range(len(self.hands))]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            for process in self.processes:
                process.terminate()  # no effect on one that has ended
                process.wait()

    def _follow(self, i: int) -> None:
        seen = 0
        finished = False
        for line in self.processes[i].stdout:
            if not line.startswith("{"):  # a wait that timed out says so
                print(line, end="", file=sys.stderr, flush=True)
                continue
            message = json.loads(line)
            with self.lock:
                if "finish" in message:
                    finished = True
                    self.troubles += message["finish"]
                    continue
                row = Row(**message["row"])
                seen += 1
                self.rows.append(row)
                print(f"[{time.monotonic() - self.begun:6.1f} s] " + "  ".join(cells(row)), flush=True)
                for sentence in row.missed:
                    print(f"    {row.case}: {sentence}", flush=True)
        if not finished:
            with self.lock:
                self.troubles.append(f"test bed {i + 1} ended early, {len(self.hands[i]) - seen} cases were not played")


def main() -> int:
    parser = argparse.ArgumentParser(prog="kills", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=0, metavar="N", help="a sample of N cases; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="strategy/victim/step/back, e.g. 'SuspendIO/*'")
    parser.add_argument("--beds", type=int, default=3, metavar="N", help="test beds at once (default: %(default)s)")
    parser.add_argument("--never-seconds", type=float, default=45, metavar="S", help='how long "never" is at most')
    parser.add_argument("--json", type=Path, metavar="FILE", help="all rows")
    parser.add_argument("--list", action="store_true", help="prints the cases")
    parser.add_argument("--share", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(map(str, chosen_cases(arguments))))
        return 0
    if arguments.share is not None:
        hand = deal(chosen_cases(arguments), arguments.beds)[arguments.share]
        return play_share(hand, arguments.never_seconds)
    shares = Shares(arguments)
    shares.run()
    order = {str(case): i for i, case in enumerate(all_cases())}
    rows = sorted(shares.rows, key=lambda row: order[row.case])
    print("\n" + table(rows) + "\n")
    for sentence in shares.troubles + [f"{row.case}: {s}" for row in rows for s in row.missed]:
        print(f"MISSED: {sentence}")
    missed = sum(bool(row.missed) for row in rows) + len(shares.troubles)
    print(summary(rows, missed))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"rows": [dataclasses.asdict(row) for row in rows],
                                              "troubles": shares.troubles}, indent=2) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
