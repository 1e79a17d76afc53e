#!/usr/bin/env python3
"""sbom.py BINARY: what a binary of build/release/bin is made of, as CycloneDX 1.5 on stdout.

Two sources, both of which are what really happened: the libraries that the loader would take (ldd), and the headers that
were compiled in (ninja's record), each with the Debian package and version that it belongs to. A static program (the node
agent) has its C and C++ library from the packages of their headers. Only Python's standard library is used.
"""

import json
import pathlib
import subprocess
import sys

BATCH = 400  # paths per call of dpkg-query


def run(*argv):
    return subprocess.run(argv, check=False, capture_output=True, text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})


def libraries(binary):
    """Paths of the shared libraries of a binary; none for a static one."""
    paths = set()
    for line in run("ldd", str(binary)).stdout.splitlines():
        words = line.split()
        paths.update(str(pathlib.Path(word).resolve()) for word in words if word.startswith("/"))
    return paths


def headers(build, binary):
    """System headers that the object files of a binary were made from."""
    target = str(binary.resolve().relative_to(build))
    inputs = set(run("ninja", "-C", str(build), "-t", "inputs", target).stdout.split())
    paths, ours = set(), False
    for line in run("ninja", "-C", str(build), "-t", "deps").stdout.splitlines():
        if line and not line.startswith(" "):
            ours = line.split(":")[0] in inputs
        elif ours and line.startswith("    /usr/"):
            paths.add(str(pathlib.Path(line.strip()).resolve()))
    return paths


def owners(paths):
    """The Debian packages that own these files."""
    names = set()
    # Packages of before the merge of /usr know their files without it.
    ordered = sorted(paths | {path.removeprefix("/usr") for path in paths if path.startswith("/usr/lib")})
    for start in range(0, len(ordered), BATCH):
        for line in run("dpkg-query", "-S", *ordered[start:start + BATCH]).stdout.splitlines():
            packages, _, _ = line.rpartition(": ")
            names.update(package.strip() for package in packages.split(","))
    return names


def components(packages):
    pattern = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"
    found = []
    for line in run("dpkg-query", "-W", "-f", pattern, *sorted(packages)).stdout.splitlines():
        name, version, architecture, source, source_version = line.split("\t")
        purl = f"pkg:deb/debian/{name}@{version}?arch={architecture}"
        found.append({
            "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
            "properties": [{"name": "debian:source", "value": f"{source}@{source_version}"}],
        })
    return sorted(found, key=lambda component: component["bom-ref"])


def main():
    binary = pathlib.Path(sys.argv[1]) if len(sys.argv) == 2 else None
    if binary is None or not binary.is_file():
        print(__doc__, file=sys.stderr)
        return 2
    build = binary.resolve().parent.parent
    paths = headers(build, binary)
    if not paths:
        print(f"sbom: {build} has no record of what was compiled; build it with ninja first", file=sys.stderr)
        return 1
    # The operator has an option, the agent a command.
    version = [word for how in ("--version", "version") for word in run(str(binary.resolve()), how).stdout.split()]
    json.dump({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"component": {"type": "application", "name": binary.name,
                                   "version": version[-1] if version else "unknown"}},
        "components": components(owners(paths | libraries(binary))),
    }, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
