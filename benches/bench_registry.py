"""An image from a registry to a registry, beside files, beside skopeo, and through a slow network."""
import contextlib
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import bench_images
import bench_layers
import bench_measure
import bench_tools
from bench_limits import LARGEST
from bench_measure import Command, row, say
from bench_tools import BENCH, q

MEBIBYTES = 704
"""Size of the layer, unpacked. Compressed it has about 250 MB."""
LARGE_MEBIBYTES = LARGEST
"""Size of the layer for which memory has a limit, unpacked."""
BYTES_A_SECOND = 50_000_000
"""What the slow network carries in each direction."""
THROTTLE = pathlib.Path(__file__).with_name("bench_throttle.py")
CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "{address}"}}
"""


def free_address():
    """An address on this machine that nothing listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@contextlib.contextmanager
def running(arguments, address):
    """A server that ends with the block."""
    # A registry writes every blob that it lacks into its log.
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(arguments, **quiet) as server:
        try:
            host, port = address.split(":")
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
                    break
                time.sleep(0.1)
            else:
                raise SystemExit(f"nothing listens at {address}: {arguments[0]} did not start")
            yield address
        finally:
            server.terminate()


@contextlib.contextmanager
def registry(directory):
    """The address of a registry with its files in a directory."""
    address = free_address()
    config = directory / "registry.yml"
    config.write_text(CONFIG.format(root=directory / "registry-files", address=address))
    with running(["docker-registry", "serve", config], address):
        yield address


@contextlib.contextmanager
def slow_network(upstream):
    """The address of a proxy that passes bytes on slowly."""
    address = free_address()
    with running([sys.executable, THROTTLE, address, upstream, str(BYTES_A_SECOND)], address):
        yield address


def skopeo_copy(source, target):
    return f"skopeo copy --quiet --src-tls-verify=false --dest-tls-verify=false {source} {target}"


def push(image, address, name):
    """Put an image into a registry."""
    bench_measure.must(["bash", "-c", skopeo_copy(q(f"oci:{image.layout}:latest"), f"docker://{address}/{name}")])


def new_name(address):
    """A repository that is new in each run, so that the registry has none of its blobs."""
    return f"docker://{address}/new-$(date +%s%N):small"


def minimize(pycull, source, output):
    return f"{q(pycull)} minimize {source} --profile minimal --output {output}"


def commands(pycull, layout, address):
    """The same job on files, in a registry, and in a registry with skopeo's help."""
    remote = f"docker://{address}/app:v1"
    there_and_back = "\n".join(
        [
            skopeo_copy(remote, "oci:{scratch}/old:v1"),
            minimize(pycull, "oci:{scratch}/old:v1", "oci:{scratch}/new:v1"),
            skopeo_copy("oci:{scratch}/new:v1", new_name(address)),
        ]
    )
    return [
        Command("files", "`pycull minimize` of a layout to a layout", minimize(pycull, q(f"oci:{layout}"), "oci:{scratch}/out")),
        Command("registry", "`pycull minimize` of `docker://` to `docker://`", minimize(pycull, remote, new_name(address))),
        Command("skopeo", "`skopeo copy`, `pycull minimize` of a layout, `skopeo copy`", there_and_back),
    ]


def slow_commands(pycull, image, small, network):
    """The job through the slow network, and the transfer of the old and the new layer alone."""
    old = image.manifest()["layers"][0]["digest"]
    new = small.manifest()["layers"][0]["digest"]
    curl = "curl --fail --silent --show-error"
    transfer = "\n".join(
        [
            f"{curl} --output /dev/null http://{network}/v2/app/blobs/{old}",
            f"there=http://{network}/v2/new-$(date +%s%N)/blobs/uploads/",
            # The registry answers with a place for the blob.
            f"place=$({curl} --request POST --output /dev/null --write-out '%header{{{{location}}}}' $there)",
            f"{curl} --header 'Content-Type: application/octet-stream' --upload-file {q(small.layer)} \"$place&digest={new}\"",
        ]
    )
    return [
        Command("slow", "`pycull minimize` of `docker://` to `docker://`", minimize(pycull, f"docker://{network}/app:v1", new_name(network))),
        Command("transfer", "`curl`: download the old layer, upload the new layer", transfer),
    ]


def measure_memory(pycull, subject, scratch):
    """Peak memory in bytes for a very large layer from and to a registry."""
    say(f"a layer of {LARGE_MEBIBYTES} MiB")
    image = bench_layers.build_layer(BENCH / "layers", subject, LARGE_MEBIBYTES)
    with tempfile.TemporaryDirectory(dir=scratch) as own, registry(pathlib.Path(own)) as address:
        push(image, address, "app:v1")
        command = Command("large", "a large layer", minimize(pycull, f"docker://{address}/app:v1", new_name(address)))
        result = bench_measure.measure([command], 1, scratch)["large"]
    return {"compressed_bytes": image.layer.stat().st_size, "peak_bytes": result.peak_bytes}


def measure(pycull, chosen, scratch):
    """The results of a run of this part."""
    say("the image")
    subject = bench_images.build_subject(BENCH / "subject")
    image = bench_layers.build_layer(BENCH / "layers", subject, 64 if chosen.quick else MEBIBYTES)
    small = bench_images.Image(scratch / "small")
    bench_measure.must(["bash", "-c", minimize(pycull, q(f"oci:{image.layout}"), q(f"oci:{small.layout}"))])
    with registry(scratch) as address, slow_network(address) as network:
        push(image, address, "app:v1")
        fast = commands(pycull, image.layout, address)
        slow = slow_commands(pycull, image, small, network)
        results = bench_measure.measure(fast + slow, chosen.rounds, scratch)
    return {
        "versions": bench_tools.versions(pycull, "registry"),
        "compressed_bytes": image.layer.stat().st_size,
        "new_bytes": small.layer.stat().st_size,
        "bytes_a_second": BYTES_A_SECOND,
        "fast": [row(command, results[command.key]) for command in fast],
        "slow": [row(command, results[command.key]) for command in slow],
        "large": None if chosen.quick else measure_memory(pycull, subject, scratch),
    }
