"""pycull's main job beside other tools, and its growth with the size of a layer."""
import json
import tempfile

import bench_images
import bench_layers
import bench_measure
import bench_tools
from bench_measure import row, say
from bench_tools import BENCH

SIZES = (16, 32, 64, 128, 256, 512, 1024, 2048)


def output_of_pycull(pycull, *arguments):
    """The one image of pycull's report, as JSON."""
    report = json.loads(bench_measure.must([pycull, *arguments, "--format", "json"]))
    (image,) = report["images"]
    return image


def measure_tools(pycull, subject, rounds, scratch):
    """Every command on the subject."""
    with bench_images.store("buildah", scratch) as buildah:
        bench_measure.must([*buildah, "pull", "--quiet", f"oci:{subject.layout}:latest"])
        commands = bench_tools.commands(pycull, subject, buildah)
        results = bench_measure.measure(commands, rounds, scratch)
    return [row(command, results[command.key]) for command in commands]


def measure_sizes(pycull, subject, scratch):
    """The size in bytes of pycull's new layer, and of the same archive compressed by other tools."""
    minimize = [pycull, "minimize", f"oci:{subject.layout}", "--profile", "minimal"]
    bench_measure.must([*minimize, "--output", f"oci:{scratch}/small"])
    layer, tar = bench_images.Image(scratch / "small").layer, scratch / "small.tar"
    shell = ["bash", "-euc"]
    bench_measure.must([*shell, 'pigz -dc "$0" > "$1"; pigz -6 < "$1" > "$2"', layer, tar, scratch / "small.gz"])
    podman = bench_images.podman_image(tar, scratch / "podman", scratch)
    files = {"pycull": layer, "podman": podman.layer, "pigz": scratch / "small.gz"}
    return {name: path.stat().st_size for name, path in files.items()}


def removed_caches(pycull, layout, scratch):
    """How many caches `minimize` removes from an image: all that `inspect` finds, and at least one."""
    with tempfile.TemporaryDirectory(dir=scratch) as own:
        output = ("--output", f"oci:{own}/out")
        image = output_of_pycull(pycull, "minimize", f"oci:{layout}", "--profile", "minimal", *output)
        found, left = (
            sum(level["files"] for layer in seen["layers"] for level in layer["levels"].values())
            for seen in (output_of_pycull(pycull, "inspect", f"oci:{path}") for path in (layout, f"{own}/out"))
        )
    if found == 0 or left != 0 or image["removed"]["files"] != found:
        raise SystemExit(f"{layout} has {found} caches; pycull removed {image['removed']['files']} and left {left}")
    return {"caches": found, "cache_bytes": image["removed"]["bytes"], **image["before"]}


def measure_scaling(pycull, subject, chosen, scratch):
    """Time and memory of `minimize` over the layer's size, and the line through the times."""
    points = []
    for mebibytes in (size for size in SIZES if size <= 256 or not chosen.quick):
        say(f"a layer of {mebibytes} MiB")
        layout = bench_layers.build_layer(BENCH / "layers", subject, mebibytes).layout
        points.append({"mebibytes": mebibytes, "layout": layout, **removed_caches(pycull, layout, scratch)})
    commands = [bench_tools.minimize(pycull, point.pop("layout"), str(point["mebibytes"])) for point in points]
    for command, point in zip(commands, points):
        command.title += f" of {point['mebibytes']} MiB"
    results = bench_measure.measure(commands, chosen.rounds, scratch)
    for command, point in zip(commands, points):
        result = results[command.key]
        point |= {"seconds": result.seconds, "median_seconds": result.median, "peak_bytes": result.peak_bytes}
    line = [(point["uncompressed_bytes"] / 2**20, point["median_seconds"]) for point in points]
    slope, intercept, r_squared = bench_measure.fit(line)
    return {"points": points, "seconds_per_mebibyte": slope, "intercept_seconds": intercept, "r_squared": r_squared}


def measure(pycull, chosen, scratch):
    """The results of a run of this part."""
    say("the image")
    subject = bench_images.build_subject(BENCH / "subject")
    before = output_of_pycull(pycull, "inspect", f"oci:{subject.layout}")
    commands = measure_tools(pycull, subject, chosen.rounds, scratch)
    return {
        "versions": bench_tools.versions(pycull, "minimize"),
        "subject": {key: before[key] for key in ("compressed_bytes", "uncompressed_bytes")},
        "commands": commands,
        "notes": list(dict.fromkeys(row["note"] for row in commands if row["note"])),
        "sizes": measure_sizes(pycull, subject, scratch),
        "scaling": measure_scaling(pycull, subject, chosen, scratch),
        "least_peak_bytes": bench_measure.least_peak(scratch),
    }
