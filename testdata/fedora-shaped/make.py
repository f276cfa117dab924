#!/usr/bin/env python3.9
"""Write fedora-shaped.tar: an oci-archive laid out as Fedora's python3-libs is.

usage: make.py [FILE]

`remake` beside this file runs it with the interpreter that made the copy in git. No byte of content comes from
CPython or Fedora: the modules are in lib/, in generate.py, and below.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import generate  # noqa: E402
import image  # noqa: E402

STDLIB = "usr/lib64/python3.9"
SITE = "usr/lib/python3.9/site-packages"
BUILT = 1599557965
CREATED = "2020-09-08T09:39:25Z"

# name: functions, docstrings, asserts, __debug__
FAMILIES = {
    "archive": (24, True, False, False),
    "balance": (12, False, False, False),
    "blocks": (40, True, True, False),
    "cmdline": (30, True, False, False),
    "copies": (6, True, False, False),
    "curves": (16, False, True, False),
    "diffs": (48, True, False, False),
    "email/__init__": (3, True, False, False),
    "email/headers": (26, True, True, False),
    "email/mime/__init__": (1, False, False, False),
    "email/mime/parts": (14, True, False, False),
    "email/parts": (20, True, False, False),
    "graphs": (22, False, False, False),
    "inspecting": (60, True, True, True),
    "logging/__init__": (32, True, True, False),
    "logging/handlers": (28, True, False, True),
    "mailcap": (9, False, False, False),
    "numbers_": (18, True, False, False),
    "pickling": (36, False, True, True),
    "sockets": (30, True, False, False),
    "tracing": (10, False, False, True),
    "xml/__init__": (1, True, False, False),
    "xml/dom/__init__": (5, True, False, False),
    "xml/dom/minimal": (34, False, False, False),
    "xml/dom/pull": (15, True, True, True),
}
CODE_PAGES = ["cp437", "cp737", "cp852", "cp857", "cp866", "cp1125", "mac_greek"]

ODD = {
    # Each of these has broken a tool that takes the first line, the encoding or the size for granted.
    "wsgi/__init__.py": b"",
    "this_one.py": b"pass\n",
    "latin.py": "# -*- coding: latin-1 -*-\nNAMES = ['Jürgen', 'Åsa']\n\n\ndef greet(name):\n"
    "    'Grüße.'\n    assert name in NAMES\n    return 'Grüß Gott, ' + name\n".encode("latin-1"),
    "bom.py": b"\xef\xbb\xbf" + '"""Starts with a byte order mark."""\nSIGN = "½"\n'.encode(),
    "crlf.py": b'"""Lines end as on Windows."""\r\n\r\n\r\ndef ends(text):\r\n    assert text\r\n    return text[-2:]\r\n',
    "no_end.py": b"LAST = 'a line without an end'",
    # Full-width letters are folded to __debug__, so the levels differ without the word in the bytes.
    "wide.py": "DEBUG = __ｄｅｂｕｇ__\n".encode(),
}


def surroundings(layer):
    for path in ("root", "run", "tmp", "proc", "sys", "dev", "var/cache", "usr/lib"):
        layer.directory(path)
    for name, target in {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin"}.items():
        layer.symlink(name, target)
    layer.directory("usr/sbin")
    layer.file("etc/os-release", 'NAME="Fedora shaped"\nID=fedora-shaped\nVERSION_ID=34\n')
    layer.file("etc/capable", "x\n", pax={"SCHILY.xattr.user.x": "kept"})
    layer.file("usr/bin/python3.9", "#!/bin/sh\necho 'not a real interpreter'\n", mode=0o755)
    layer.symlink("usr/bin/python3", "python3.9")
    layer.file("usr/share/doc/python3-libs/Überblick.txt", "A name outside ASCII.\n")
    layer.file("usr/share/licenses/python3-libs/LICENSE", "Made up for a test.\n")


def standard_library(layer):
    lib = os.path.join(HERE, "lib")
    sources = dict(ODD)
    for folder, _, names in os.walk(lib):
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    sources[os.path.relpath(path, lib)] = file.read()
    for name, (size, docs, asserts, debug) in FAMILIES.items():
        sources[name + ".py"] = generate.code(name, size, docs, asserts, debug)
    for name, rows in {"html/__init__": 40, "html/entities": 300, "opcodes": 120, "statcodes": 30}.items():
        sources[name + ".py"] = generate.table(name, rows)
    for place, name in enumerate(sorted(sources)):
        # One source has a fraction of a second: the cache's header holds the whole seconds, cut off.
        mtime = BUILT + 0.75 if name == "shapes.py" else BUILT - 60 * place
        layer.module(f"{STDLIB}/{name}", sources[name], mtime=mtime)
    for name in CODE_PAGES:
        layer.sourceless(f"{STDLIB}/encodings/{name}.py", generate.code_page(name))
    layer.module(f"{STDLIB}/pydoc_data/__init__.py", b"", mtime=BUILT)
    layer.sourceless(f"{STDLIB}/pydoc_data/topics.py", generate.topics(40))
    layer.file(f"{STDLIB}/lib-dynload/_speedups.cpython-39-x86_64-linux-gnu.so", b"\x7fELF not really\n", mode=0o755)
    layer.directory(f"{STDLIB}/site-packages/__pycache__")
    layer.file(f"{STDLIB}/LICENSE.txt", "Made up for a test.\n")


def dist_info(layer, name, version, installer):
    """METADATA, WHEEL, INSTALLER and a RECORD that lists the caches without hash and size, as pip writes it."""
    folder = f"{SITE}/{name}-{version}.dist-info"
    layer.file(f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    layer.file(f"{folder}/WHEEL", "Wheel-Version: 1.0\nGenerator: pycull\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    layer.file(f"{folder}/INSTALLER", installer + "\n")
    lines = []
    for path, (member, data) in sorted(layer.members.items()):
        if path.startswith((f"{SITE}/{name}/", folder + "/")) and not member.isdir():
            row = path[len(SITE) + 1 :]
            lines.append(f"{row},," if path.endswith(".pyc") else f"{row},sha256={image.sha256(data)},{len(data)}")
    layer.file(f"{folder}/RECORD", "\n".join([*lines, f"{folder[len(SITE) + 1:]}/RECORD,,", ""]))


def packages(layer):
    # From an rpm: levels 0 and 1, linked.
    for name, size in {"__init__": 2, "client": 30, "errors": 4, "server": 24, "util/__init__": 1, "util/text": 12}.items():
        source = generate.code("wireline/" + name, size, docs=True, asserts=name in ("client", "server"))
        layer.module(f"{SITE}/wireline/{name}.py", source, levels=(0, 1), mtime=BUILT + 5)
    dist_info(layer, "wireline", "1.4.2", "rpm")
    # From an rpm of before the links: the same two levels, each its own file.
    for name in ("__init__", "knots", "splices"):
        source = generate.code("ropework/" + name, 15, docs=True)
        layer.module(f"{SITE}/ropework/{name}.py", source, levels=(0, 1), mtime=BUILT + 6, linked=False)
    dist_info(layer, "ropework", "0.9", "rpm")
    # From a wheel: level 0, no label, times as pip leaves them.
    deep = "the_longest_of_the_package_names/with_a_subpackage_of_some_length/and_one_more_below_it"
    for place, name in enumerate(("__init__", "größe", f"{deep}/__init__", f"{deep}/a_module_with_a_name")):
        source = generate.code("pipfruit/" + name, 8, docs=place % 2 == 0, debug=True)
        layer.module(f"{SITE}/pipfruit/{name}.py", source, levels=(0,), mtime=BUILT + 7.5 + place / 8, pax=())
    dist_info(layer, "pipfruit", "3.0", "pip")


def main():
    image.fixed_seed()
    base, added = image.Layer(BUILT), image.Layer(BUILT + 3600)
    surroundings(base)
    standard_library(base)
    packages(added)
    tars = [base.tar(), added.tar()]
    blobs = [image.gzipped(tar) for tar in tars]
    history = [
        {"created": CREATED, "created_by": "a base with python3-libs", "comment": "made by testdata/fedora-shaped"},
        {"created": CREATED, "created_by": "CMD [\"/usr/bin/python3\"]", "empty_layer": True},
        {"created": CREATED, "created_by": "dnf install python3-wireline python3-ropework && pip install pipfruit"},
    ]
    config = image.config(tars, CREATED, history)
    oci = "application/vnd.oci.image."
    manifest = image.packed(
        {
            "schemaVersion": 2,
            "mediaType": oci + "manifest.v1+json",
            "config": image.descriptor(oci + "config.v1+json", config),
            "layers": [image.descriptor(oci + "layer.v1.tar+gzip", blob) for blob in blobs],
            "annotations": {"org.opencontainers.image.created": CREATED},
        }
    )
    name = {"org.opencontainers.image.ref.name": "latest"}
    index = image.packed(
        {
            "schemaVersion": 2,
            "mediaType": oci + "index.v1+json",
            "manifests": [image.descriptor(oci + "manifest.v1+json", manifest, annotations=name)],
        }
    )
    files = [("blobs/", b""), ("blobs/sha256/", b"")]
    files += sorted((f"blobs/sha256/{image.sha256(blob)}", blob) for blob in [*blobs, config, manifest])
    files += [("index.json", index), ("oci-layout", image.packed({"imageLayoutVersion": "1.0.0"}))]
    image.archive(sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "../fedora-shaped.tar"), files, BUILT)


if __name__ == "__main__":
    main()
