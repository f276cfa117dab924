"""How time and memory grow with the number of an image's members and layers."""
import importlib.util
import shutil
import sys

import bench_layers
import bench_measure
from bench_images import digest
from bench_layers import BLOCK
from bench_measure import Command, say
from bench_tools import BENCH, q

MEMBERS = (1_000, 10_000, 100_000, 1_000_000, 2_000_000, 4_000_000)
LAYERS = (1, 10, 100, 300, 1_000)
MEMBERS_OF_A_LAYER = 1_000
"""Where layers are counted."""
FILES_OF_A_DIRECTORY = 100
"""The last of them is a cache."""
STAMP = f"{digest(__file__)} {digest(bench_layers.__file__)} {sys.implementation.cache_tag}"
"""What the images depend on."""
LIMITS = ("members", "names")
"""What such an image has more of than its size allows: its files are empty."""


def header(name, size=0, kind=b"0"):
    """A ustar header (POSIX.1-2017, pax, "ustar Interchange Format")."""
    block = bytearray(BLOCK)
    block[: len(name)] = name
    block[100:156] = b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"14000000000\0" + b" " * 8
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def cache():
    """A bytecode file of an empty module, by the interpreter that runs this."""
    data = importlib._bootstrap_external._code_to_timestamp_pyc(compile(b"", "", "exec"), 0, 0)
    return data.ljust(-(-len(data) // BLOCK) * BLOCK, b"\0"), len(data)


def archive(count, directory):
    """An archive of `count` members below a directory, in chunks: directories of empty modules, and a cache in each."""
    body, size = cache()
    tag = sys.implementation.cache_tag.encode()
    for number in range(0, count, FILES_OF_A_DIRECTORY):
        place = b"usr/lib/%s/package%d/subpackage" % (directory, number // FILES_OF_A_DIRECTORY)
        files = min(FILES_OF_A_DIRECTORY, count - number) - 2
        members = [header(b"%s/a_module_%d.py" % (place, file)) for file in range(files)]
        stale = header(b"%s/__pycache__/a_module_0.%s.pyc" % (place, tag), size)
        yield b"".join([header(place + b"/", kind=b"5"), *members, stale, body])
    yield bytes(2 * BLOCK)


def image_of_members(count):
    """An image of one layer."""
    name = f"{count}-members"
    return bench_layers.build_image(BENCH / "growth" / name, STAMP, lambda: [archive(count, b"python")])


def image_of_layers(count):
    """An image of layers that have nothing in common but the directories above."""
    name = f"{count}-layers"
    layers = lambda: (archive(MEMBERS_OF_A_LAYER, b"layer%d" % layer) for layer in range(count))
    return bench_layers.build_image(BENCH / "growth" / name, STAMP, layers)


def commands(pycull, layout, count, what):
    """inspect, minimize and verify of one image, in the order of a round."""
    limits = " ".join(f"--limit {limit}=1000000000" for limit in LIMITS)
    program, image = q(pycull), q(f"oci:{layout}")
    small = BENCH / "growth" / f".{what}-{count}-small"
    minimize = f"{program} minimize {image} --profile minimal {limits} --output oci:"
    return [
        Command(f"inspect-{count}", f"inspect of {count} {what}", f"{program} inspect {image} {limits}"),
        Command(f"minimize-{count}", f"minimize of {count} {what}", minimize + "{scratch}/out"),
        Command(
            f"verify-{count}",
            f"verify of {count} {what}",
            f"{program} verify {image} {q(f'oci:{small}')} --profile minimal {limits}",
            prepare=f"test -e {q(small)} || {minimize}{q(small)}",
        ),
    ]


def measure_over(pycull, counts, image_of, what, chosen, scratch):
    """Each command over the number of something: points, and the lines through them."""
    run = []
    for count in counts:
        say(f"an image of {count} {what}")
        run += commands(pycull, image_of(count).layout, count, what)
    results = bench_measure.measure(run, chosen.rounds, scratch)
    for small in (BENCH / "growth").glob(f".{what}-*-small"):
        shutil.rmtree(small)
    measured = {}
    for key in ("inspect", "minimize", "verify"):
        points = [{"count": count, **values(results[f"{key}-{count}"])} for count in counts]
        measured[key] = {"points": points, "time": line(points, "median_seconds"), "memory": line(points, "peak_bytes")}
    return measured


def values(result):
    return {"seconds": result.seconds, "median_seconds": result.median, "peak_bytes": result.peak_bytes}


def line(points, key):
    """The least-squares line through the points."""
    slope, intercept, r_squared = bench_measure.fit([(point["count"], point[key]) for point in points])
    return {"slope": slope, "intercept": intercept, "r_squared": r_squared}


def measure(pycull, chosen, scratch):
    """Everything that is known after a run of this part."""
    few = slice(0, 3) if chosen.quick else slice(None)
    return {
        "members": measure_over(pycull, MEMBERS[few], image_of_members, "members", chosen, scratch),
        "layers": measure_over(pycull, LAYERS[few], image_of_layers, "layers", chosen, scratch),
    }
