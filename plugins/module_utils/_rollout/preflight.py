# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked before anything stops: a candidate that cannot start must not cost the release that serves.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace

from .._docker import hardening
from .._docker.client import DockerError
from .._docker.release import Release
from .._engine.expect import Question, expectation
from .._engine.json_fit import unusable
from .._outside.documents import Json
from .._settings.rollout import Settings
from .._state import named_files as files
from .._state.deadlines import timeout
from .._state.state import Entry, State
from .._state.store import Store
from . import containers
from . import image as images
from .belongings import key_is_readable
from .failure import Refused, rejected_before
from .host import MIB, Host
from .journal import Journal
from .parser import must_parse
from .stages import Stage

# State, stages, and the newest logs of failed engines, some of which are long.
STATE_MIB = 64


def preflight(
    host: Host, store: Store, journal: Journal, state: State, candidate: Entry, retry: bool, must_keep: bool = True
) -> Entry:
    """The candidate with its image's id. Raises Refused; nothing was touched.

    Unless the state `must_keep` what becomes of it, a disk that does not take it is only noted.
    """
    journal.stage(Stage.PREFLIGHT, f"release {candidate.short}")
    release = candidate.release
    if hardening.schema_of(release) not in hardening.SCHEMAS:
        raise Refused(**hardening.unknown(release).as_dict())
    _question_can_be_asked(candidate)
    try:
        _state_can_be_kept(host, store)
    except Refused as refusal:
        if must_keep:
            raise
        journal.note(f"going on, although {refusal.diagnosis.cause}")
    try:
        host.check_model(release)
        _files_are_there(candidate)
        running = _ours_or_free(host, state, release)
        _port_is_free(host, release, running)
        _address_is_ours(host, release)
        candidate = _with_image(host, store, journal, candidate)
        if not candidate.verified_at:
            must_parse(host, journal, candidate, _beside(store, "parsers.json"))
    except DockerError as error:
        raise Refused("docker.away", str(error), "Look at docker.service on the host.") from error
    rejection = state.rejection_of(candidate)
    if rejection is not None and not retry:
        diagnosis = rejected_before(candidate.digest, rejection)
        raise Refused(diagnosis.failure_class, diagnosis.cause, diagnosis.advice)
    return candidate


def _files_are_there(candidate: Entry) -> None:
    """What was verified is started with its folders as they are by now: there is nothing better to go back to."""
    problem = (files.missing if candidate.verified_at else files.changed)(candidate.release)
    if problem is not None:
        raise Refused(**problem.as_dict())
    if not candidate.verified_at:
        adapters_are_there(candidate, {})


def adapters_are_there(candidate: Entry, loaded: Settings) -> None:
    """What is loaded later has the content that was planned with, unless it is loaded already. Raises Refused."""
    problem = files.changed_adapters(candidate.release, candidate.settings, loaded)
    if problem is not None:
        raise Refused(**problem.as_dict())


def _with_image(host: Host, store: Store, journal: Journal, candidate: Entry) -> Entry:
    """The candidate with the id of its image; a kept container has the image that it was made from."""
    kept = host.docker.container(candidate.container_id) if candidate.container_id else None
    if kept is not None:
        key_is_readable(host, candidate.release, kept)
        return candidate
    image = images.again(host, candidate, journal) if candidate.verified_at else None
    if image is None:
        image = images.present(host, candidate.release["image"], journal, timeout(candidate, "pull"))
    version = images.version_of(host.docker, image["Id"], _beside(store, "images.json"))
    images.must_agree(image, candidate.release, version)
    key_is_readable(host, candidate.release, image)
    digest = images.digest_of(image, candidate.release["image"])
    return replace(candidate, image_id=image["Id"], image_digest=digest or candidate.image_digest)


def _beside(store: Store, name: str) -> str:
    """A file that the instances of the host share."""
    return os.path.join(os.path.dirname(store.folder), name)


def _state_can_be_kept(host: Host, store: Store) -> None:
    try:
        store.try_writing()
        free = host.free_mib(store.folder)
        if free < STATE_MIB <= free + store.diagnoses.size() // MIB:
            while free < STATE_MIB and store.diagnoses.free():
                free = host.free_mib(store.folder)
    except OSError as error:
        cause = f"{store.folder} cannot be written: {error.strerror}"
        raise Refused("state.unwritable", cause, "Make it writable, and make room there.") from error
    if free < STATE_MIB:
        raise Refused("disk.full", f"{store.folder} has {free} MiB free, {STATE_MIB} are needed", "Make room there.")


def _question_can_be_asked(candidate: Entry) -> None:
    try:
        expected = expectation(candidate.release, candidate.settings)
        for question in (expected.question, *(check.question for check in expected.checks)):
            _can_be_judged(question)
    except (re.error, TypeError, ValueError) as error:
        advice = "Correct the instance's `smoke`."
        raise Refused("smoke.question", f"`smoke` cannot be asked: {error}", advice) from error


def _can_be_judged(question: Question) -> None:
    re.compile(question.pattern)
    problem = unusable(question.json_schema, "json_schema") if question.json_schema is not None else ""
    if problem:
        raise ValueError(problem)


def _ours_or_free(host: Host, state: State, release: Release) -> Json | None:
    """The container that has the instance's name now, if any; refuses one of somebody else under any of its names."""
    foreign = containers.foreign(host.docker, state)
    if foreign:
        raise Refused(
            "container.foreign",
            f"a container {' and a container '.join(foreign)} exists that is not ours",
            "Remove or rename it, or give the instance another name.",
        )
    return host.docker.container(release["container"]["name"])


def _address_is_ours(host: Host, release: Release) -> None:
    if not host.binds(release["bind"]):
        raise Refused(
            "bind.address",
            f"{release['bind']} is no address of the host",
            "Set the instance's `bind` to one that `ip address` shows, or to 127.0.0.1.",
        )


def _port_is_free(host: Host, release: Release, running: Json | None) -> None:
    serves = running is not None and running["State"]["Running"]
    bindings = running["HostConfig"].get("PortBindings") or {} if running is not None and serves else {}
    ours = {binding["HostPort"] for bound in bindings.values() for binding in bound or []}
    if release["port"] in host.ports() and str(release["port"]) not in ours:
        raise Refused(
            "port.busy",
            f"port {release['port']} is taken by another process on the host",
            "Choose another port for the instance, or stop what holds this one (`ss -ltnp`).",
        )
