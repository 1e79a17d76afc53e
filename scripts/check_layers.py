#!/usr/bin/env python3
"""Checks that #include lines obey the layers: the build checks link targets, this checks headers.

Rules (ARCHITECTURE.md, "Layers"): a folder of operator/ includes only folders its layer may use, and
third-party I/O libraries appear only where their adapters live.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ALLOWED = {
    "base": {"base"},
    "api": {"api", "base"},
    "core": {"core", "api", "base"},
    "agent": {"agent", "core", "base"},
    "crypto": {"crypto", "base"},
    "net": {"net", "base", "crypto"},
    "kube": {"kube", "net", "api", "base", "crypto"},
    "linstor": {"linstor", "net", "base", "crypto"},
    "runtime": {"runtime", "kube", "api", "net", "base", "crypto"},
    "controllers": {"controllers", "core", "kube", "linstor", "crypto", "runtime", "api", "net", "base"},
    "webhook": {"webhook", "core", "api", "net", "base"},
}
# Library header prefix -> folders that may include it.
CONFINED = {
    "cpprest/": {"net"},
    "pplx/": {"net"},
    "boost/": {"net"},
    "openssl/": {"crypto", "net"},
    "prometheus/": {"runtime"},
    "yaml-cpp/": {"kube", "core"},
    "spdlog/": {"base"},
    "CLI/": {"cmd"},
}
PURE = {"core", "api"}
IMPURE_HEADERS = {"thread", "mutex", "condition_variable", "fstream", "iostream", "sys/socket.h", "unistd.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def check_file(path):
    layer = path.relative_to(ROOT / "operator").parts[0]
    if layer in {"cmd", "testing", "cmake"}:
        return
    is_test = (path.name.endswith("_test.cc") or "test_support" in path.name or "testing" in path.parts
               or path.name.startswith("sim_bed"))
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        header = match.group(1)
        where = f"{path.relative_to(ROOT)}:{number}"
        if header.startswith("operator/"):
            target = header.split("/")[1]
            if target == "testing" and is_test:
                continue
            if target not in ALLOWED[layer] and not is_test:
                yield f"{where}: layer {layer} must not include {header}"
        for prefix, folders in CONFINED.items():
            if header.startswith(prefix) and layer not in folders and not is_test:
                yield f"{where}: {prefix} may be included only in {sorted(folders)}"
        if layer in PURE and header in IMPURE_HEADERS and not is_test:
            yield f"{where}: {layer} is pure, it must not include <{header}>"


def main():
    problems = []
    for suffix in ("*.h", "*.cc"):
        for path in sorted((ROOT / "operator").rglob(suffix)):
            problems.extend(check_file(path))
    for problem in problems:
        print(problem)
    print(f"layers: {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
