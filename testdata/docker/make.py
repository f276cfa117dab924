#!/usr/bin/env python3.9
"""Write docker-old.tar and docker-new.tar: one small image as two generations of `docker save` write it.

usage: make.py [DIRECTORY]

docker-old.tar is what `podman save --format docker-archive` (containers/image 5.23) and docker before 25 write: layers
and config at the top, manifest.json, repositories, and a version-1 directory for each layer. docker-new.tar is what
docker 25 to 28 write without the containerd image store: an OCI layout and manifest.json over the same blobs.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../fedora-shaped"))

import generate  # noqa: E402
import image  # noqa: E402

CREATED = "2020-09-08T09:39:25Z"
BUILT = 1599557965
REPOSITORY, TAG = "localhost/shaped", "1"
HISTORY = [
    {"created": CREATED, "created_by": "a base with a few modules"},
    {"created": CREATED, "created_by": "CMD [\"/usr/bin/python3\"]", "empty_layer": True},
    {"created": CREATED, "created_by": "pip install fruit"},
]


def layers():
    base = image.Layer(BUILT)
    base.file("etc/os-release", "NAME=shaped\n")
    base.file("usr/bin/python3.9", "#!/bin/sh\necho 'not a real interpreter'\n", mode=0o755)
    base.symlink("usr/bin/python3", "python3.9")
    stdlib = "usr/lib64/python3.9"
    for name in ("os.py", "site.py", "heaps.py", "calendars.py", "json/decoder.py", "json/encoder.py", "json/__init__.py"):
        with open(os.path.join(HERE, "../fedora-shaped/lib", name), "rb") as file:
            base.module(f"{stdlib}/{name}", file.read(), pax=())
    base.module(f"{stdlib}/encodings/__init__.py", b"", pax=())
    base.sourceless(f"{stdlib}/encodings/cp857.py", generate.code_page("cp857"))
    added = image.Layer(BUILT + 60)
    for name in ("__init__", "core"):
        source = generate.code("fruit/" + name, 6, docs=True, asserts=True)
        added.module(f"usr/lib/python3.9/site-packages/fruit/{name}.py", source, levels=(0,), mtime=BUILT + 30, pax=())
    return [base.tar(), added.tar()]


def old(path, tars, config):
    files = [(image.sha256(tar) + ".tar", tar) for tar in tars]
    config_name = image.sha256(config) + ".json"
    files += [(config_name, config)]
    parent = ""
    for tar in tars:
        name = image.sha256(f"{parent} {image.sha256(tar)}".encode())
        about = {"id": name, **({"parent": parent} if parent else {})}
        files += [(f"{name}/layer.tar", f"../{image.sha256(tar)}.tar")]
        files += [(f"{name}/VERSION", b"1.0"), (f"{name}/json", image.packed(about))]
        parent = name
    row = {
        "Config": config_name,
        "RepoTags": [f"{REPOSITORY}:{TAG}"],
        "Layers": [image.sha256(tar) + ".tar" for tar in tars],
    }
    files += [("manifest.json", image.packed([row]))]
    files += [("repositories", image.packed({REPOSITORY: {TAG: parent}}))]
    image.archive(path, files, mtime=0, mode=0o444)


def new(path, tars, config):
    oci = "application/vnd.oci.image."
    manifest = {
        "schemaVersion": 2,
        "mediaType": oci + "manifest.v1+json",
        "config": image.descriptor(oci + "config.v1+json", config),
        "layers": [image.descriptor(oci + "layer.v1.tar", tar) for tar in tars],
    }
    blobs = [*tars, config, image.packed(manifest)]
    # The engine still writes a version-1 description of each layer, which no manifest names.
    last = ""
    for tar in tars:
        name = image.sha256(f"{last} {image.sha256(tar)}".encode())
        about = image.packed({"id": name, **({"parent": last} if last else {}), "os": "linux"})
        blobs.append(about)
        last = name
    annotations = {
        "io.containerd.image.name": f"{REPOSITORY}:{TAG}",
        "org.opencontainers.image.ref.name": TAG,
    }
    index = {
        "schemaVersion": 2,
        "mediaType": oci + "index.v1+json",
        "manifests": [image.descriptor(oci + "manifest.v1+json", image.packed(manifest), annotations=annotations)],
    }
    sources = {}
    for tar, layer in zip(tars, manifest["layers"]):
        sources["sha256:" + image.sha256(tar)] = layer
    row = {
        "Config": "blobs/sha256/" + image.sha256(config),
        "RepoTags": [f"{REPOSITORY}:{TAG}"],
        "Layers": ["blobs/sha256/" + image.sha256(tar) for tar in tars],
        "LayerSources": sources,
    }
    files = [("blobs/", b""), ("blobs/sha256/", b"")]
    files += sorted((f"blobs/sha256/{image.sha256(blob)}", blob) for blob in blobs)
    files += [("index.json", image.packed(index)), ("manifest.json", image.packed([row]))]
    files += [("oci-layout", image.packed({"imageLayoutVersion": "1.0.0"}))]
    files += [("repositories", image.packed({REPOSITORY: {TAG: image.sha256(tars[-1])}}))]
    image.archive(path, files, mtime=0)


def main():
    image.fixed_seed()
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..")
    tars = layers()
    config = image.config(tars, CREATED, HISTORY)
    old(os.path.join(folder, "docker-old.tar"), tars, config)
    new(os.path.join(folder, "docker-new.tar"), tars, config)


if __name__ == "__main__":
    main()
