#!/usr/bin/env python3
"""Runs every libFuzzer target of build/asan for FUZZ_SECONDS (default 10) each; a finding fails.

Seeds are the files in fuzz/seeds/<target> beside the target, and the recorded outputs of real nodes for the
parsers of node reports. What it learns is kept in build/fuzz/<target>; a finding stays there as crash-*.
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS = os.environ.get("FUZZ_SECONDS", "10")
# The first byte of an input of fuzz_node_report, by the name of the recorded file.
NODE_REPORT_PARSERS = {"status.json": 0, "show.json": 1, "ss": 2, "tls_stat": 3, "proc_drbd.txt": 4,
                       "drbdadm_version.txt": 5}
WHOLE_REPORT = 6
SCRIPT = "operator/core/replication/node/node_scripts.h"
# What holds the content of a section of kObserveScript.
SECTION_FILES = {"status": "status.json", "show": "show.json", "ss": "ss", "tls_stat": "tls_stat",
                 "proc_drbd": "proc_drbd.txt", "drbdadm": "drbdadm_version.txt"}
SECTION_TEXTS = {"modules": b"/sys/module/tls\n", "end": b""}


def recorded_seeds(directory):
    """A seed for each recorded file, and for each recorded folder one whole report, as a node would print it."""
    recordings = ROOT / "operator/core/replication/node/testdata"
    for path in sorted(recordings.rglob("*")):
        for name, parser in NODE_REPORT_PARSERS.items():
            if path.is_file() and path.name.startswith(name):
                (directory / f"{path.parent.name}-{path.name}").write_bytes(bytes([parser]) + path.read_bytes())
    for folder in sorted(path.parent for path in recordings.rglob("status.json")):
        (directory / f"{folder.name}-report").write_bytes(bytes([WHOLE_REPORT]) + whole_report(folder))


def whole_report(folder):
    # What a folder has no recording of is taken from the first that has one: no section may stay untried.
    script = (ROOT / SCRIPT).read_text().partition("kObserveScript =")[2].partition(')sh"')[0]
    report = []
    for section in re.findall(r"echo '@@ (\w+)'", script):
        content = SECTION_TEXTS.get(section)
        if content is None:
            name = SECTION_FILES[section]
            content = (sorted(folder.glob(name + "*")) or sorted(folder.parent.rglob(name + "*")))[0].read_bytes()
        report.append(b"@@ %s\n%s" % (section.encode(), content))
    return b"\n".join(report)


def run(target):
    name = target.name.removeprefix("fuzz_")
    corpus = ROOT / "build/fuzz" / name
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = [str(path) for path in ROOT.glob(f"operator/**/fuzz/seeds/{name}")]
    if name == "node_report":
        made = ROOT / "build/fuzz/seeds" / name
        made.mkdir(parents=True, exist_ok=True)
        recorded_seeds(made)
        seeds.append(str(made))
    if not seeds:
        print(f"fuzz: {name} has no seeds")
        return False
    done = subprocess.run([target, f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=65536",
                           "-print_final_stats=1", f"-artifact_prefix={corpus}/", corpus, *seeds],
                          capture_output=True, text=True, errors="replace")
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    print(f"fuzz: {name}: {runs[1] if runs else 0} inputs in {SECONDS} s, {'ok' if done.returncode == 0 else 'FOUND'}")
    if done.returncode:
        print(done.stderr[-6000:])
    return done.returncode == 0


def main():
    targets = sorted((ROOT / "build/asan/bin").glob("fuzz_*"))
    if not targets:
        print("fuzz: no targets in build/asan/bin; build the preset asan first")
        return 1
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:  # CI has two cores
        return 0 if all(list(pool.map(run, targets))) else 1


if __name__ == "__main__":
    sys.exit(main())
