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


def write_layer(rootfs, wanted, path):
    """Write a gzip layer of about `wanted` bytes unpacked; return its diff_id."""
    hasher = hashlib.sha256()
    with tarfile.open(rootfs) as archive, open(rootfs, "rb") as source, open(path, "wb") as target:
        members = archive.getmembers()
        pigz = subprocess.Popen(["pigz", "-6", "--no-name"], stdin=subprocess.PIPE, stdout=target)

        def write(data):
            hasher.update(data)
            pigz.stdin.write(data)

        for member in copies(members, wanted):
            write(member.tobuf(tarfile.PAX_FORMAT))
            source.seek(member.offset_data)
            write(source.read(cost(member) - BLOCK))
        write(bytes(2 * BLOCK))
        pigz.stdin.close()
        if pigz.wait() != 0:
            raise SystemExit(f"pigz failed with {pigz.returncode}")
    return "sha256:" + hasher.hexdigest()


def write_image(rootfs, wanted, layout):
    """Write an OCI layout with one image of one layer of about `wanted` bytes unpacked."""
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

    diff_id = write_layer(rootfs, wanted, layout / "layer")
    layer = add("layer.v1.tar+gzip", layout / "layer")
    rootfs_of_config = {"type": "layers", "diff_ids": [diff_id]}
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs_of_config, "history": []}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    manifest |= {"config": document("config.v1+json", config), "layers": [layer]}
    entry = document("manifest.v1+json", manifest)
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def build_layer(directory, subject, mebibytes):
    """An image whose layer is about that large unpacked; built if it is not there as this file builds it."""
    layout = directory / f"{mebibytes}-mib"
    with made_whole(layout, f"{digest(__file__)} {subject.diff_id}") as new:
        if new:
            # In a process of its own: its memory would count as that of every process that is measured later.
            arguments = (subject.rootfs, mebibytes << 20, new)
            process = multiprocessing.get_context("fork").Process(target=write_image, args=arguments)
            process.start()
            process.join()
            if process.exitcode != 0:
                raise SystemExit(f"the layer of {mebibytes} MiB could not be built")
    return Image(layout)
