# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an application is told of a server: what its host has verified, and what is stated for this application.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .._outside import documents
from .._outside.documents import Json
from .._plan.inventory import sampling
from .._plan.inventory.api_key import keys_of
from .._settings import types
from .._settings.canonical_json import kind, plain
from .._settings.names import INSTANCE_NAME, listed, meant
from .._settings.reader import shown
from .._vllm.schema import Version
from . import address
from .document import Document, Endpoint

SCHEMA = 1
NUMBER = re.compile(r"\s*[+-]?[0-9]{0,9}(\.[0-9]{0,9})?\s*")
KEYS = (
    *("name", "host", "instance", "base_url", "served_model_name", "max_model_len", "api_key", "sampling"),
    *("retries", "max_in_flight", "timeout"),
)
# Of a server nobody here knows the release: what the strictest takes, all take.
STRICTEST: Version = (999, 0, 0)
LONGEST_WAIT, MOST_RETRIES, LONGEST_TIMEOUT, MOST_IN_FLIGHT = 3600, 20, 86400, 100000


class Served(t.NamedTuple):
    """The client's document of an instance as its host has it, or why there is none."""

    document: Json
    why: str = ""


def served(text: str) -> Served:
    """What stands in a host's client.json."""
    try:
        found = documents.parse(text)
    except ValueError as error:
        return Served({}, f"its client.json is no JSON that can be used ({error})")
    told = found if isinstance(found, dict) else {}
    names, length, values = (told.get(key) for key in ("served_model_names", "max_model_len", "sampling"))
    right = (
        told.get("schema") == SCHEMA
        and isinstance(told.get("base_url"), str)
        and isinstance(names, list)
        and bool(names)
        and all(isinstance(name, str) and name for name in names)
        and (length is None or (isinstance(length, int) and not isinstance(length, bool) and length > 0))
        and isinstance(values, dict)
    )
    return Served(told) if right else Served({}, "its client.json is not what a rollout of this collection writes")


def read(
    given: t.Any, found: t.Mapping[str, Served], host: str, defaults: t.Mapping[str, t.Any], errors: list[str]
) -> list[Endpoint]:
    """The endpoints of the client HOST. FOUND: what hosts have verified, by the endpoint's name.

    What is wrong is added to ERRORS, a sentence each.
    """
    ends: list[Endpoint] = []
    for at, one in enumerate(given if isinstance(given, (list, tuple)) else []):
        if not isinstance(one, dict):
            # Never the value: somebody's API key may be in it.
            errors.append(f"endpoint {at + 1}: it is of type {kind(one)}, write a mapping with name and host.")
            continue
        end = _Reader(one, f"endpoint {one.get('name') or at + 1}", errors).read(found, host, defaults)
        if any(end.name == other.name for other in ends):
            errors.append(f"endpoint {end.name}: there are two of this name, which would be one file: rename one.")
        ends.append(end)
    return ends


