"""The limits that pycull must meet: each with the measured value, and whether pycull meets it."""
import dataclasses

LARGEST = 2048
"""Size in MiB of the layer for which memory has a limit."""
MOST_MEMORY = 150
"""Most memory in MiB that `minimize` may use for that layer."""

MOST_BYTES_OF_A_MEMBER = 260
"""Most memory in bytes that `inspect` and `minimize` may use for each member."""


@dataclasses.dataclass
class Limit:
    what: str
    bound: str
    value: str
    met: bool | None  # None: not measured in this run


def at_most(what, value, bound, form):
    return Limit(what, f"≤ {form(bound)}", form(value), value <= bound)


def ratio(value):
    return f"{value:.2f}"


def percent(value):
    return f"{value:+.2f} %"


def minimize_limits(results):
    """The limits of the main job, applied to the results of `benches/run`."""
    seconds = {row["key"]: row["median_seconds"] for row in results["commands"]}
    sizes, scaling = results["sizes"], results["scaling"]
    growth = (sizes["pycull"] / sizes["podman"] - 1) * 100
    minimize, inspect = seconds["minimize"], seconds["inspect"]
    limits = [
        at_most("time of `minimize` ÷ time of compressing again with pigz", minimize / seconds["pigz"], 0.25, ratio),
        at_most("time of `minimize` ÷ time of buildah", minimize / seconds["buildah"], 0.15, ratio),
        at_most(
            "time of `minimize` ÷ time of inflating and hashing the layer", minimize / seconds["floor"], 2.5, ratio
        ),
        at_most("time of `inspect` ÷ time of inflating the layer", inspect / seconds["floor-inflate"], 1.5, ratio),
        at_most("size of the new layer, relative to podman's compression of the same archive", growth, 1.0, percent),
    ]
    r_squared = scaling["r_squared"]
    what = "R² of the line through time over layer size"
    limits.append(Limit(what, "≥ 0.99", f"{r_squared:.4f}", r_squared >= 0.99))
    what = f"peak memory for a layer of {LARGEST // 1024} GiB unpacked"
    peaks = [point["peak_bytes"] / 2**20 for point in scaling["points"] if point["mebibytes"] == LARGEST]
    if peaks:
        limits.append(at_most(what, peaks[0], MOST_MEMORY, lambda value: f"{value:.0f} MiB"))
    else:
        limits.append(Limit(what, f"≤ {MOST_MEMORY} MiB", "not measured", None))
    return limits


def compile_limits(results):
    """The limits of compiling, relative to the image's own compileall."""
    bounds = (
        ("whole", "whole command", 1.0),
        ("stage", "compile stage", 0.85),
        ("warm", "with a filled compile cache", 0.35),
    )
    limits = []
    for image in results["images"]:
        seconds = {row["key"]: row["median_seconds"] for row in image["commands"]}
        for key, what, bound in bounds:
            what = f"{image['image']}: {what} ÷ compileall"
            limits.append(at_most(what, seconds[key] / seconds["compileall"], bound, ratio))
    return limits


def import_limits(results):
    """Fedora's experiment again: there, 10000 reloads took 13.99 s with caches and 260.55 s without."""
    least, most = 15, 25
    (image,) = (image for image in results["images"] if image["python"] == "3.9")
    (measured,) = (row["ratio"] for row in image["reload"] if row["level"] == 0)
    what = f"Python 3.9: reload of `{image['module']}` without caches ÷ with caches (Fedora: {260.55 / 13.99:.1f})"
    return [Limit(what, f"{least} to {most}", f"{measured:.1f}", least <= measured <= most)]


def page_limits(results):
    """The page stays responsive."""
    what = f"{results['files']} files: "
    form = "{:.0f} ms".format
    return [
        at_most(what + "time to load the page", results["load_ms"], 2000, form),
        at_most(what + "time to answer a click", results["click_ms"], 100, form),
    ]


def growth_limits(results):
    """Time and memory are linear in members and in layers."""
    limits = []
    for what in ("members", "layers"):
        for command, measured in results[what].items():
            for quantity in ("time", "memory"):
                value = measured[quantity]["r_squared"]
                name = f"{command}: R² of the line through {quantity} over {what}"
                limits.append(Limit(name, "≥ 0.99", f"{value:.4f}", value >= 0.99))
    for command in ("inspect", "minimize"):
        slope = results["members"][command]["memory"]["slope"]
        limits.append(at_most(f"{command}: memory for each member", slope, MOST_BYTES_OF_A_MEMBER, "{:.0f} bytes".format))
    return limits


def registry_limits(results):
    """Time in a registry, relative to files, to skopeo and to the transfer alone, and memory."""
    seconds = {row["key"]: row["median_seconds"] for row in results["fast"] + results["slow"]}
    fast, slow = seconds["registry"], seconds["slow"]
    limits = [
        at_most("registry to registry ÷ layout to layout", fast / seconds["files"], 1.25, ratio),
        at_most("registry to registry ÷ `skopeo copy`, `minimize`, `skopeo copy`", fast / seconds["skopeo"], 0.6, ratio),
        at_most("slow network: registry to registry ÷ the transfer alone", slow / seconds["transfer"], 1.1, ratio),
    ]
    what, form = "peak memory for a layer of 2 GiB unpacked, from and to a registry", "{:.0f} MiB".format
    if results["large"]:
        limits.append(at_most(what, results["large"]["peak_bytes"] / 2**20, MOST_MEMORY, form))
    else:
        limits.append(Limit(what, f"≤ {MOST_MEMORY} MiB", "not measured", None))
    return limits


CHECKS = {
    "minimize": minimize_limits,
    "compile": compile_limits,
    "imports": import_limits,
    "page": page_limits,
    "growth": growth_limits,
    "registry": registry_limits,
}
"""The limits of each part, by its results."""
