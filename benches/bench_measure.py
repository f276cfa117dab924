"""Run commands as whole processes, one after another, and measure their time and memory."""
import dataclasses
import os
import pathlib
import shlex
import shutil
import statistics
import subprocess
import sys

STARTER = pathlib.Path(__file__).with_name("bench_start.py")


@dataclasses.dataclass
class Command:
    """A command to measure. `{scratch}` in `run` is its own directory, which is empty when a round begins."""

    key: str
    title: str
    run: str  # a bash script; the measurement covers all of it
    prepare: str = ""  # a bash script before each run, not measured
    clean: str = ""  # a bash script after each run, not measured
    note: str = ""


@dataclasses.dataclass
class Result:
    """The seconds of each run of one command, and the largest peak of resident memory in bytes."""

    seconds: list
    peak_bytes: int

    @property
    def median(self):
        return statistics.median(self.seconds)


def row(command, result):
    """The entry of a command in the results."""
    values = {"key": command.key, "title": command.title, "note": command.note, "seconds": result.seconds}
    return values | {"median_seconds": result.median, "peak_bytes": result.peak_bytes}


def say(words):
    print(words, file=sys.stderr, flush=True)


def shell(script):
    """The arguments that run a script in bash. A lone command runs without a shell."""
    words = shlex.split(script)
    lone = not any(character in script for character in "|<>&;\n$*'\"")
    return words if lone else ["bash", "-euo", "pipefail", "-c", script]


def must(arguments, **keywords):
    """Run a command silently, without measuring it. Show its output if it fails."""
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **keywords)
    if done.returncode != 0:
        raise SystemExit(f"failed: {shlex.join(map(str, arguments))}\n{done.stdout}{done.stderr}")
    return done.stdout


def run_once(script, log):
    """Run a script once: the seconds of real time, and the peak memory in bytes of its largest process."""
    with open(log, "wb") as messages:
        # The starter is smaller without the site module.
        starter = [sys.executable, "-I", "-S", STARTER, *shell(script)]
        done = subprocess.run(starter, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=messages, check=False)
    # If the starter itself fails, it prints nothing.
    seconds, kibibytes, code = done.stdout.split() or (0, 0, done.returncode)
    if int(code) != 0:
        raise SystemExit(f"failed with {int(code)}: {script}\n{log.read_text(errors='replace')[-4000:]}")
    return float(seconds), int(kibibytes) * 1024


def least_peak(scratch):
    """The smallest peak memory that `run_once` can report, in bytes."""
    return run_once("true", scratch / "true.log")[1]


def measure(commands, rounds, scratch):
    """The result of each command by key. A round runs each command once, so that noise affects all commands alike."""
    results = {command.key: Result([], 0) for command in commands}
    for number in range(1, rounds + 1):
        for command in commands:
            own = scratch / command.key
            shutil.rmtree(own, ignore_errors=True)
            own.mkdir(parents=True)
            if command.prepare:
                must(["bash", "-euo", "pipefail", "-c", command.prepare.format(scratch=own)])
            # The disk must not write the data of earlier runs during this one.
            os.sync()
            seconds, peak = run_once(command.run.format(scratch=own), scratch / f"{command.key}.log")
            if command.clean:
                must(["bash", "-euo", "pipefail", "-c", command.clean.format(scratch=own)])
            shutil.rmtree(own)
            result = results[command.key]
            result.seconds.append(seconds)
            result.peak_bytes = max(result.peak_bytes, peak)
            say(f"round {number}/{rounds}  {seconds:8.2f} s  {peak / 2**20:7.0f} MiB  {command.title}")
    return results


def fit(points):
    """The least-squares line through (x, y) points: slope, intercept, and R²."""
    xs, ys = zip(*points)
    slope, intercept = statistics.linear_regression(xs, ys)
    mean = statistics.fmean(ys)
    residual = sum((y - intercept - slope * x) ** 2 for x, y in points)
    return slope, intercept, 1 - residual / sum((y - mean) ** 2 for y in ys)
