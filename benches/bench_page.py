"""The page of `inspect --format html` for an image of many files. Headless Chromium measures it."""
import hashlib
import io
import json
import statistics
import tarfile

from bench_measure import must, say
from bench_tools import ROOT

FILES = 50_000
DRIVE = ROOT / "tests/it/html/drive.py"


def add(archive, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def write_image(path):
    """A docker archive with one layer: packages of a hundred modules each."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for number in range(FILES):
            name = f"usr/lib/python3.11/site-packages/package{number // 100}/module{number % 100}.py"
            add(archive, name, b"x" * (1 + number % 1000))
    layer = layer.getvalue()
    diff_id = "sha256:" + hashlib.sha256(layer).hexdigest()
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}}
    manifest = [{"Config": "config.json", "RepoTags": ["many:files"], "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as archive:
        add(archive, "layer.tar", layer)
        add(archive, "config.json", json.dumps(config).encode())
        add(archive, "manifest.json", json.dumps(manifest).encode())


def measure(pycull, chosen, scratch):
    """The results of a run of this part."""
    image, page = scratch / "many.tar", scratch / "page.html"
    write_image(image)
    page.write_text(must([pycull, "inspect", image, "--format", "html"]))
    # Debian's Python, which has its selenium.
    seen = json.loads(must(["/usr/bin/python3", DRIVE, *[page] * chosen.rounds]))
    for number, state in enumerate(seen, 1):
        say(f"page, round {number}: loaded in {state['load_ms']:.0f} ms")
    clicks = [click for state in seen for click in state["click_ms"]]
    return {
        "files": int(seen[0]["start"]["count"]),
        "bytes": page.stat().st_size,
        "load_ms": statistics.median(state["load_ms"] for state in seen),
        "click_ms": statistics.median(clicks),
    }
