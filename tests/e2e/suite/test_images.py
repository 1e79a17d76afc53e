"""The images of operator and agent, as `make images` builds them (REVIEW-2 M7): the same digest twice, nothing in them that the
SBOM does not name. ktls-utils needs Debian's mirror: `make images CHECK=1`.
"""
import dataclasses
import io
import pathlib
import sys
import tarfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "images"))
from imagebuild import __main__ as images  # noqa: E402  (needs the path above)
from imagebuild import contents, oci, sbom  # noqa: E402


@pytest.mark.parametrize("recipe", [contents.operator, contents.agent])
def test_built_twice_it_is_the_same_and_has_neither_shell_nor_root(recipe, tmp_path):
    place = images.machine()
    first, second = (recipe(dataclasses.replace(place, work=tmp_path / name)) for name in ("one", "another"))
    assert images.findings(first, second, place.revision) == []


def test_findings_name_what_is_wrong():
    """The check of the images is no decoration: what it looks for is found."""
    def image(*entries, user="0:0"):
        result = oci.Image("amd64", 0, ["/program"], user, {"org.opencontainers.image.licenses": "MIT"})
        result.layers = [("all", oci.layer(entries, 0))]
        return contents.Built("program", "1", result, {sbom.Package("libc6", "1", "amd64", "glibc@1")}, limit=4, probe=["/program"])

    bad = image(oci.Entry("/program", b"12345", 0o4755), oci.Entry("/bin/sh", target="program"))
    found = "\n".join(images.findings(bad, image(oci.Entry("/program", b"1")), "revision"))
    for part in ("two builds differ", "5 bytes, more than 4", "/bin/sh is there", "runs as root", "/program has mode 4755"):
        assert part in found


def test_neither_order_nor_time_changes_a_layer():
    entries = [oci.Entry("/b", b"2"), oci.Entry("/a/c", b"1", 0o755), oci.Entry("/l", target="b")]
    assert oci.layer(entries, 7).digest == oci.layer(entries[::-1], 7).digest
    with tarfile.open(fileobj=io.BytesIO(oci.layer(entries, 7).data)) as tar:
        assert [(i.name, i.mtime, i.uid, i.uname) for i in tar] == [(name, 7, 0, "") for name in ("a", "a/c", "b", "l")]


def test_a_document_that_names_what_is_not_there_is_no_valid_sbom():
    document = sbom.document("program", "1", "sha256:" + "0" * 64, "MIT", 0, [sbom.Package("libc6", "1", "amd64", "glibc@1")])
    assert sbom.problems(document) == []
    document["packages"].pop()
    assert any("which is not there" in problem for problem in sbom.problems(document))
