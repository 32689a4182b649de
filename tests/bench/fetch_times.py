# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a download of a model costs, beside curl and the hub's own client. Prints a table.

    python tests/bench/fetch_times.py [--size MIB] [--rounds N] [--client PYTHON ...]

A model of four large files and some small ones comes from the hub of the tests on this machine: by the program that
hosts get, by curl, by curl with `sha256sum` after it (which is what our program does besides), and by
`huggingface_hub` of each Python that --client names. Each comes three times: into an empty folder, after a SIGKILL when
half of the bytes had left the hub, and once more when everything is there. Rounds begin with another one each time, and
the median counts. Seconds and CPU are shares of curl's own first run in the same round, so that they say something on
another machine too; the CPU is that of the process and all its children, not the hub's. `twice` are bytes that left the
hub for the killed run and the one after it, beyond those of the model. What was brought is compared with the hub's, and
a file that is another one ends this.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import os
import pathlib
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.gpufleet.vllm.tests.fetches import kills
from ansible_collections.gpufleet.vllm.tests.hub.content import MIB, File
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub

RUNS = ("first", "resumed", "second")
AT_ONCE = 4
CURL = "curl"
REFUSED = 22
# Seconds after which a run counts as one that hangs.
LONGEST = 900.0
CLIENT = """
import sys
from huggingface_hub import snapshot_download
snapshot_download(sys.argv[1], cache_dir=sys.argv[2], max_workers=int(sys.argv[3]))
"""


class Wrong(Exception):
    """What cannot be measured, and why."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """`sent` are bytes of files and answers that left the hub, `asked` its requests."""

    seconds: float
    cpu: float
    sent: int
    asked: int
    twice: int = 0


class Mover(t.Protocol):
    """Downloads the model of a hub into a folder, which may hold some of it."""

    name: str

    def start(self, hub: Hub, folder: pathlib.Path) -> subprocess.Popen[bytes]: ...

    def place(self, folder: pathlib.Path, path: str) -> pathlib.Path:
        """Where a file of the model is then."""


class Ours:
    """The program that hosts get, in a process of its own."""

    name = "gpufleet.vllm"

    def __init__(self, program: pathlib.Path) -> None:
        self._program = program

    def start(self, hub: Hub, folder: pathlib.Path) -> subprocess.Popen[bytes]:
        return kills.Host(folder, self._program, hub).start()

    def place(self, folder: pathlib.Path, path: str) -> pathlib.Path:
        return next((folder / "hub").glob("models--*/snapshots/*")) / path


class Curl:
    """It is told the addresses, and whether the files are hashed afterwards."""

    def __init__(self, name: str, hashes: bool) -> None:
        self.name, self._hashes = name, hashes

    def start(self, hub: Hub, folder: pathlib.Path) -> subprocess.Popen[bytes]:
        words = [CURL, "--fail", "--silent", "--show-error", "--location", "--create-dirs", "--continue-at", "-"]
        words += ["--parallel", "--parallel-max", str(AT_ONCE)]
        paths = list(listed(hub))
        for path in paths:
            words += ["--output", str(folder / path), f"{hub.url}/{kills.MODEL}/resolve/main/{path}"]
        # What is whole already is refused with 416.
        command = f"{{ {shlex.join(words)} || [ $? -eq {REFUSED} ]; }}"
        if self._hashes:
            command += f" && cd {shlex.quote(str(folder))} && {shlex.join(['sha256sum', '--', *paths])}"
        return subprocess.Popen(["/bin/sh", "-c", command], stdout=subprocess.DEVNULL, **_APART)

    def place(self, folder: pathlib.Path, path: str) -> pathlib.Path:
        return folder / path


class Client:
    """`huggingface_hub` of another Python."""

    def __init__(self, python: str) -> None:
        self._python = python
        asked = "import huggingface_hub; print(huggingface_hub.__version__)"
        self.name = f"huggingface_hub {_said([python, '-c', asked])}"

    def start(self, hub: Hub, folder: pathlib.Path) -> subprocess.Popen[bytes]:
        # The hub of the tests has no Xet.
        told = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(folder / "home")}
        words = [self._python, "-c", CLIENT, kills.MODEL, str(folder / "cache"), str(AT_ONCE)]
        environment = {**os.environ, **told, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment, **_APART)

    def place(self, folder: pathlib.Path, path: str) -> pathlib.Path:
        return next((folder / "cache").glob("models--*/snapshots/*")) / path


_APART: t.Final[dict[str, t.Any]] = {"stderr": subprocess.PIPE, "start_new_session": True}


def _said(words: t.Sequence[str]) -> str:
    try:
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise Wrong(f"{shlex.join(words)} does not run: {error}") from error


def listed(hub: Hub) -> dict[str, File]:
    (commit,) = hub.models[kills.MODEL].commits.values()
    return commit


def measured(mover: Mover, hub: Hub, folder: pathlib.Path) -> Cost:
    """One run to its end. Raises Wrong where it fails."""
    hub.log.clear()
    began = time.monotonic()
    process = mover.start(hub, folder)
    with contextlib.suppress(ProcessLookupError), _killed_after(process, LONGEST):
        _pid, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    with t.cast("t.BinaryIO", process.stderr) as stream:
        said = stream.read().decode("utf-8", "replace")
    if process.returncode:
        raise Wrong(f"{mover.name} ended with {process.returncode}: {said.strip()[-2000:]}")
    return Cost(seconds, used.ru_utime + used.ru_stime, hub.sent(), len(hub.log))


@contextlib.contextmanager
def _killed_after(process: subprocess.Popen[bytes], seconds: float) -> t.Iterator[None]:
    """SIGALRM of this process, as wait4 takes no time limit."""

    def kill(_number: int, _frame: t.Any) -> None:
        process.kill()

    before = signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def cut_off(mover: Mover, hub: Hub, folder: pathlib.Path) -> int:
    """A run that is killed when half of the model has left the hub; how much had in the end."""
    hub.log.clear()
    half = sum(one.size for one in listed(hub).values()) // 2
    process = mover.start(hub, folder)
    while hub.sent() < half and process.poll() is None:
        time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError):
        # curl is a child of a shell; a mover of ours has no group of its own.
        os.killpg(process.pid, signal.SIGKILL) if os.getpgid(process.pid) == process.pid else process.kill()
    process.communicate(timeout=LONGEST)
    if process.returncode != -signal.SIGKILL:
        raise Wrong(f"{mover.name} ended before it could be killed: take a larger --size")
    return hub.sent()


def check(mover: Mover, hub: Hub, folder: pathlib.Path) -> None:
    """Raises Wrong where a file is not the hub's."""
    for path, file in listed(hub).items():
        with mover.place(folder, path).open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != file.sha256:
                raise Wrong(f"{mover.name} brought another {path} than the hub has")


