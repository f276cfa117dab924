"""The measurements as markdown and plots."""
import textwrap

from bench_limits import LARGEST, MOST_MEMORY
from bench_plot import Plot, svg

BEGINS = {
    "minimize": "<!-- benches/run writes from here -->",
    "compile": "<!-- benches/run compile writes from here -->",
    "imports": "<!-- benches/run imports writes from here -->",
    "page": "<!-- benches/run page writes from here -->",
    "growth": "<!-- benches/run growth writes from here -->",
    "registry": "<!-- benches/run registry writes from here -->",
}
HEADINGS = {
    "compile": "## Compiling",
    "imports": "## Imports",
    "page": "## The page of `inspect`",
    "growth": "## Many files, many layers",
    "registry": "## Registries",
}
"""Of the sections that are added if the page lacks them."""
END = "<!-- to here -->"
TIME_PLOT, MEMORY_PLOT = "performance-time.svg", "performance-memory.svg"


def prose(*sentences):
    """A paragraph in lines of at most 120 characters."""
    return textwrap.fill(" ".join(sentences), 120, break_long_words=False, break_on_hyphens=False)


def megabytes(count):
    return f"{count / 1e6:.1f} MB"


def mebibytes(count):
    return f"{count / 2**20:.0f} MiB"


def spread(seconds):
    return f"{min(seconds):.2f}–{max(seconds):.2f}"


def command_table(results):
    """One row for each command. The first figure divides the time of `minimize` by the time of the command."""
    least = results["least_peak_bytes"]
    pycull = next(row for row in results["commands"] if row["key"] == "minimize")["median_seconds"]
    lines = ["| command | `minimize` ÷ command | seconds | spread | peak memory |", "|---|--:|--:|--:|--:|"]
    for row in results["commands"]:
        mark = results["notes"].index(row["note"]) + 1 if row["note"] else ""
        what = row["title"].replace("|", "\\|") + (f" <sup>{mark}</sup>" if mark else "")
        share = "" if row["key"] == "minimize" else f"{pycull / row['median_seconds']:.2f}"
        # The measured peak includes the starter, so a smaller peak cannot be measured.
        memory = f"< {mebibytes(least * 1.1)}" if row["peak_bytes"] <= least * 1.1 else mebibytes(row["peak_bytes"])
        lines.append(f"| {what} | {share} | {row['median_seconds']:.2f} | {spread(row['seconds'])} | {memory} |")
    lines.append("")
    lines += [prose(f"<sup>{number}</sup> {note}.") + "  " for number, note in enumerate(results["notes"], 1)]
    return lines


def limit_table(limits):
    words = {True: "met", False: "**not met**", None: ""}
    lines = ["| what | limit | measured | |", "|---|--:|--:|---|"]
    lines += [f"| {limit.what} | {limit.bound} | {limit.value} | {words[limit.met]} |" for limit in limits]
    return lines


def size_table(sizes):
    lines = ["| new layer, compressed by | size | pycull's layer, relative to this one |", "|---|--:|--:|"]
    for key, name in (("pycull", "pycull"), ("podman", "podman"), ("pigz", "`pigz -6`")):
        beside = "" if key == "pycull" else f"{(sizes['pycull'] / sizes[key] - 1) * 100:+.2f} %"
        lines.append(f"| {name} | {megabytes(sizes[key])} | {beside} |")
    return lines


def scaling_table(scaling):
    lines = ["| layer unpacked | caches removed | seconds | spread | peak memory |", "|--:|--:|--:|--:|--:|"]
    for point in scaling["points"]:
        size, peak = mebibytes(point["uncompressed_bytes"]), mebibytes(point["peak_bytes"])
        seconds = f"{point['median_seconds']:.2f} | {spread(point['seconds'])}"
        lines.append(f"| {size} | {point['caches']} | {seconds} | {peak} |")
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
    return [machine_line(results["machine"]), prose(f"{tools}.")]


