"""Compiling: pycull and the image's own compileall, on the same sources and two processors."""
import contextlib
import dataclasses
import json
import os
import pathlib
import tarfile

import bench_measure
from bench_images import Image
from bench_measure import Command, must, row, say
from bench_tools import ROOT, q, real_image

IMAGES = ("py3.11", "py3.9", "py3.13")
WORKERS = 2

# The image's own interpreter, where it lies. Debian 11's takes its semaphores from no /dev/shm but a tmpfs. Nothing of
# our environment may reach it: PYTHONDONTWRITEBYTECODE would.
IN_ROOTFS = (
    "unshare --mount bash -euc 'mount --rbind /dev \"$0/dev\"; "
    "exec env --ignore-environment PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 chroot \"$0\" \"$@\"'"
)


@dataclasses.dataclass
class Subject:
    """An image without caches, as a layout and as files, and what pycull compiles of it."""

    name: str
    bare: pathlib.Path
    rootfs: pathlib.Path
    memory: pathlib.Path  # the compile cache that this filled
    caches: set  # paths in the image of what was compiled
    failed: int  # sources that do not compile
    python: str  # the interpreter's path in the image
    trees: list  # paths of directories in the image

    @property
    def sources(self):
        """How many were compiled: those with a cache of level 0."""
        return sum(".opt-" not in path for path in self.caches)


def fill_arguments(bare):
    """What makes pycull compile all that an image without caches lacks."""
    return ["minimize", f"oci:{bare}", "--profile", "all", "--set", "missing=compile", "--jobs", str(WORKERS)]


@contextlib.contextmanager
def few_processors():
    """As many as there are workers, for all processes that are started in the block: pycull has other threads too."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:WORKERS])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def build_stage():
    """The program that tells how long the compile stage took, built as pycull is."""
    say("building benches/compile.rs")
    build = ["cargo", "build", "--release", "--locked", "--bench", "compile", "--message-format", "json"]
    messages = map(json.loads, must(build, cwd=ROOT).splitlines())
    (program,) = (it["executable"] for it in messages if it.get("target", {}).get("name") == "compile")
    return program


def caches_of_layers(layout):
    """The paths of all bytecode files in an image whose layers hide none."""
    image = Image(layout)
    found = set()
    for layer in image.manifest()["layers"]:
        with tarfile.open(image.blob(layer)) as archive:
            found |= {member.name.removeprefix("./") for member in archive if member.name.endswith(".pyc")}
    return found


def caches_of_files(rootfs):
    """The paths of all bytecode files beneath a directory."""
    return {str(path.relative_to(rootfs)) for path in rootfs.rglob("*.pyc")}


def prepare(pycull, name, scratch):
    """Take an image's caches away, unpack it, and compile it once."""
    say(f"{name} without caches")
    bare, full, bundle, memory = (scratch / part for part in ("bare", "full", "bundle", "memory"))
    must([pycull, "minimize", f"oci:{real_image(name)}", "--profile", "minimal", "--output", f"oci:{bare}:latest"])
    must(["umoci", "unpack", "--image", f"{bare}:latest", bundle])
    # Nothing imports modules with a point in their name: pycull neither compiles them nor touches their caches.
    for source in (bundle / "rootfs").rglob("*.*.py"):
        source.unlink()
    fill = [pycull, *fill_arguments(bare), "--output", f"oci:{full}", "--format", "json"]
    (image,) = json.loads(must(fill, env=os.environ | {"PYCULL_CACHE_DIR": str(memory)}))["images"]
    (interpreter,) = image["compiled"]["interpreters"]
    (seen,) = json.loads(must([pycull, "inspect", f"oci:{full}", "--format", "json"]))["images"]
    # Where nothing was compiled, nothing can be imported: compileall is not to go there.
    trees = [f"/{tree['path']}" for tree in seen["trees"] if tree["levels"]["0"]["files"]]
    failed = image["compiled"]["failed"]
    python = f"/{interpreter['path']}"
    caches = caches_of_layers(full) - caches_of_layers(bare)
    return Subject(name, bare, bundle / "rootfs", memory, caches, failed, python, trees)


def commands(pycull, stage, subject, times):
    """What is measured of an image, in the order of a round."""
    rootfs, minimize = q(subject.rootfs), " ".join(map(q, [pycull, *fill_arguments(subject.bare)]))
    compileall = "-m compileall -q -j 2 -o 0 -o 1 -o 2 --hardlink-dupes"
    in_image = f"{IN_ROOTFS} {rootfs} {q(subject.python)} {compileall} {' '.join(map(q, subject.trees))}"
    return [
        Command(
            "compileall",
            f"`python {compileall}`",
            # It says 1 where a source does not compile; what it wrote is compared.
            f"{in_image} || [ $? = 1 ]",
            prepare=f"find {rootfs} -name __pycache__ -prune -exec rm -r {{{{}}}} +",
        ),
        Command(
            "whole",
            "`pycull minimize --profile all --no-cache`",
            f"{minimize} --no-cache --output oci:{{scratch}}/out",
        ),
        Command(
            "stage",
            "its compile stage",
            f"{q(stage)} {q(pycull)} {q(f'oci:{subject.bare}')} oci:{{scratch}}/out {WORKERS} > {{scratch}}/seconds",
            clean=f"cat {{scratch}}/seconds >> {q(times)}",
        ),
        Command(
            "warm",
            "`pycull minimize --profile all`, with a filled compile cache",
            f"env {q(f'PYCULL_CACHE_DIR={subject.memory}')} {minimize} --output oci:{{scratch}}/out",
        ),
    ]


def check(subject):
    """Stop unless compileall and pycull wrote caches of the same names."""
    native = caches_of_files(subject.rootfs)
    for what, paths in (("compileall", native - subject.caches), ("pycull", subject.caches - native)):
        if paths:
            raise SystemExit(f"{subject.name}: only {what} wrote {len(paths)} caches; one is {min(paths)}")


def measure_image(pycull, stage, name, rounds, scratch):
    """Every command on one image."""
    subject = prepare(pycull, name, scratch)
    times = scratch / "times"
    run = commands(pycull, stage, subject, times)
    results = bench_measure.measure(run, rounds, scratch)
    check(subject)
    # What the program says, not how long it ran.
    results["stage"].seconds = [float(line) for line in times.read_text().split()]
    say(f"{name}: {subject.sources} sources compiled, {subject.failed} not, {len(subject.caches)} caches by either")
    say(f"{name}: the compile stage took {results['stage'].median:.2f} s")
    counts = {"sources": subject.sources, "failed": subject.failed, "caches": len(subject.caches)}
    return {"image": name, **counts, "commands": [row(command, results[command.key]) for command in run]}


def measure(pycull, chosen, scratch):
    """The results of a run of this part."""
    images = IMAGES[:1] if chosen.quick else IMAGES
    stage = build_stage()
    measured = []
    with few_processors():
        for name in images:
            own = scratch / name
            own.mkdir()
            measured.append(measure_image(pycull, stage, name, chosen.rounds, own))
    return {"workers": WORKERS, "images": measured}
