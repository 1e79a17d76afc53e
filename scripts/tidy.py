#!/usr/bin/env python3
"""Runs clang-tidy (CLANG_TIDY) on every source file that changed since it was last found clean. DEEP=1 adds the static
analyzer. For scripts/tidy.sh.

A clean file is remembered by a hash of its text, of the project headers it includes (transitively) and
of .clang-tidy and of TIDY_VERSION, in a cache outside the tree; so a second run costs nothing.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "breakwater" / "tidy"
DEEP = os.environ.get("DEEP", "0") == "1"
CLANG_TIDY = os.environ["CLANG_TIDY"]
INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.M)


def closure(path, seen):
    if path in seen or not path.is_file():
        return
    seen.add(path)
    for name in INCLUDE.findall(path.read_bytes()):
        for base in (ROOT, path.parent):
            closure((base / name.decode()).resolve(), seen)


def key_of(path):
    files = set()
    closure(path, files)
    digest = hashlib.sha256((ROOT / ".clang-tidy").read_bytes() + (b"deep" if DEEP else b"")
                            + os.environ["TIDY_VERSION"].encode())
    for file in sorted(files):
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def run(path, build):
    key = key_of(path)
    mark = CACHE / key
    if mark.exists():
        return path, True, ""
    checks = ["-checks=clang-analyzer-*"] if DEEP else []
    done = subprocess.run([CLANG_TIDY, "-quiet", *checks, "-p", str(build), str(path)],
                          capture_output=True, text=True)
    if done.returncode == 0:
        mark.touch()
    return path, done.returncode == 0, done.stdout


def main():
    build = ROOT / "build" / "tidy"
    commands = json.loads((build / "compile_commands.json").read_text())
    files = sorted({pathlib.Path(entry["file"]).resolve() for entry in commands})
    files = [f for f in files if str(f).startswith(str(ROOT)) and f.relative_to(ROOT).parts[0] != "build"
             and not f.name.endswith("_test.cc")]
    CACHE.mkdir(parents=True, exist_ok=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for count, (path, ok, output) in enumerate(pool.map(lambda f: run(f, build), files), 1):
            if not ok:
                failed += 1
                print(output)
            if count % 25 == 0:
                print(f"tidy: {count}/{len(files)}", flush=True)
    print(f"tidy: {len(files)} files, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
