"""Imports with caches and without, as `pycull bench` measures them in each image."""
import json

from bench_measure import must, say
from bench_tools import real_image

IMAGES = ("py3.9", "py3.11", "py3.13", "py3.14")
REPEATS = 100
MODULES = (
    "asyncio",
    "argparse",
    "decimal",
    "email.message",
    "http.client",
    "json",
    "logging",
    "sqlite3",
    "ssl",
    "unittest",
    "xml.dom.minidom",
)


def levels(rows):
    """The medians with caches and without, in seconds, and how many times as long it takes without; by level."""
    seconds = {(row["level"], row["cached"]): row["real_seconds"] for row in rows}
    return [
        {"level": level, "cached": cached, "bare": seconds[level, False], "ratio": seconds[level, False] / cached}
        for (level, is_cached), cached in seconds.items()
        if is_cached
    ]


def measure_image(pycull, name, rounds):
    say(f"imports of {name}")
    bench = [pycull, "bench", f"oci:{real_image(name)}", "--repeats", str(REPEATS), "--rounds", str(rounds)]
    (image,) = json.loads(must([*bench, "--import", ",".join(MODULES), "--format", "json"]))["images"]
    (tree,), (imports,) = image["trees"], image["imports"]
    reload, start = levels(tree["rows"]), levels(imports["rows"])
    for which, rows in (("reload", reload), ("import", start)):
        say(f"{name}: {which}, without caches: " + ", ".join(f"{row['ratio']:.2f}" for row in rows) + " times as long")
    return {"python": tree["python"], "module": tree["module"], "reload": reload, "import": start}


def measure(pycull, chosen, _scratch):
    """Everything that is known after a run of this part."""
    images = [measure_image(pycull, name, chosen.rounds) for name in IMAGES]
    return {"repeats": REPEATS, "modules": MODULES, "images": images}
