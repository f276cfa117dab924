"""What pycull is held to: each limit, the value that was measured, and whether it is met."""
import dataclasses

LARGEST = 2048
"""The layer, in MiB, whose memory is limited."""
MOST_MEMORY = 150
"""What `minimize` may hold of memory for it, in MiB."""

MOST_BYTES_OF_A_MEMBER = 260
"""What `inspect` and `minimize` may hold of memory for each member, in bytes."""


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
    """The limits of the main job, held against the results as `benches/run` writes them."""
    seconds = {row["key"]: row["median_seconds"] for row in results["commands"]}
    sizes, scaling = results["sizes"], results["scaling"]
    growth = (sizes["pycull"] / sizes["podman"] - 1) * 100
    minimize, inspect = seconds["minimize"], seconds["inspect"]
    limits = [
        at_most("minimize, as a share of compressing anew with pigz", minimize / seconds["pigz"], 0.25, ratio),
        at_most("minimize, as a share of buildah", minimize / seconds["buildah"], 0.15, ratio),
        at_most("minimize, times the floor", minimize / seconds["floor"], 2.5, ratio),
        at_most("inspect, times the floor's inflate", inspect / seconds["floor-inflate"], 1.5, ratio),
        at_most("size of the new layer beside podman's compression of the same archive", growth, 1.0, percent),
    ]
    r_squared = scaling["r_squared"]
    limits.append(Limit("R² of the line through time over size", "≥ 0.99", f"{r_squared:.4f}", r_squared >= 0.99))
    what = f"peak memory at {LARGEST // 1024} GiB unpacked"
    peaks = [point["peak_bytes"] / 2**20 for point in scaling["points"] if point["mebibytes"] == LARGEST]
    if peaks:
        limits.append(at_most(what, peaks[0], MOST_MEMORY, lambda value: f"{value:.0f} MiB"))
    else:
        limits.append(Limit(what, f"≤ {MOST_MEMORY} MiB", "not measured", None))
    return limits


def compile_limits(results):
    """The limits of compiling: shares of what the image's own compileall takes."""
    bounds = (("whole", "pycull whole", 1.0), ("stage", "the compile stage", 0.85), ("warm", "compiled before", 0.35))
    limits = []
    for image in results["images"]:
        seconds = {row["key"]: row["median_seconds"] for row in image["commands"]}
        for key, what, bound in bounds:
            what = f"{image['image']}: {what}, as a share of compileall"
            limits.append(at_most(what, seconds[key] / seconds["compileall"], bound, ratio))
    return limits


def import_limits(results):
    """Fedora's experiment, seen again: 10000 reloads took 13.99 s with caches and 260.55 s without."""
    least, most = 15, 25
    (image,) = (image for image in results["images"] if image["python"] == "3.9")
    (measured,) = (row["ratio"] for row in image["reload"] if row["level"] == 0)
    what = f"Python 3.9: times as long to reload `{image['module']}` without caches (Fedora: {260.55 / 13.99:.1f})"
    return [Limit(what, f"{least} to {most}", f"{measured:.1f}", least <= measured <= most)]


def page_limits(results):
    """A page is to stay responsive."""
    what = f"{results['files']} files: "
    form = "{:.0f} ms".format
    return [
        at_most(what + "the page loads", results["load_ms"], 2000, form),
        at_most(what + "it answers a click", results["click_ms"], 100, form),
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


CHECKS = {
    "minimize": minimize_limits,
    "compile": compile_limits,
    "imports": import_limits,
    "page": page_limits,
    "growth": growth_limits,
}
"""The limits of each part, by its results."""
