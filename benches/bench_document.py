"""The measurements as markdown and plots."""
from bench_limits import LARGEST, MOST_MEMORY
from bench_plot import Plot, svg

BEGINS = {"minimize": "<!-- benches/run writes from here -->"}
END = "<!-- to here -->"
TIME_PLOT, MEMORY_PLOT = "performance-time.svg", "performance-memory.svg"


def megabytes(count):
    return f"{count / 1e6:.1f} MB"


def mebibytes(count):
    return f"{count / 2**20:.0f} MiB"


def command_table(results):
    """One row for each command: pycull's time beside it first. pycull is what `minimize` takes."""
    least = results["least_peak_bytes"]
    pycull = next(row for row in results["commands"] if row["key"] == "minimize")["median_seconds"]
    lines = ["| what | pycull's time as a share of it | seconds | spread | peak memory |", "|---|--:|--:|--:|--:|"]
    for row in results["commands"]:
        mark = results["notes"].index(row["note"]) + 1 if row["note"] else ""
        what = row["title"].replace("|", "\\|") + (f" <sup>{mark}</sup>" if mark else "")
        share = "" if row["key"] == "minimize" else f"{pycull / row['median_seconds']:.2f}"
        spread = f"{min(row['seconds']):.2f}–{max(row['seconds']):.2f}"
        # No command can be told from one that holds as little as what started it.
        memory = f"< {mebibytes(least * 1.1)}" if row["peak_bytes"] <= least * 1.1 else mebibytes(row["peak_bytes"])
        lines.append(f"| {what} | {share} | {row['median_seconds']:.2f} | {spread} | {memory} |")
    lines.append("")
    lines += [f"<sup>{number}</sup> {note}.  " for number, note in enumerate(results["notes"], 1)]
    return lines


def limit_table(limits):
    words = {True: "met", False: "**not met**", None: ""}
    lines = ["| limit | | measured | |", "|---|--:|--:|---|"]
    lines += [f"| {limit.what} | {limit.bound} | {limit.value} | {words[limit.met]} |" for limit in limits]
    return lines


def size_table(sizes):
    lines = ["| the new layer, compressed by | size | pycull's beside it |", "|---|--:|--:|"]
    for key, name in (("pycull", "pycull"), ("podman", "podman"), ("pigz", "`pigz -6`")):
        beside = "" if key == "pycull" else f"{(sizes['pycull'] / sizes[key] - 1) * 100:+.2f} %"
        lines.append(f"| {name} | {megabytes(sizes[key])} | {beside} |")
    return lines


def scaling_table(scaling):
    lines = ["| layer unpacked | caches removed | seconds | spread | peak memory |", "|--:|--:|--:|--:|--:|"]
    for point in scaling["points"]:
        spread = f"{min(point['seconds']):.2f}–{max(point['seconds']):.2f}"
        size, peak = mebibytes(point["uncompressed_bytes"]), mebibytes(point["peak_bytes"])
        lines.append(f"| {size} | {point['caches']} | {point['median_seconds']:.2f} | {spread} | {peak} |")
    return lines


def line_words(scaling):
    """The fitted line, in words."""
    each = scaling["seconds_per_mebibyte"] * 1024
    return f"{scaling['intercept_seconds']:.2f} s + {each:.2f} s for each GiB, R² {scaling['r_squared']:.4f}"


def machine_line(machine):
    memory = f"{machine['memory_bytes'] / 2**30:.0f} GiB of memory"
    return f"{machine['processor']}, {machine['cores']} cores, {memory}, Linux {machine['kernel']}."


def machine_lines(results):
    tools = ", ".join(f"{tool} {version}" for tool, version in results["versions"].items())
    return [machine_line(results["machine"]), f"{tools}."]


def minimize_markdown(results, limits):
    """What is written of the main job."""
    subject, scaling = results["subject"], results["scaling"]
    compressed, unpacked = megabytes(subject["compressed_bytes"]), megabytes(subject["uncompressed_bytes"])
    image = f"Debian 12 with Python and pip, one layer of {compressed} compressed by podman, {unpacked} unpacked"
    return "\n".join(
        [
            f"{image}. Whole processes, real time, the median of {results['rounds']} rounds; each round runs every "
            "command once. Memory is the largest peak of any process of the command; a pipeline's is that of its "
            "largest process.",
            "",
            *command_table(results),
            "",
            *size_table(results["sizes"]),
            "",
            *limit_table(limits),
            "",
            f"`pycull minimize` on layers of many sizes, made of the same files: {line_words(scaling)}.",
            "",
            f"![Time over the size of the layer]({TIME_PLOT})",
            "",
            f"![Peak memory over the size of the layer]({MEMORY_PLOT})",
            "",
            *scaling_table(scaling),
            "",
            *machine_lines(results),
        ]
    )


def plots(scaling):
    """The two pictures, by file name."""
    sizes = [point["uncompressed_bytes"] / 2**20 for point in scaling["points"]]
    step = 256 if max(sizes) > 512 else 32
    x_label = "size of the layer, unpacked (MiB)"
    times = [
        (size, point["median_seconds"], min(point["seconds"]), max(point["seconds"]))
        for size, point in zip(sizes, scaling["points"])
    ]
    peaks = [(size, point["peak_bytes"] / 2**20) for size, point in zip(sizes, scaling["points"])]
    line = (scaling["seconds_per_mebibyte"], scaling["intercept_seconds"], line_words(scaling))
    limit = (MOST_MEMORY, f"limit at {LARGEST // 1024} GiB: {MOST_MEMORY} MiB")
    title = "pycull minimize --profile minimal"
    return {
        TIME_PLOT: svg(Plot(f"{title}: time", x_label, "real time (s)", times, step, line=line)),
        MEMORY_PLOT: svg(Plot(f"{title}: memory", x_label, "peak resident memory (MiB)", peaks, step, limit=limit)),
    }


MARKDOWN = {"minimize": minimize_markdown}
"""What is written of each part, by its results and limits."""


def write(part, results, limits, directory):
    """Write a part of performance.md between its marks, and the plots beside it."""
    page = directory / "performance.md"
    before, begin, rest = page.read_text().partition(BEGINS[part])
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} has no lines `{BEGINS[part]}` and `{END}` to write between")
    page.write_text(f"{before}{begin}\n\n{MARKDOWN[part](results, limits)}\n\n{END}{after}")
    if part == "minimize":
        for name, picture in plots(results["scaling"]).items():
            (directory / name).write_text(picture)
