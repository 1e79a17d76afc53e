"""What an image is made of, as SPDX 2.3 (JSON).

Everything in it is what really happened: the libraries that are in the image, the headers that were compiled into a
program (ninja's record), each with the Debian package and version that it belongs to.
"""

from __future__ import annotations

import re
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Optional, Sequence

from . import elf
from .oci import rfc3339

BATCH = 400  # paths per call of dpkg-query
NAMESPACE = uuid.UUID("6f1c3f0e-2a5d-4f9e-8a54-0f3f3d5c2b11")  # of the documents' names, nothing else


@dataclass(frozen=True, order=True)
class Package:
    """One Debian package: `how` is the SPDX relationship of the image's program to it."""
    name: str
    version: str
    architecture: str
    source: str
    how: str = "CONTAINS"
    sha256: str = ""  # of its file, where that is known


def compiled_in(build: Path, binary: Path) -> set[str]:
    """System headers that the object files of a binary were made from."""
    target = str(binary.resolve().relative_to(build.resolve()))
    inputs = set(elf.tool("ninja", "-C", build, "-t", "inputs", target).split())
    paths, ours = set(), False
    for line in elf.tool("ninja", "-C", build, "-t", "deps").splitlines():
        if line and not line.startswith(" "):
            ours = line.split(":")[0] in inputs
        elif ours and line.startswith("    /usr/"):
            paths.add(str(Path(line.strip()).resolve()))
    if not paths:
        raise RuntimeError(f"{build} has no record of what was compiled; build it with ninja first")
    return paths


def installed(paths: Iterable[str], how: str) -> set[Package]:
    """The packages of this machine that own these files."""
    # Packages of before the merge of /usr know their files without it.
    ordered = sorted({spelling for path in paths for spelling in (path, path.removeprefix("/usr"))})
    names: set[str] = set()
    for start in range(0, len(ordered), BATCH):
        names |= _owners(ordered[start:start + BATCH])
    if not names:
        return set()
    pattern = "${Package}\t${Version}\t${Architecture}\t${source:Package}@${source:Version}\n"
    lines = elf.tool("dpkg-query", "-W", "-f", pattern, *sorted(names)).splitlines()
    return {Package(*line.split("\t"), how) for line in lines}


def _owners(paths: Sequence[str]) -> set[str]:
    # Its exit status says that a path has no owner: half of the spellings have none.
    done = subprocess.run(["dpkg-query", "-S", *paths], check=False, capture_output=True, text=True,
                          env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    return {package.strip() for line in done.stdout.splitlines() if not line.startswith("diversion by ")
            for package in line.rpartition(": ")[0].split(",")}


def _id(*parts: str) -> str:
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", "-".join(parts))


def _package(package: Package) -> dict[str, object]:
    purl = f"pkg:deb/debian/{package.name}@{package.version.replace('+', '%2B').replace('~', '%7E')}?arch={package.architecture}"
    result: dict[str, object] = {
        "SPDXID": _id("deb", package.name, package.version), "name": package.name, "versionInfo": package.version,
        "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
        "licenseComments": f"in the image: /usr/share/doc/{package.name}/copyright", "sourceInfo": f"source: {package.source}",
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}]}
    if package.sha256:
        result["checksums"] = [{"algorithm": "SHA256", "checksumValue": package.sha256}]
    return result


def document(name: str, version: str, digest: str, licence: str, epoch: int, packages: Iterable[Package],
             ours: Optional[str] = None) -> dict[str, object]:
    """An SPDX document about the image `name`: `digest` is its own, `ours` the revision of our sources in it."""
    # A package that is loaded and compiled in is named once, with what is true of the image.
    chosen: dict[tuple[str, str], Package] = {}
    for package in sorted(packages):
        chosen.setdefault((package.name, package.version), package)
    image = _id("image", name)
    root: dict[str, object] = {
        "SPDXID": image, "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
        "primaryPackagePurpose": "CONTAINER", "supplier": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest.partition(":")[2]}],
        "licenseConcluded": "NOASSERTION", "licenseDeclared": licence, "copyrightText": "NOASSERTION",
        "comment": "The checksum is the digest of the image's manifest." + (f" Our sources: {ours}." if ours else "")}
    relationships = [("SPDXRef-DOCUMENT", "DESCRIBES", image)]
    relationships += [(image, package.how, _id("deb", package.name, package.version)) for package in chosen.values()]
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"{name}-{version}",
        "documentNamespace": f"https://spdx.org/spdxdocs/{name}-{version}-{uuid.uuid5(NAMESPACE, digest)}",
        "creationInfo": {"created": rfc3339(epoch), "creators": ["Tool: breakwater-imagebuild"]},
        "packages": [root, *(_package(package) for package in chosen.values())],
        "relationships": [{"spdxElementId": a, "relationshipType": how, "relatedSpdxElement": b} for a, how, b in relationships],
    }


def problems(spdx: dict) -> list[str]:
    """What SPDX 2.3 demands and this document does not have; empty: valid. For --check, where no validator is."""
    found = [f"no {key}" for key in ("spdxVersion", "dataLicense", "SPDXID", "name", "documentNamespace", "creationInfo",
                                     "packages", "relationships") if not spdx.get(key)]
    ids = ["SPDXRef-DOCUMENT"] + [package["SPDXID"] for package in spdx.get("packages", [])]
    found += [f"{one} is there twice" for one in sorted({one for one in ids if ids.count(one) > 1})]
    for package in spdx.get("packages", []):
        found += [f"{package['name']}: no {key}" for key in ("SPDXID", "name", "downloadLocation") if not package.get(key)]
        if not re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", package["SPDXID"]):
            found.append(f"{package['SPDXID']} is no SPDX id")
    for relationship in spdx.get("relationships", []):
        found += [f"a relationship names {relationship[end]}, which is not there"
                  for end in ("spdxElementId", "relatedSpdxElement") if relationship[end] not in ids]
    related = {relationship["relatedSpdxElement"] for relationship in spdx.get("relationships", [])}
    found += [f"{one} is related to nothing" for one in ids[1:] if one not in related]
    return found