class _Reader:
    def __init__(self, given: Json, where: str, errors: list[str]) -> None:
        self.where, self.errors = where, errors
        # As JSON has them, which they become: but for the key and what is none, of which nothing is told.
        as_json = {
            key: plain(value, f"{where}: {key}", errors) if key in KEYS and key != "api_key" else value
            for key, value in given.items()
        }
        self.given = {key: value for key, value in as_json.items() if key == "api_key" or not types.is_blank(value)}

    def wrong(self, text: str) -> None:
        self.errors.append(f"{self.where}: {text}")

    def read(self, found: t.Mapping[str, Served], host: str, defaults: t.Mapping[str, t.Any]) -> Endpoint:
        for key in self.given:
            if key not in KEYS:
                self.wrong(f"there is no key {key}; there are {listed(KEYS)}.{meant(str(key), KEYS)}")
        name = str(self.given.get("name") or "")
        if not INSTANCE_NAME.fullmatch(name):
            self.wrong(f"the name {name!r} is not usable: write small letters, digits and hyphens, no hyphen first.")
        told = self._told(found, name)
        length = self._length(told)
        document: Document = {
            "schema": SCHEMA,
            "name": name,
            "base_url": self._base_url(told, host),
            "served_model_names": self._names(told),
            "max_model_len": length,
            "api_key_required": bool(told.get("api_key_required")) or self.given.get("api_key") is not None,
            "sampling": self._sampling(told, length),
            "retries": self._retries(self.given.get("retries", defaults["retries"])),
            "max_in_flight": self._number("max_in_flight", defaults, 1, MOST_IN_FLIGHT),
            "timeout": self._number("timeout", defaults, 1, LONGEST_TIMEOUT),
        }
        return Endpoint(name, document, self._key(told))

    def _told(self, found: t.Mapping[str, Served], name: str) -> Json:
        """What its host has verified; what is wrong with that is told."""
        if "host" not in self.given:
            if "base_url" not in self.given:
                self.wrong("write host, the host of the inventory that serves it, or base_url and served_model_name.")
            return {}
        wrong = [key for key in ("host", "instance") if not isinstance(self.given.get(key, name), str)]
        for key in wrong:
            self.wrong(f"{key} is of type {kind(self.given[key])}: write one name, a text.")
        instance = self.given.get("instance", name)
        if wrong or not name:
            return {}
        if not INSTANCE_NAME.fullmatch(instance):
            if "instance" in self.given:  # that its name is not usable is told of the endpoint
                self.wrong(f"instance is {shown(instance)}: write small letters, digits and hyphens, no hyphen first.")
            return {}
        one = found.get(name, Served({}, "nobody has asked it"))
        if one.why:
            self.wrong(
                f"{self.given['host']} does not say what {instance} serves: {one.why}. Have it "
                "verified there first (site.yml), or correct host and instance."
            )
        return one.document

    def _base_url(self, told: Json, host: str) -> str:
        stated = self.given.get("base_url")
        if stated is None:
            url = str(told.get("base_url", ""))
            if told and self.given["host"] != host and address.is_loopback(url):
                self.wrong(
                    f"{self.given.get('instance', self.given.get('name'))} of {self.given['host']} listens on the "
                    "loopback, where no other host reaches it: state base_url, the address of the door in front of it, "
                    "or have it bind to an address of its own."
                )
            return url
        url = str(stated).rstrip("/")
        if not address.is_right(url):
            self.wrong(
                "base_url is not usable: write an address such as http://door.example.com:8080/v1, with /v1 once at "
                "its end, and no password, ? or # in it."
            )
        return url

    def _names(self, told: Json) -> list[str]:
        stated = self.given.get("served_model_name")
        if stated is None:
            if "host" not in self.given:
                self.wrong("served_model_name is missing: write the name that clients ask for, or host.")
            return list(told.get("served_model_names", []))
        names = list(stated) if isinstance(stated, (list, tuple)) else [stated]
        known = told.get("served_model_names")
        if not names:
            self.wrong("served_model_name is an empty list: write a text, a list of them, or leave it out.")
        for name in names:
            if not isinstance(name, str) or not name.strip():
                self.wrong(f"served_model_name is {shown(stated)}: write a text, or a list of them.")
            elif known is not None and name not in known:
                self.wrong(f"served_model_name is {name!r}, and {self.given['host']} serves {listed(known)}.")
        return names

    def _length(self, told: Json) -> int | None:
        verified = told.get("max_model_len")
        if "max_model_len" not in self.given:
            return verified
        try:
            stated = types.whole(self.given["max_model_len"])
        except types.WrongError:
            stated = 0
        if stated < 1:
            self.wrong(f"max_model_len is {_said(self.given['max_model_len'])}: write a whole number of 1 or more.")
        elif verified is not None and stated > verified:
            self.wrong(f"max_model_len is {stated}, and {self.given['host']} has verified {verified}: leave it out.")
        return stated

    def _sampling(self, told: Json, length: int | None) -> Json:
        own: Json = types.stated(types.mapping, self.given.get("sampling"), f"{self.where}: sampling", self.errors, {})
        base = told.get("sampling", {})
        if not own:
            return dict(base)
        merged = {**base, **own}
        for name, value in own.items():
            if isinstance(value, dict) and isinstance(base.get(name), dict) and name not in sampling.MAPPINGS:
                merged[name] = {**base[name], **value}
        for text in sampling.problems(merged, STRICTEST, length):
            self.wrong(text)
        return {name: value for name, value in sorted(merged.items()) if value is not None}

    def _retries(self, value: t.Any) -> list[float]:
        try:
            waits = [types.number(one) for one in types.items(value)]
        except types.WrongError:
            waits = [-1.0]
        if len(waits) <= MOST_RETRIES and all(0 <= one <= LONGEST_WAIT for one in waits):
            return [float(one) for one in waits]
        self.wrong(
            f"{self._named('retries')} is {_said(value)}: write the seconds before each retry, such as [2, 4, 8, 16], "
            f"at most {MOST_RETRIES} of them and none above {LONGEST_WAIT}."
        )
        return []

    def _number(self, key: str, defaults: t.Mapping[str, t.Any], least: int, most: int) -> int:
        value = self.given.get(key, defaults[key])
        try:
            found = types.whole(value)
        except types.WrongError:
            found = least - 1
        if not least <= found <= most:
            self.wrong(f"{self._named(key)} is {_said(value)}: write a whole number from {least} to {most}.")
        return found

    def _named(self, key: str) -> str:
        """Where its value was stated."""
        return key if key in self.given else f"vllm_client_{key}"

    def _key(self, told: Json) -> str:
        """The key that is sent: the first, where a server takes several."""
        stated = self.given.get("api_key")
        keys = keys_of(stated) if stated is not None else []
        if stated is not None and not keys:
            self.wrong(
                "api_key is not usable (it is not shown): write a text of 16 characters or more, of letters, digits "
                "and ._~+/-, no hyphen first."
            )
        elif stated is None and told.get("api_key_required"):
            self.wrong(f"{self.given['host']} asks for an API key: state api_key, best from a vault.")
        return keys[0] if keys else ""


def _said(value: t.Any) -> str:
    """What stands where a number belongs. No text that is none: it may be a key that stands on the wrong line."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_said(item) for item in value[:MOST_RETRIES])}]"
    numeric = isinstance(value, (bool, int, float)) or (isinstance(value, str) and NUMBER.fullmatch(value))
    return shown(value) if numeric else f"of type {kind(value)}"
