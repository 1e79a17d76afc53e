"""What a program needs to run: its loader and its libraries, found without running it (also those of another release)."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Sequence


class Missing(RuntimeError):
    """A file that an image needs and that is not there."""


def tool(*argv: object) -> str:
    done = subprocess.run([str(a) for a in argv], check=False, capture_output=True, text=True, env={
        "LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: {done.stderr.strip()}")
    return done.stdout


def needed(file: Path) -> list[str]:
    """Sonames of the libraries that the loader takes for this file."""
    return [line.split("[")[1].split("]")[0] for line in tool("readelf", "-dW", file).splitlines() if "(NEEDED)" in line]


def interpreter(file: Path) -> str:
    """Path of the loader; empty for a static program."""
    for line in tool("readelf", "-lW", file).splitlines():
        if "Requesting program interpreter:" in line:
            return line.split("interpreter: ")[1].rstrip("]")
    return ""


class Root:
    """A tree that files are taken from: the machine itself is Path("/")."""

    def __init__(self, path: Path, triplet: str):
        self.path = path
        self.triplet = triplet

    def find(self, path: str) -> Path:
        for spelling in (path, f"/usr{path}"):  # before and after the merge of /usr
            file = self.path / spelling.lstrip("/")
            if file.exists():
                return file.resolve()
        raise Missing(f"{path} is not below {self.path}")

    def library(self, soname: str) -> Path:
        for directory in (f"/lib/{self.triplet}", "/lib64", "/lib"):
            try:
                return self.find(f"{directory}/{soname}")
            except Missing:
                pass
        raise Missing(f"{soname} is in no directory of libraries below {self.path}")

    def closure(self, programs: Sequence[Path]) -> dict[str, Path]:
        """{path in the image: file} of all that these programs load; empty for static ones."""
        loaders = {interpreter(program) for program in programs} - {""}
        files = {loader: self.find(loader) for loader in loaders}
        names = {Path(loader).name for loader in loaders}
        todo = [name for program in programs for name in needed(program)]
        while todo:
            soname = todo.pop()
            path = f"/lib/{self.triplet}/{soname}"  # where Debian's loader looks without a cache
            if soname in names or path in files:
                continue
            files[path] = self.library(soname)
            todo += needed(files[path])
        return files
