"""The commands that the benchmark compares with pycull, and the tools that they need."""
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess

from bench_measure import Command, must

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "target/bench"
TOOLS = BENCH / "tools"

# Tool, Debian's package, and the argument that prints its version.
DEBIAN_TOOLS = (
    ("buildah", "buildah", "--version"),
    ("curl", "curl", "--version"),
    ("docker-registry", "docker-registry", "--version"),
    ("libdeflate-gunzip", "libdeflate-tools", "-V"),
    ("mmdebstrap", "mmdebstrap", "--version"),
    ("openssl", "openssl", "version"),
    ("pigz", "pigz", "--version"),
    ("podman", "podman", "--version"),
    ("skopeo", "skopeo", "--version"),
    ("umoci", "umoci", "--version"),
)


TOOLS_OF = {
    "minimize": ("buildah", "libdeflate-gunzip", "mmdebstrap", "openssl", "pigz", "podman", "umoci"),
    "compile": ("umoci",),
    "registry": ("curl", "docker-registry", "mmdebstrap", "pigz", "podman", "skopeo"),
}
"""The tools that each part uses. These parts need root, as mmdebstrap, umoci, buildah's mount and chroot do."""


def docker_repack():
    """The path of docker-repack: the benchmark's own copy, or the user's."""
    return shutil.which(TOOLS / "bin/docker-repack") or shutil.which("docker-repack")


def problems_of_tools(tools):
    """An error message if some of Debian's tools with these names are missing."""
    packages = [package for tool, package, _ in DEBIAN_TOOLS if tool in tools and not shutil.which(tool)]
    if packages:
        yield f"tools are missing; install them with apt-get install {' '.join(packages)}"


def require(parts):
    """Stop if a tool that these parts use is missing, and say how to install it."""
    problems = []
    if os.geteuid() != 0 and not TOOLS_OF.keys().isdisjoint(parts):
        problems.append("needs root, as mmdebstrap, umoci, buildah's mount and chroot do")
    problems += problems_of_tools({tool for part in parts for tool in TOOLS_OF.get(part, ())})
    if "minimize" in parts and not docker_repack():
        problems.append(
            "docker-repack is missing; install it with apt-get install cmake g++ libssl-dev pkg-config && "
            f"cargo install --locked --root {TOOLS} docker-repack"
        )
    if problems:
        raise SystemExit("\n".join(f"benches/run: {problem}" for problem in problems))


def real_image(name):
    """The layout of an image that tests/images/build makes."""
    layout = pathlib.Path(os.environ.get("PYCULL_IMAGES", ROOT / "target/images")) / name
    if not layout.exists():
        raise SystemExit(f"benches/run: no image at {layout}; build it with tests/images/build {name}")
    return layout


def versions(pycull, part):
    """The name and version of each tool that a part uses."""
    found = {}
    commands = [(tool, [tool, option]) for tool, _, option in DEBIAN_TOOLS if tool in TOOLS_OF[part]]
    commands.append(("pycull", [pycull, "--version"]))
    if part == "minimize":
        commands.append(("docker-repack", [docker_repack(), "--version"]))
    for tool, command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        version = re.search(r"\d+(\.\d+)+\S*", done.stdout + done.stderr)
        found[tool] = version[0].rstrip(",") if version else "unknown"
    return dict(sorted(found.items()))


def machine():
    """The processor's model, the number of cores that this process may use, the memory in bytes, and the kernel."""
    model = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
    }


def minimize(pycull, layout, key="minimize"):
    """pycull's main job on one image."""
    title = "`pycull minimize --profile minimal`"
    run = f"{q(pycull)} minimize {q(f'oci:{layout}')} --profile minimal --output oci:{{scratch}}/out"
    return Command(key, title, run)


def commands(pycull, subject, buildah):
    """All commands that run on the subject, in the order of a round."""
    layout, layer = subject.layout, q(subject.layer)
    return [
        minimize(pycull, layout),
        Command("inspect", "`pycull inspect`", f"{q(pycull)} inspect {q(f'oci:{layout}')}"),
        Command(
            "floor-inflate",
            "`libdeflate-gunzip`: inflate the layer",
            f"libdeflate-gunzip -c < {layer} > /dev/null",
        ),
        # openssl hashes with the processor's SHA instructions. Debian 12's sha256sum does not, and would take several
        # times as long.
        Command(
            "floor",
            "`libdeflate-gunzip | openssl dgst -sha256`: inflate and hash the layer",
            f"libdeflate-gunzip -c < {layer} | openssl dgst -sha256",
        ),
        Command(
            "pigz",
            "`pigz -dc | pigz -6 -p2`: compress the layer again",
            f"pigz -dc {layer} | pigz -6 -p2 > {{scratch}}/out.gz",
            note="removes nothing. It shows the cost of compressing the whole layer again",
        ),
        umoci(layout),
        buildah_squash(buildah),
        Command(
            "docker-repack",
            "docker-repack",
            f"{q(docker_repack())} oci://{q(layout)} oci://{{scratch}}/out --target-size 50MB",
            note="removes no caches. It sorts all files into new layers of at most 50 MB, as its documentation's "
            "example does. It compresses them with zstd at level 14, its default",
        ),
    ]


def umoci(layout):
    """Unpack, delete, repack. `prepare` copies the image, because umoci writes into the layout that it reads."""
    return Command(
        "umoci",
        "umoci: unpack, delete, repack",
        "umoci unpack --image {scratch}/image:latest {scratch}/bundle\n"
        "find {scratch}/bundle/rootfs -name '*.pyc' -delete\n"
        "umoci repack --image {scratch}/image:small {scratch}/bundle",
        prepare=f"cp -r {q(layout)} {{scratch}}/image",
        note="adds a layer of whiteouts, so the image does not get smaller",
    )


def buildah_squash(buildah):
    """Mount, delete, commit as one layer, push to a layout. `buildah` is the tool with a store that holds the image."""
    tool = shlex.join(buildah)
    image = must([*buildah, "images", "--quiet", "--no-trunc"]).split()[0]
    return Command(
        "buildah",
        "buildah: mount, delete, commit --squash, push",
        f"container=$({tool} from --pull-never {image})\n"
        f"mounted=$({tool} mount $container)\n"
        "find $mounted -name '*.pyc' -delete\n"
        f"{tool} umount $container\n"
        f"{tool} commit --quiet --squash $container localhost/small:latest\n"
        f"{tool} push --quiet localhost/small:latest oci:{{scratch}}/out:latest",
        clean=f"{tool} rm --all; {tool} rmi localhost/small:latest",
        note="has the image in its store before the clock starts",
    )


def q(value):
    """A value as one word of a script that `str.format` fills in later."""
    return shlex.quote(str(value)).replace("{", "{{").replace("}", "}}")
