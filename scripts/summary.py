#!/usr/bin/env python3
"""summary.py [--line] RESULTS [FAILED_STEP...]: adds up the JUnit files below RESULTS.

Prints every failed test (or, with --line, only the closing line `N passed, N failed[, N skipped]`).
A failed step without a failed test of its own (a compiler warning, a lint finding) counts as one failure.
"""
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def main():
    arguments = sys.argv[1:]
    line_only = arguments[:1] == ["--line"]
    if line_only:
        arguments = arguments[1:]
    results, steps = pathlib.Path(arguments[0]), arguments[1:]
    passed = failed = skipped = 0
    for file in sorted(results.rglob("*.xml")):
        for case in ElementTree.parse(file).iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
                if not line_only:
                    print(f"FAILED {file.stem}: {name}")
            elif case.find("skipped") is not None or case.get("status") == "notrun" or case.get("result") == "skipped":
                skipped += 1
                if not line_only:
                    print(f"SKIPPED {file.stem}: {name}")
            else:
                passed += 1
    for step in steps:
        if not line_only:
            print(f"FAILED step: {step}")
    failed = max(failed, len(steps))
    if passed == 0:
        failed = max(failed, 1)
    if line_only:
        print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
