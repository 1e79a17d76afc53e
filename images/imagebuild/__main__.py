"""images.sh [--registry HOST[/PATH]] [--check] [--update-packages] [NAME...]

Builds the container images breakwater-operator, breakwater-agent and ktls-utils (or those that are named) into
build/images: NAME.tar for `skopeo copy`, `podman load`, `docker load` and `ctr images import`, NAME.spdx.json, the
debug symbols, and digests.txt. Needs no container tool and no root.

  --registry         how the images are named: HOST/PATH/NAME:VERSION (default: localhost)
  --check            builds each image twice and tries it: equal digests, limits of size, no shell, no root, a valid SBOM
  --update-packages  takes the newest Debian packages for ktls-utils and writes them into its lock file
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from functools import partial
from io import BytesIO
from pathlib import Path

from . import contents, debian, elf, oci, sbom

SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox", "toybox", "python3", "perl"}
OUT = contents.ROOT / "build/images"


def say(text: str) -> None:
    print(f"images: {text}", flush=True)


def git(*argv: str) -> str:
    done = subprocess.run(["git", "-C", str(contents.ROOT), *argv], check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def machine() -> contents.Machine:
    # Files are as old as the commit, whenever they are built.
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or 0)
    revision = git("rev-parse", "HEAD") or "unknown"
    if git("status", "--porcelain", "--untracked-files=no"):
        revision += "-modified"
    return contents.Machine(
        Path(os.environ.get("BREAKWATER_BIN_DIR") or contents.ROOT / "build/release/bin").resolve(), OUT,
        elf.tool("dpkg", "--print-architecture").strip(), elf.tool("gcc", "-print-multiarch").strip(), epoch, revision)


def runs(built: contents.Built) -> list[str]:
    """Runs the image's program in nothing but the image, as the image's user; what went wrong."""
    if os.geteuid() != 0:
        return []
    with tempfile.TemporaryDirectory(prefix="breakwater-image-") as directory:
        for _, blob in built.image.layers:
            with tarfile.open(fileobj=BytesIO(blob.data), mode="r:gz") as tar:
                tar.extractall(directory)
        os.chmod(directory, 0o755)
        user = built.image.user or "0:0"
        done = subprocess.run(["chroot", f"--userspec={user}", directory, *built.probe], check=False, capture_output=True,
                              text=True, env={"PATH": "/usr/sbin:/usr/bin"})
        found = [f"{' '.join(built.probe)} ended with {done.returncode}: {done.stderr or done.stdout}"] if done.returncode else []
        return found + (built.trial(Path(directory)) if built.trial else [])


def findings(built: contents.Built, again: contents.Built, revision: str) -> list[str]:
    """What is wrong with an image; empty: nothing."""
    files = built.image.unpacked()
    found = []
    if (first := built.image.manifest().digest) != (second := again.image.manifest().digest):
        found.append(f"two builds differ: {first} and {second}")
    unpacked = sum(info.size for info in files.values())
    if built.limit and unpacked > built.limit:
        found.append(f"{unpacked} bytes, more than {built.limit}")
    if not built.shell:
        found += [f"/{path} is there" for path in files if Path(path).name in SHELLS]
        if built.image.user.split(":")[0] in ("", "0", "root"):
            found.append("it runs as root")
    found += [f"/{path} has mode {info.mode:o}" for path, info in files.items()
              if not info.issym() and (info.mode & 0o6022 or info.uid or info.gid)]
    found += [f"SBOM: {problem}" for problem in sbom.problems(json.loads(json.dumps(built.spdx(revision))))]
    return found + runs(built)


def _digests() -> dict[str, str]:
    """{image: reference with digest} of the archives that are there from before."""
    file = OUT / "digests.txt"
    lines = file.read_text(encoding="utf-8").split() if file.exists() else []
    named = {line.partition("@")[0].rsplit("/", 1)[1].partition(":")[0]: line for line in lines}
    return {name: line for name, line in named.items() if (OUT / f"{name}.tar").exists()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="images.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     usage=argparse.SUPPRESS)
    parser.add_argument("--registry", default="localhost")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--update-packages", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    recipes = {"breakwater-operator": contents.operator, "breakwater-agent": contents.agent,
               "ktls-utils": partial(contents.ktls_utils, update=arguments.update_packages)}
    if unknown := set(arguments.names) - set(recipes):
        parser.error(f"no image {', '.join(sorted(unknown))}; there are {', '.join(recipes)}")
    place = machine()
    OUT.mkdir(parents=True, exist_ok=True)
    digests, bad = _digests(), 0
    for name in arguments.names or recipes:
        start = time.monotonic()
        built = recipes[name](place)
        reference = f"{oci.qualified(arguments.registry + '/' + name)}:{built.version}"
        digest = built.image.manifest().digest
        built.image.save(OUT / f"{name}.tar", reference)
        (OUT / f"{name}.spdx.json").write_text(json.dumps(built.spdx(place.revision), indent=1) + "\n", encoding="utf-8")
        digests[name] = f"{reference}@{digest}"
        files = built.image.unpacked()
        say(f"{reference}: {sum(i.size for i in files.values()) / contents.MIB:.1f} MiB unpacked, "
            f"{built.image.size / contents.MIB:.1f} MiB to pull, {len(built.packages)} Debian packages, "
            f"{time.monotonic() - start:.1f} s")
        say(f"  {digest}")
        if arguments.check:
            with tempfile.TemporaryDirectory(prefix="breakwater-images-") as other:
                again = recipes[name](dataclasses.replace(place, work=Path(other)))
            found = findings(built, again, place.revision)
            bad += len(found)
            for finding in found:
                say(f"  WRONG: {finding}")
            if not found:
                tried = "runs" if os.geteuid() == 0 else "not run (that needs root)"
                say(f"  twice the same digest, {'as root, with a shell' if built.shell else 'no shell, user ' + built.image.user}, "
                    f"{tried}, SPDX valid, licences in /usr/share/doc")
    (OUT / "digests.txt").write_text("".join(f"{digests[name]}\n" for name in sorted(digests)), encoding="utf-8")
    say(f"in {OUT.relative_to(contents.ROOT)}: NAME.tar, NAME.spdx.json, debug/, digests.txt")
    if arguments.registry == "localhost":
        say("to give them to a cluster: make images REGISTRY=registry.example.com, then docs/how-to/images.md")
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (debian.FetchError, elf.Missing, RuntimeError, OSError) as error:
        print(f"images: {error}", file=sys.stderr)
        sys.exit(1)