def minimize_markdown(results, limits):
    """The section about the main job."""
    subject, scaling = results["subject"], results["scaling"]
    compressed, unpacked = megabytes(subject["compressed_bytes"]), megabytes(subject["uncompressed_bytes"])
    return "\n".join(
        [
            prose(
                "The image is Debian 12 with Python and pip.",
                f"It has one layer of {unpacked}, which podman compressed to {compressed}.",
                f"Seconds are the real time of whole processes, the median of {results['rounds']} rounds.",
                "Each round runs every command once.",
                "The second column divides the time of `pycull minimize` by the time of the command.",
                "Memory is the largest peak of any process of the command.",
            ),
            "",
            *command_table(results),
            "",
            *size_table(results["sizes"]),
            "",
            *limit_table(limits),
            "",
            prose(f"On layers of many sizes, made of the same files, `pycull minimize` takes {line_words(scaling)}."),
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


def compile_table(images):
    """One row for each command on each image, relative to compileall."""
    lines = ["| image | command | time ÷ compileall | seconds | spread |", "|---|---|--:|--:|--:|"]
    for image in images:
        compileall = next(row for row in image["commands"] if row["key"] == "compileall")["median_seconds"]
        name = image["image"]
        for row in image["commands"]:
            median = row["median_seconds"]
            share = "" if row["key"] == "compileall" else f"{median / compileall:.2f}"
            lines.append(f"| {name} | {row['title']} | {share} | {median:.2f} | {spread(row['seconds'])} |")
            name = ""
    return lines


def compile_markdown(results, limits):
    """The section about compiling."""
    counts = [
        f"* {image['image']}: {image['sources']} sources compile, and {image['failed']} do not. Both tools write "
        f"{image['caches']} caches with the same names."
        for image in results["images"]
    ]
    return "\n".join(
        [
            prose(
                "Both tools compile all three levels for real images (tests/images/build) without caches.",
                "The image's own interpreter runs compileall, by `chroot` in the unpacked image. "
                "compileall compiles the same directories as pycull.",
                f"Both tools have {results['workers']} workers and as many processors.",
                f"Seconds are real time, the median of {results['rounds']} rounds.",
                "Each round runs every command once.",
            ),
            "",
            *compile_table(results["images"]),
            "",
            prose(
                "The whole pycull commands also read the image and write the new layer. compileall does neither.",
                "The compile stage (benches/compile.rs) is everything between reading and writing.",
                "pycull finds, unpacks and starts the interpreter, reads the sources again, compiles them, makes the "
                "bytecode canonical, stores it, and makes the plan.",
            ),
            "",
            *counts,
            "",
            *limit_table(limits),
            "",
            machine_line(results["machine"]),
        ]
    )


def import_table(images, kind, unit, factor):
    """One row for each Python: with caches and without, and the ratio at each level."""
    lines = [
        f"| Python | with caches ({unit}) | without caches ({unit}) | ratio | ratio with `-O` | ratio with `-OO` |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for image in images:
        first = image[kind][0]
        ratios = " | ".join(f"{row['ratio']:.1f}" for row in image[kind])
        cached, bare = (f"{first[key] * factor:.2f}" for key in ("cached", "bare"))
        lines.append(f"| {image['python']} | {cached} | {bare} | {ratios} |")
    return lines


def import_markdown(results, limits):
    """The section about imports."""
    images, repeats = results["images"], results["repeats"]
    modules = ", ".join(f"`{module}`" for module in results["modules"])
    return "\n".join(
        [
            prose(
                "`pycull bench` measured real images (tests/images/build).",
                "Each image's own interpreter imports modules, with caches for everything that it needs, and without "
                "caches.",
                f"Times are real time, the median of {results['rounds']} rounds.",
                "A ratio divides the time without caches by the time with caches.",
            ),
            "",
            prose(
                f"One reload of `{images[0]['module']}`: the time of {repeats} reloads, divided by {repeats}.",
                "Fedora measured this for its change proposal “Python: Optional Bytecode Cache”.",
            ),
            "",
            *import_table(images, "reload", "ms", 1000 / repeats),
            "",
            prose(f"A start of the interpreter with imports of {modules}:"),
            "",
            *import_table(images, "import", "ms", 1000),
            "",
            *limit_table(limits),
            "",
            machine_line(results["machine"]),
        ]
    )


def page_markdown(results, limits):
    """The section about the page."""
    return "\n".join(
        [
            prose(
                "Headless Chromium opens the page of `pycull inspect --format html` for an image of "
                f"{results['files']} files. The size of the page is {results['bytes'] / 1e6:.1f} MB.",
                "Times come from Chromium's own performance entries. They are the median of "
                f"{results['rounds']} rounds with five clicks each.",
            ),
            "",
            *limit_table(limits),
            "",
            machine_line(results["machine"]),
        ]
    )


def growth_table(measured, what):
    """One row for each number of something, with what each command takes for it."""
    lines = [f"| {what} | inspect | minimize | verify |", "|--:|--:|--:|--:|"]
    for points in zip(*(measured[key]["points"] for key in ("inspect", "minimize", "verify"))):
        cells = (f"{point['median_seconds']:.2f} s, {mebibytes(point['peak_bytes'])}" for point in points)
        lines.append(f"| {points[0]['count']:,} | {' | '.join(cells)} |")
    return lines


def growth_markdown(results, limits):
    """The section about images with many members and layers."""
    lines = [
        prose(
            "The images have empty modules, a hundred in a directory, and one cache in each directory.",
            "Images with many members have one layer. Images with many layers have a thousand members in each layer.",
            f"Times are the real time of whole processes, the median of {results['rounds']} rounds.",
            "Memory is the largest peak. `verify` reads two images.",
        ),
        "",
    ]
    for what in ("members", "layers"):
        for quantity in ("time", "memory"):
            lines += [f"![{quantity.capitalize()} over {what}]({growth_plot_name(what, quantity)})", ""]
        lines += [*growth_table(results[what], what), ""]
    return "\n".join([*lines, *limit_table(limits), "", machine_line(results["machine"])])


def growth_plot_name(what, quantity):
    return f"performance-{what}-{quantity}.svg"


def growth_plots(results):
    """The pictures of `minimize` over members and layers, by file name."""
    pictures = {}
    for what, unit, label, step in (("members", 1e6, "members (million)", 0.5), ("layers", 1, "layers", 100)):
        measured = results[what]["minimize"]
        points = [(point["count"] / unit, point) for point in measured["points"]]
        times = [(x, it["median_seconds"], min(it["seconds"]), max(it["seconds"])) for x, it in points]
        peaks = [(x, it["peak_bytes"] / 2**20) for x, it in points]
        for quantity, axis, values, factor in (
            ("time", "real time (s)", times, 1),
            ("memory", "peak resident memory (MiB)", peaks, 2**20),
        ):
            line = measured[quantity]
            words = f"R² {line['r_squared']:.4f}"
            if (what, quantity) == ("members", "memory"):
                words += f", {line['slope']:.0f} bytes a member"
            fitted = (line["slope"] * unit / factor, line["intercept"] / factor, words)
            title = f"pycull minimize --profile minimal: {quantity} over {what}"
            pictures[growth_plot_name(what, quantity)] = svg(Plot(title, label, axis, values, step, line=fitted))
    return pictures


def registry_table(rows, first):
    """One row for each command. The second column divides the time of the first command by the time of the command."""
    one = next(row for row in rows if row["key"] == first)["median_seconds"]
    lines = ["| command | `docker://` ÷ command | seconds | spread | peak memory |", "|---|--:|--:|--:|--:|"]
    for row in rows:
        share = "" if row["key"] == first else f"{one / row['median_seconds']:.2f}"
        figures = f"{row['median_seconds']:.2f} | {spread(row['seconds'])} | {mebibytes(row['peak_bytes'])}"
        lines.append(f"| {row['title']} | {share} | {figures} |")
    return lines


def registry_markdown(results, limits):
    """The section about images that go from a registry to a registry."""
    old, new = megabytes(results["compressed_bytes"]), megabytes(results["new_bytes"])
    rate = results["bytes_a_second"] / 1e6
    seconds = {row["key"]: row["median_seconds"] for row in results["fast"]}
    return "\n".join(
        [
            prose(
                f"The image has one layer of {old}, made of the files of Debian 12 with Python.",
                f"`pycull minimize --profile minimal` turns it into a layer of {new}.",
                "The registry is Debian's docker-registry on this machine, with an empty repository for each run.",
                f"Seconds are real time, the median of {results['rounds']} rounds.",
                "Each round runs every command once.",
            ),
            "",
            *registry_table(results["fast"], "registry"),
            "",
            prose(
                f"`minimize` between files takes {seconds['files'] / seconds['skopeo'] * 100:.0f} % of the time of the "
                "last command. The two copies by skopeo take the rest."
            ),
            "",
            prose(f"The same measurement through a network that carries {rate:.0f} MB a second in each direction:"),
            "",
            *registry_table(results["slow"], "slow"),
            "",
            *limit_table(limits),
            "",
            *machine_lines(results),
        ]
    )


MARKDOWN = {
    "minimize": minimize_markdown,
    "compile": compile_markdown,
    "imports": import_markdown,
    "page": page_markdown,
    "growth": growth_markdown,
    "registry": registry_markdown,
}
"""The text of each part, by its results and limits."""


PLOTS = {"minimize": lambda results: plots(results["scaling"]), "growth": growth_plots}
"""The pictures of each part that has some, by its results."""


def with_section(text, part):
    """The page with an empty section for a part, after the other parts'."""
    before, end, after = text.rpartition(END)
    return f"{before}{end}\n\n{HEADINGS[part]}\n\n{BEGINS[part]}\n\n{END}{after}"


def write(part, results, limits, directory):
    """Write a part of performance.md between its marks, and the plots beside it."""
    page = directory / "performance.md"
    text = page.read_text()
    if part in HEADINGS and END in text and BEGINS[part] not in text:
        text = with_section(text, part)
    before, begin, rest = text.partition(BEGINS[part])
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} has no lines `{BEGINS[part]}` and `{END}` to write between")
    page.write_text(f"{before}{begin}\n\n{MARKDOWN[part](results, limits)}\n\n{END}{after}")
    pictures = PLOTS[part](results) if part in PLOTS else {}
    for name, picture in pictures.items():
        (directory / name).write_text(picture)
