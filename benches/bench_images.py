"""The image that is measured: a real Debian 12 with Python, as one gzip layer that podman compressed."""
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from bench_measure import must

PACKAGES = "python3,python3-pip,python3-requests,python3-yaml"


@dataclasses.dataclass
class Image:
    """An OCI layout with one image of one layer, tagged `latest`."""

    layout: pathlib.Path

    def blob(self, descriptor):
        return self.layout / "blobs" / descriptor["digest"].replace(":", "/")

    def manifest(self):
        index = json.loads((self.layout / "index.json").read_text())
        return json.loads(self.blob(index["manifests"][0]).read_text())

    @property
    def layer(self):
        (layer,) = self.manifest()["layers"]
        return self.blob(layer)

    @property
    def diff_id(self):
        config = json.loads(self.blob(self.manifest()["config"]).read_text())
        (diff_id,) = config["rootfs"]["diff_ids"]
        return diff_id


@dataclasses.dataclass
class Subject(Image):
    """The measured image, and the archive of the file system that its layer was made from."""

    rootfs: pathlib.Path


def digest(path):
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def made_whole(directory, stamp):
    """A new directory that becomes `directory` when the block ends well; None if that is there with the same stamp."""
    stamp_file = directory.with_name(f"{directory.name}.stamp")
    if directory.is_dir() and stamp_file.exists() and stamp_file.read_text() == stamp:
        yield None
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}.") as scratch:
        new = pathlib.Path(scratch) / "new"
        new.mkdir()
        yield new
        stamp_file.unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)
        new.rename(directory)
    stamp_file.write_text(stamp)


@contextlib.contextmanager
def store(tool, directory):
    """The arguments that give podman or buildah a store of its own, which is gone after the block."""
    root = directory / f"{tool}-store"
    # podman takes no run directory whose path is longer than 50 characters.
    with tempfile.TemporaryDirectory(prefix=f"{tool}-") as run:
        arguments = [tool, "--root", str(root), "--runroot", f"{run}/run"]
        if tool == "podman":
            arguments += ["--tmpdir", f"{run}/tmp"]
        try:
            yield arguments
        finally:
            if tool == "buildah":
                subprocess.run([*arguments, "rm", "--all"], capture_output=True, check=False)
            # The overlay driver leaves its directory mounted upon itself.
            subprocess.run(["umount", root / "overlay"], capture_output=True, check=False)
            shutil.rmtree(root, ignore_errors=True)


def podman_image(tar, layout, scratch):
    """Pack a tar archive as the one layer of a new OCI layout, with podman's own compressor."""
    with store("podman", scratch) as podman:
        must([*podman, "import", "--quiet", tar, "localhost/bench:latest"])
        must([*podman, "save", "--quiet", "--format", "oci-dir", "--output", layout, "localhost/bench:latest"])
    # umoci takes no tag with a slash in it.
    index = json.loads((layout / "index.json").read_text())
    index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = "latest"
    (layout / "index.json").write_text(json.dumps(index))
    image = Image(layout)
    if image.diff_id != digest(tar):
        raise SystemExit(f"podman did not keep the bytes of {tar}: its layer unpacks to {image.diff_id}")
    return image


def build_subject(directory):
    """The measured image; built if it is not there as this file builds it."""
    stamp = digest(__file__)
    with made_whole(directory, stamp) as new:
        if new:
            environment = dict(os.environ)
            # The first would leave the image without caches, the second with hash-based ones.
            for name in ("PYTHONDONTWRITEBYTECODE", "SOURCE_DATE_EPOCH"):
                environment.pop(name, None)
            must(
                ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", new / "rootfs.tar"],
                env=environment,
            )
            podman_image(new / "rootfs.tar", new / "image", new)
    return Subject(directory / "image", directory / "rootfs.tar")
