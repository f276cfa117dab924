"""Layers of many sizes, made of the measured image's files, to see how time and memory grow."""
import copy
import hashlib
import json
import multiprocessing
import re
import subprocess
import tarfile

from bench_images import Image, digest, made_whole

BLOCK = 512
CACHE = re.compile(r"(.*)/__pycache__/([^/]+)\.cpython-\d+(?:\.opt-[12])?\.pyc")


def cost(member):
    """The bytes that a member takes in an archive, its header included."""
    return BLOCK + (-(-member.size // BLOCK) * BLOCK if member.isreg() else 0)


def group(name):
    """What a file is taken or left with: a cache goes with its source."""
    cache = CACHE.fullmatch(name)
    return f"{cache[1]}/{cache[2]}.py" if cache else name


def taken(members, share):
    """The names of files that make up `share` of the archive: every n-th, in order of kind and size.

    So every size of layer has the same mix of caches and other files, and of small files and large ones.
    """
    costs = {}
    for member in members:
        # A hardlink's target might be left out.
        if not member.isdir() and not member.islnk():
            key = group(member.name)
            costs[key] = costs.get(key, 0) + cost(member)
    due = 0.5
    groups = set()
    for key in sorted(costs, key=lambda key: (key.endswith(".py"), costs[key], key)):
        due += share
        if due >= 1:
            due -= 1
            groups.add(key)
    return {member.name for member in members if group(member.name) in groups}


def sample(members, share):
    """The members that make up `share` of the archive, with the directories that they lie in."""
    if share >= 1:
        return members
    names = taken(members, share)
    parents = set()
    for name in names:
        while (name := name.rpartition("/")[0]) and name not in parents:
            parents.add(name)
    return [member for member in members if member.name in (parents if member.isdir() else names)]


def copies(members, wanted):
    """Copies of the archive's members, each in its own directory, the last in part, of `wanted` bytes in all."""
    one = sum(map(cost, members))
    whole, rest = divmod(wanted, one)
    shares = [1.0] * whole + [rest / one]
    for number, share in enumerate(shares):
        for member in sample(members, share):
            moved = copy.copy(member)
            moved.pax_headers = {}
            moved.name = f"copy-{number}/{member.name.removeprefix('./')}".removesuffix("/.")
            if member.islnk():
                moved.linkname = f"copy-{number}/{member.linkname.removeprefix('./')}"
            yield moved


def compress(chunks, path):
    """Write an archive, given in chunks, as a gzip layer; return its diff_id."""
    hasher = hashlib.sha256()
    with open(path, "wb") as target:
        pigz = subprocess.Popen(["pigz", "-6", "--no-name"], stdin=subprocess.PIPE, stdout=target)
        for chunk in chunks:
            hasher.update(chunk)
            pigz.stdin.write(chunk)
        pigz.stdin.close()
        if pigz.wait() != 0:
            raise SystemExit(f"pigz failed with {pigz.returncode}")
    return "sha256:" + hasher.hexdigest()


def archive_of_copies(rootfs, wanted):
    """An archive of about `wanted` bytes, made of the files of another, in chunks."""
    with tarfile.open(rootfs) as archive, open(rootfs, "rb") as source:
        for member in copies(archive.getmembers(), wanted):
            yield member.tobuf(tarfile.PAX_FORMAT)
            source.seek(member.offset_data)
            yield source.read(cost(member) - BLOCK)
    yield bytes(2 * BLOCK)


def write_image(layout, archives):
    """Write an OCI layout with one image, of a layer for each archive; those are given in chunks."""
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)

    def add(media_type, path):
        descriptor = {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": digest(path)}
        descriptor["size"] = path.stat().st_size
        path.rename(blobs / descriptor["digest"].removeprefix("sha256:"))
        return descriptor

    def document(media_type, value):
        path = layout / "new"
        path.write_text(json.dumps(value))
        return add(media_type, path)

    diff_ids, layers = [], []
    for archive in archives:
        diff_ids.append(compress(archive, layout / "layer"))
        layers.append(add("layer.v1.tar+gzip", layout / "layer"))
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs, "history": []}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    manifest |= {"config": document("config.v1+json", config), "layers": layers}
    entry = document("manifest.v1+json", manifest)
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def build_image(layout, stamp, archives):
    """An image of the archives that `archives` returns; built if it is not there with that stamp."""
    with made_whole(layout, stamp) as new:
        if new:
            # In a process of its own: its memory would count as that of every process that is measured later.
            write = multiprocessing.get_context("fork").Process(target=lambda: write_image(new, archives()))
            write.start()
            write.join()
            if write.exitcode != 0:
                raise SystemExit(f"{layout.name} could not be built")
    return Image(layout)


def build_layer(directory, subject, mebibytes):
    """An image whose one layer is about that large unpacked; built if it is not there as this file builds it."""
    stamp = f"{digest(__file__)} {subject.diff_id}"
    return build_image(
        directory / f"{mebibytes}-mib", stamp, lambda: [archive_of_copies(subject.rootfs, mebibytes << 20)]
    )
