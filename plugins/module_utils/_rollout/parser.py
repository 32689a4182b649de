# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command put to the argument parser of its own image, before anything is stopped for it.

A schema knows the releases that it was made from; the image is the authority. Its answers are remembered.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import json

from .._diagnosis.diagnosis import diagnose
from .._docker import hardening
from .._docker.client import Docker, DockerError
from .._docker.container import STATED, device_requests, variables
from .._docker.release import Release
from .._outside.documents import Json
from .._state import image_answers as answers
from .._state.state import Entry
from . import probe
from .failure import Refused
from .host import Host
from .journal import Journal
from .stages import Stage

LIMIT = 180.0
REFUSED = 2  # how argparse ends a command line that it does not take
KEPT = 200
UNDERSTOOD = "gpufleet: understood"
# The modules in which releases keep their parser, newest first.
ASK = f"""
import importlib, sys

def found(modules, name):
    for module in modules:
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    sys.exit("no " + name + " in this vLLM")

makers = ("vllm.entrypoints.common.cli_args", "vllm.entrypoints.launchers.cli_args", "vllm.entrypoints.openai.cli_args")
parser = found(("vllm.utils.argparse_utils", "vllm.utils"), "FlexibleArgumentParser")(prog="vllm")
found(makers, "make_arg_parser")(parser).parse_args(sys.argv[1:])
print("{UNDERSTOOD}")
"""


def probe_body(entry: Entry, selinux: bool = False) -> Json:
    """A container that only parses: the release's devices and environment, no port, no network, no files."""
    release = entry.release
    return {
        "Image": entry.image_id,
        "Entrypoint": ["python3", "-c", ASK],
        "Cmd": _without_files(release),
        "Env": variables(release["env"], release["gpus"]),
        "NetworkDisabled": True,
        "HostConfig": {
            "NetworkMode": "none",
            "DeviceRequests": device_requests(release["gpus"]),
            **hardening.probe_options(release, selinux),
            **STATED,
        },
    }


def _without_files(release: Release) -> list[str]:
    """The command without the file that holds its API key: the parser would open it."""
    key = release.get("api_key")
    return [word for word in release["command"] if not key or word not in ("--config", key["path"])]


def must_parse(host: Host, journal: Journal, entry: Entry, cache: str) -> None:
    """Refuse a command that the image's parser does not take; one that cannot be asked is noted. Raises Refused."""
    if not entry.settings.get("ask_parser"):
        return
    known = answers.remembered(cache)
    question = hashlib.sha256(json.dumps([entry.image_id, entry.release["command"]]).encode()).hexdigest()
    if question not in known:
        journal.stage(Stage.PARSER, "asking the image's own")
        answer = _asked(host.docker, entry)
        if answer is None:
            journal.note("the image's parser cannot be asked, going on")
            return
        known = dict([*known.items(), (question, answer)][-KEPT:])
        answers.remember(cache, known)
    if known[question]:
        found = diagnose(known[question], REFUSED, release=entry.release)
        cause = f"the image's own parser does not take the command: {found.cause}"
        raise Refused(found.failure_class, cause, found.advice)


def _asked(docker: Docker, entry: Entry) -> str | None:
    """What the parser refuses, in its own words; '' where it takes all, None where it could not be asked."""
    name = f"gpufleet-parser-{entry.release['instance']}"
    try:
        selinux = hardening.has_selinux(docker.get("/info"))
        with probe.made(docker, name, probe_body(entry, selinux)) as container:
            docker.start(container)
            code, said = docker.wait(container, LIMIT), docker.logs(container)
    except DockerError:
        return None
    if code == 0 and UNDERSTOOD in said:
        return ""
    lines = [line.partition(" ")[2] for line in said.splitlines()]
    wrong = [line for line in lines if ": error: " in line]
    return wrong[-1] if code == REFUSED and wrong else None