def costs(mover: Mover, hub: Hub, place: pathlib.Path) -> dict[str, Cost]:
    """Of each of the runs. Raises Wrong."""
    total = sum(one.size for one in listed(hub).values())
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = pathlib.Path(name)
        first = measured(mover, hub, folder)
        second = measured(mover, hub, folder)
        check(mover, hub, folder)
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = pathlib.Path(name)
        before = cut_off(mover, hub, folder)
        resumed = measured(mover, hub, folder)
        check(mover, hub, folder)
    return {
        "first": first,
        "resumed": dataclasses.replace(resumed, twice=max(0, before + resumed.sent - total)),
        "second": second,
    }


Round = t.Mapping[str, t.Mapping[str, Cost]]


def table(rounds: t.Sequence[Round]) -> str:
    """Medians of all rounds, each as a share of curl's own first run in the same round."""
    rows = [
        "| run | by | sent (MiB) | twice (MiB) | requests | seconds (curl = 1) | CPU (curl = 1) |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in RUNS:
        for name in rounds[0]:
            of = [one[name][run] for one in rounds]
            bare = [one[CURL]["first"] for one in rounds]
            middle = statistics.median
            cells = [
                run,
                name,
                f"{middle(cost.sent for cost in of) / MIB:.1f}",
                f"{middle(cost.twice for cost in of) / MIB:.1f}",
                f"{middle(cost.asked for cost in of):.0f}",
                f"{middle(cost.seconds / by.seconds for cost, by in zip(of, bare, strict=True)):.2f}",
                f"{middle(cost.cpu / by.cpu for cost, by in zip(of, bare, strict=True)):.2f}",
            ]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, metavar="MIB", help="of the model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", action="append", default=[], metavar="PYTHON", help="one that has huggingface_hub")
    asked = parser.parse_args()
    rounds = []
    try:
        with tempfile.TemporaryDirectory(prefix="fetch-times") as name, Hub() as hub:
            place = pathlib.Path(name)
            hub.add(kills.MODEL, kills.files_of(asked.size * MIB))
            for file in listed(hub).values():
                _hashed_before = file.sha256
            movers: list[Mover] = [Curl(CURL, False), Curl("curl, sha256sum", True), Ours(kills.packed(place))]
            movers += [Client(python) for python in asked.client]
            for number in range(asked.rounds):
                order = movers[number % len(movers) :] + movers[: number % len(movers)]
                found = {mover.name: costs(mover, hub, place) for mover in order}
                rounds.append({mover.name: found[mover.name] for mover in movers})
                bare = found[CURL]["first"]
                sys.stderr.write(f"round {number + 1}: curl took {bare.seconds:.2f} s, {bare.cpu:.2f} s of CPU\n")
    except Wrong as error:
        raise SystemExit(str(error)) from error
    sys.stdout.write(f"{_said([CURL, '--version']).splitlines()[0]}\n{table(rounds)}\n")


if __name__ == "__main__":
    main()
