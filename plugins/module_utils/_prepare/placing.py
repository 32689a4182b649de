# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a package repository in place on a host, or leaves everything as it was.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import time
import typing as t

from .._outside.documents import Json
from . import apt, openpgp
from .files import Files, NotProved, NotWritten
from .repository import Apt, Pin, Repository, Yum, absent, proof


class Refused(Exception):
    """The repository cannot be put in place; the text says why and what to change."""


class Offer(t.NamedTuple):
    """A file of the host's own that offers a repository, and the key that it names; None where it names none."""

    path: str
    key: bytes | None


class Ports(t.NamedTuple):
    """The host: its files, status and output of a command, what a URL holds, a pause in seconds, and which other files
    offer a repository of apt."""

    files: Files
    run: t.Callable[[list[str]], tuple[int, str]]
    fetch: t.Callable[[str], bytes]
    sleep: t.Callable[[float], None] = time.sleep
    offers: t.Callable[[Apt], list[Offer]] = lambda of: []


def repository(params: Json) -> Repository:
    """The repository that the parameters describe."""
    if params["yum"] is not None:
        yum = params["yum"]
        return Yum(name=params["name"], **{**yum, "include_packages": tuple(yum["include_packages"])})
    stated = params["apt"]
    pins = tuple(Pin(tuple(pin["packages"]), pin["pin"], pin["priority"]) for pin in stated["pins"])
    return Apt(name=params["name"], pins=pins, **{key: tuple(stated[key]) for key in stated if key != "pins"})


def mistakes(params: Json, of: Repository) -> list[str]:
    """What is wrong with the parameters, a sentence each."""
    wrong = of.mistakes()
    if not params["fingerprints"]:
        wrong.append("fingerprints is empty: state the fingerprint that the key has to have.")
    for fingerprint in params["fingerprints"]:
        try:
            openpgp.normalised(fingerprint)
        except openpgp.BadKey as error:
            wrong.append(f"{error}.")
    return wrong


def key_of(params: Json, of: Repository, ports: Ports) -> bytes:
    """The key, checked: the one that is given, else the host's own if it is right, else the one that is fetched."""
    name, expected = params["name"], params["fingerprints"]
    present = ports.files.read(of.key_path)
    if params["key"]:
        source, data = "that is given", params["key"].encode()
    elif present and _is(present, expected):
        return openpgp.expected_only(present, expected)
    elif params["key_url"]:
        source, data = f"at {params['key_url']}", ports.fetch(params["key_url"])
    else:
        raise Refused(f"Repository {name} has no key on the host: give key or key_url.")
    try:
        return openpgp.expected_only(data, expected)
    except openpgp.BadKey as error:
        raise Refused(
            f"The key of repository {name} {source} cannot be trusted: {error}. Nothing was changed. If the key was "
            "replaced by whoever signs the repository, look its fingerprint up and correct fingerprints."
        ) from error


def _is(data: bytes, expected: list[str]) -> bool:
    try:
        return bool(openpgp.expected_only(data, expected))
    except openpgp.BadKey:
        return False


def proved(of: Repository, ports: Ports, lock_timeout: int) -> str:
    """What is wrong with the repository once its files are in place; empty where it can be used."""
    run = apt.patient(ports.run, lock_timeout, ports.sleep)
    for command in proof(of):
        status, said = run(command)
        if status:
            return apt.telling(said, warnings=True)
    return ""


def carry_out(params: Json, ports: Ports, check_mode: bool) -> Json:
    """Do what the parameters ask, and return the result of the module. Raises Refused, with nothing changed."""
    of = repository(params)
    wanted: dict[str, bytes | None] = dict.fromkeys(params["replaces"])
    if params["state"] == "absent":
        wanted.update(absent(of))
    else:
        wrong = mistakes(params, of)
        if wrong:
            raise Refused(" ".join(wrong))
        wanted.update(_of_the_host(params, of, ports) or of.files(key_of(params, of, ports)))
    try:
        due = ports.files.differing(wanted)
        result = {"changed": bool(due), "paths": list(due), "diff": [_diff(path, due, ports.files) for path in due]}
        if not due or check_mode:
            return result
        if params["state"] == "absent":
            ports.files.put(due)
        else:
            ports.files.put_proved(due, lambda: proved(of, ports, params["lock_timeout"]))
    except NotWritten as error:
        raise Refused(f"Repository {of.name} was not put in place: {error}. Everything is as it was.") from error
    except NotProved as error:
        raise Refused(
            f"Repository {of.name} cannot be used, and everything is as it was: {error} Correct its address or its "
            "fingerprint, or give a mirror that this host reaches."
        ) from error
    return result


def _of_the_host(params: Json, of: Repository, ports: Ports) -> dict[str, bytes | None]:
    """The host's own source with the right key does: only the pins are ours then. Nothing where it has none."""
    offers = ports.offers(of) if isinstance(of, Apt) else []
    for offer in offers:
        if offer.key is None or not _is(offer.key, params["fingerprints"]):
            keys = " or ".join(params["fingerprints"])
            raise Refused(
                f"{offer.path} has repository {of.name} already, and not with the key {keys}: apt stops where "
                "two sources name different keys for one repository. Nothing was changed. Remove it "
                f"(`rm {offer.path}`), or correct its Signed-By, and run this again."
            )
    if not isinstance(of, Apt) or not offers:
        return {}
    pins = of.files(b"")[of.pins_path]
    return {of.pins_path: pins, of.source_path: None, of.key_path: None}


def _diff(path: str, due: dict[str, bytes | None], files: Files) -> Json:
    return {"before_header": path, "after_header": path, "before": _shown(files.read(path)), "after": _shown(due[path])}


def _shown(content: bytes | None) -> str:
    if content is None:
        return ""
    try:
        return "".join(f"key {fingerprint}\n" for fingerprint in openpgp.certificates(content))
    except openpgp.BadKey:
        return content.decode("utf-8", "replace")
