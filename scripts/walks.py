#!/usr/bin/env python3
"""walks.py [--walks N] [--first SEED] [--junit FILE]: seeded walks of the migration (tests/walks), and their negative controls.

Agents, leaders, LINSTOR, streams and nodes die, hang and wake up late at every step of it; the limits are those of
tests/walks/walk.h. With one guard switched off they must not hold: that is tried first. Ends with breakwater-walks'
closing line.
"""
import argparse
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = ROOT / "build/release/bin/breakwater-walks"
GUARDS = {"guardian": "nobody resumes for an agent that hangs",
          "stale": "blocks out of sync and an Outdated peer disk are not looked at",
          "force": "connections are cut with --force"}
# In so many walks a missing guard must be noticed; the first that breaks a limit ends it.
CONTROL_WALKS = 1500


def run(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], stdout=subprocess.PIPE, text=True, check=False)


def control(guard, first):
    """Why the limits do not prove what they should, or nothing."""
    done = run("--without", guard, "--until-broken", "--walks", CONTROL_WALKS, "--first", first)
    if done.returncode == 1:
        print(f"without {guard} ({GUARDS[guard]}): noticed, {done.stdout.splitlines()[0]}")
        return ""
    print(done.stdout, end="")
    return f"{CONTROL_WALKS} walks break no limit" if done.returncode == 0 else f"exit code {done.returncode}"


def walk(walks, first):
    done = run("--walks", walks, "--first", first)
    print(done.stdout, end="")
    return "" if done.returncode == 0 else done.stdout or f"exit code {done.returncode}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--walks", type=int, default=10000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--junit", type=pathlib.Path)
    arguments = parser.parse_args()
    cases = {f"without {guard}": lambda guard=guard: control(guard, arguments.first) for guard in GUARDS}
    cases[f"{arguments.walks} walks"] = lambda: walk(arguments.walks, arguments.first)
    suite = ElementTree.Element("testsuite", name="walks")
    failed = 0
    for name, case in cases.items():
        begun = time.monotonic()
        problem = case()
        sys.stdout.flush()
        element = ElementTree.SubElement(suite, "testcase", classname="walks", name=name,
                                         time=f"{time.monotonic() - begun:.1f}")
        if problem:
            failed += 1
            print(f"FAILED {name}: {problem.splitlines()[0]}")
            ElementTree.SubElement(element, "failure", message=problem.splitlines()[0]).text = problem
    if arguments.junit:
        ElementTree.ElementTree(suite).write(arguments.junit)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
