"""Container images as files: layers, the image, and one archive that container tools read.

Nothing in them depends on the machine, the time or the order of a directory, so the same input gives the same digest. The
archive is an OCI layout with the manifest.json of `docker save` beside it: docker, podman, buildah, skopeo and containerd
load it.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterable, Mapping, Optional, Sequence

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX = "application/vnd.oci.image.index.v1+json"
FORMAT = tarfile.USTAR_FORMAT  # no extended headers with times of their own


@dataclass(frozen=True)
class Entry:
    """One file (content) or one symbolic link (target) of an image; directories come by themselves."""
    path: str
    content: bytes = b""
    mode: int = 0o644
    target: str = ""


@dataclass(frozen=True)
class Blob:
    data: bytes
    media_type: str
    diff_id: str = ""  # of a layer: the digest before compression

    @property
    def digest(self) -> str:
        return digest_of(self.data)

    def descriptor(self) -> dict[str, object]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def rfc3339(epoch: int) -> str:
    return datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def layer(entries: Iterable[Entry], epoch: int) -> Blob:
    files: dict[str, Entry] = {}
    for entry in entries:
        path = entry.path.strip("/")
        if path in files:
            raise ValueError(f"/{path} is in the layer twice")
        files[path] = entry
    parents = {str(parent) for path in files for parent in Path(path).parents if str(parent) != "."}
    if clash := parents & files.keys():
        raise ValueError(f"a file and a directory: {sorted(clash)}")
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=FORMAT) as tar:
        for path in sorted(parents | files.keys()):
            info = tarfile.TarInfo(path)  # of root, as nobody else may change what runs
            info.mtime, info.mode = epoch, 0o755
            content = b""
            if path in parents:
                info.type = tarfile.DIRTYPE
            elif files[path].target:
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, files[path].target, 0o777
            else:
                content = files[path].content
                info.size, info.mode = len(content), files[path].mode
            tar.addfile(info, io.BytesIO(content))
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=9, mtime=0) as out:
        out.write(raw.getvalue())
    return Blob(packed.getvalue(), LAYER, digest_of(raw.getvalue()))


@dataclass
class Image:
    """What runs, as whom, and what it is made of."""
    architecture: str
    epoch: int
    entrypoint: Sequence[str]
    user: str
    labels: Mapping[str, str]
    layers: list[tuple[str, Blob]] = field(default_factory=list)  # (what it holds, layer)

    def config(self) -> Blob:
        created = rfc3339(self.epoch)
        config: dict[str, object] = {"Entrypoint": list(self.entrypoint), "Labels": dict(self.labels), "WorkingDir": "/"}
        if self.user:
            config["User"] = self.user
        return Blob(_json({
            "architecture": self.architecture, "os": "linux", "created": created, "config": config,
            "rootfs": {"type": "layers", "diff_ids": [blob.diff_id for _, blob in self.layers]},
            "history": [{"created": created, "created_by": what} for what, _ in self.layers],
        }), CONFIG)

    def manifest(self) -> Blob:
        """Its digest is the image's: what a registry shows and what references by digest name."""
        return Blob(_json({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": self.config().descriptor(),
            "layers": [blob.descriptor() for _, blob in self.layers],
            "annotations": {key: value for key, value in self.labels.items() if key.startswith("org.opencontainers.")},
        }), MANIFEST)

    @property
    def size(self) -> int:
        """Bytes to pull."""
        return sum(len(blob.data) for blob in (self.manifest(), self.config(), *(blob for _, blob in self.layers)))

    def unpacked(self) -> dict[str, tarfile.TarInfo]:
        found = {}
        for _, blob in self.layers:
            with tarfile.open(fileobj=io.BytesIO(blob.data), mode="r:gz") as tar:
                found.update({info.name: info for info in tar.getmembers()})
        return found

    def save(self, path: Path, reference: str) -> None:
        """Writes the archive; it is complete as soon as it has its name."""
        manifest, config = self.manifest(), self.config()
        blobs = {blob.digest: blob for blob in (manifest, config, *(blob for _, blob in self.layers))}
        name = "blobs/sha256/{}".format
        index = {**manifest.descriptor(), "annotations": {
            "io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference.rpartition(":")[2]}}
        files = {name(digest.partition(":")[2]): blob.data for digest, blob in blobs.items()}
        files["oci-layout"] = _json({"imageLayoutVersion": "1.0.0"})
        files["index.json"] = _json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [index]})
        files["manifest.json"] = _json([{
            "Config": name(config.digest.partition(":")[2]), "RepoTags": [reference],
            "Layers": [name(blob.digest.partition(":")[2]) for _, blob in self.layers]}])
        partial = path.with_suffix(".partial")
        with tarfile.open(partial, mode="w", format=FORMAT) as tar:
            for file in sorted(files):
                info = tarfile.TarInfo(file)
                info.mtime, info.mode, info.size = self.epoch, 0o644, len(files[file])
                tar.addfile(info, io.BytesIO(files[file]))
        partial.rename(path)


def qualified(reference: str, default: Optional[str] = None) -> str:
    """The reference with the registry that tools would add: containerd knows images by their whole name only."""
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return reference
    return f"{default or 'localhost'}/{reference}"
