# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs a driver on a host, packages and files, or leaves the host as it was.

What can fail without touching anything comes first: space, names, what would have to go, the download. What fails after
that is rolled back: packages that were added go, versions that changed come back, and so do files.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass

from .._gpu.ownership import is_driver
from .._gpu.prepared import STAMP
from .._outside import documents
from .._outside.documents import Json
from .._prepare.files import Files, NotWritten
from .._prepare.managers import Apt, Dnf, Failed, Manager, Run, told

# MiB that have to be free: libraries, kernel headers, a build with DKMS, and the packages themselves.
ROOM: t.Final = {"/usr": 1500, "/var": 1500}


class Refused(Exception):
    """The driver was not installed; the text says why, what to change, and what is there now."""


@dataclass(frozen=True)
class Ports:
    """The host: status and output of a command, files, free MiB at a path, whether a kernel has the module.

    `build_log` holds DKMS's last words.
    """

    run: Run
    files: Files
    free_mib: t.Callable[[str], int]
    has_module: t.Callable[[str], bool]
    build_log: t.Callable[[], str]


def carry_out(params: Json, ports: Ports, check_mode: bool) -> Json:
    """Install, write and hold what the parameters ask for. Raises Refused."""
    manager: Manager = Apt(ports.run, params["lock_timeout"]) if params["manager"] == "apt" else Dnf(ports.run)
    try:
        before = manager.installed()
    except Failed as error:
        raise Refused(f"The driver was not installed: {error}. Nothing was changed.") from error
    names = [*params["headers"], *params["packages"]]
    absent = [name for name in (*params["first"], *names) if name not in before]
    rebuilt = params["dkms"] and not ports.has_module(params["kernel"])
    due = bool(names) and (bool(absent) or rebuilt or params["changes"])
    try:
        written = ports.files.differing(_wanted(params, ports.files))
        if check_mode:
            return {"changed": due or bool(written), "packages": absent, "paths": list(written)}
        previous = ports.files.put(written)
    except NotWritten as error:
        raise Refused(f"The driver was not installed: {error}. Nothing was changed.") from error
    if due:
        try:
            _install(params, names, before, manager, ports)
        except Refused:
            ports.files.restore(previous)
            raise
    try:
        after = manager.installed()
        held, stamped = _settle(params, after, manager, ports.files)
    except (Failed, NotWritten) as error:
        raise Refused(f"The driver is installed, and not all of it is in place: {error}. Run this again.") from error
    changed = sorted(name for name, version in after.items() if before.get(name) != version)
    paths = [*written, *stamped]
    return {"changed": bool(changed or paths) or held, "packages": changed, "paths": paths}


def _settle(params: Json, after: t.Mapping[str, str], manager: Manager, files: Files) -> tuple[bool, list[str]]:
    """Holds its packages and leaves the stamp: whether that held any, and paths that were written."""
    kept = [name for name in after if is_driver(name) or name in params["hold_too"]] if params["hold"] else []
    held = manager.hold(kept)
    stamped = files.differing(_stamp(params))
    files.put(stamped)
    return held, list(stamped)


def _wanted(params: Json, files: Files) -> dict[str, bytes | None]:
    """The files that are asked for; those that an earlier run left and nobody wants any more go."""
    wanted: dict[str, bytes | None] = {path: text.encode() for path, text in params["files"].items()}
    if not params["digest"]:
        return wanted
    try:
        earlier = documents.parse((files.read(f"/{STAMP}") or b"{}").decode("utf-8", "replace"))["files"]
    except (ValueError, KeyError, TypeError):
        earlier = {}
    return {**dict.fromkeys(path for path in earlier if path not in wanted), **wanted}


def _stamp(params: Json) -> dict[str, bytes | None]:
    """What gpu_facts compares with the next plan."""
    if not params["digest"]:
        return {}
    files = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in sorted(params["files"].items())}
    return {f"/{STAMP}": (json.dumps({"digest": params["digest"], "files": files}, indent=2) + "\n").encode()}


def _install(params: Json, names: t.Sequence[str], before: t.Mapping[str, str], manager: Manager, ports: Ports) -> None:
    for path, needed in ROOM.items():
        free = ports.free_mib(path)
        if free < needed:
            raise Refused(
                f"{path} has {free} MiB free, and a driver takes up to {needed}: nothing was changed. Make room there, "
                "and run "
                "this again."
            )
    try:
        for command in params["preparations"]:
            told(ports.run, command)
        if params["first"]:
            manager.install(params["first"])
        manager.lock(params["locks"])
        gone = [name for name in manager.removes(names) if not is_driver(name)]
        if gone:
            raise Failed(f"{', '.join(gone)} would have to be removed for it, which nobody asked for")
        manager.download(names)
    except Failed as error:
        raise _refused("The driver cannot be installed", error, _back(manager, before), _hint(params, error)) from error
    try:
        manager.install(names)
    except Failed as error:
        reason = (
            _build_failed(params["kernel"], ports) if params["dkms"] and not ports.has_module(params["kernel"]) else ""
        )
        raise _refused("The driver was not installed", error, _back(manager, before), reason) from error
    if params["dkms"]:
        _build(params["kernel"], before, manager, ports)


def _hint(params: Json, error: Failed) -> str:
    """What to do where the archive has no headers for the kernel."""
    if not any(name in str(error) for name in params["headers"]):
        return ""
    kernel = params["kernel"]
    return f" Kernel {kernel} boots next, and its headers cannot be had: install one of the distribution's and boot it."


def _build(kernel: str, before: t.Mapping[str, str], manager: Manager, ports: Ports) -> None:
    """The module has to be there for the kernel that boots next, or the host would come up without its GPUs."""
    if ports.has_module(kernel):
        return
    ports.run(["dkms", "autoinstall", "-k", kernel])
    if not ports.has_module(kernel):
        reason = _build_failed(kernel, ports)
        raise _refused(
            "The driver was not installed", Failed("DKMS has built no module"), _back(manager, before), reason
        )


def _build_failed(kernel: str, ports: Ports) -> str:
    said = ports.build_log()
    return (
        f" There is no module for kernel {kernel}, which boots next. {f'The build says: {said} ' if said else ''}See "
        "that its "
        "headers are installed and that the compiler is the kernel's."
    )


def _back(manager: Manager, before: t.Mapping[str, str]) -> str:
    """Roll back what was begun; what is there now, in a sentence."""
    try:
        manager.roll_back(dict(before))
    except Failed as error:
        return f"It could not be rolled back altogether ({error}): see dpkg --audit or dnf history."
    return "The host is as it was."


def _refused(what: str, error: Failed, now: str, reason: str = "") -> Refused:
    return Refused(f"{what}: {str(error).rstrip('.')}.{reason} {now}")
