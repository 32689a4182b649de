# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says of the door: bounds, and what may not stand beside each other.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import posixpath
import re
import typing as t

from .._outside.documents import Json
from .._plan.inventory.api_key import SHORTEST, keys_of
from .._settings import types
from .._settings.canonical_json import kind
from .._settings.names import meant
from . import addresses, paths

BALANCES: t.Final = ("least_connections", "round_robin", "prefix")
KEY_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
PATH = re.compile(r"/[A-Za-z0-9._/+-]+")
# By the unit's ProtectHome and PrivateTmp.
HIDDEN = re.compile(r"/(home|root|run/user|tmp|var/tmp)(/|$)")
ADVICE = f"a text of {SHORTEST} characters or more, of letters, digits and ._~+/-, no hyphen first"
RATE: t.Final = "requests_per_minute"
FIELDS: t.Final = frozenset({"name", "key", RATE})
# Each number with its bounds.
BOUNDS: t.Final = {
    "port": (1, 65535),
    "metrics_port": (0, 65535),
    "check_interval": (1, 3600),
    "in_flight": (0, 100_000),
    "wait_seconds": (0, 3600),
    "wait_requests": (0, 100_000),
    "body_kib": (16, 65536),
    "timeout": (10, 86400),
    "max_connections": (10, 100_000),
    RATE: (0, 1_000_000),
}


@dataclasses.dataclass(frozen=True)
class Key:
    """Somebody who may ask. DIGESTS are what HAProxy compares with; the keys themselves are not kept."""

    name: str
    digests: tuple[str, ...]
    requests_per_minute: int


@dataclasses.dataclass(frozen=True)
class Settings:
    """The door, without the names behind it. `body_kib` is what of a request is looked at, at least."""

    bind: str
    port: int
    metrics_port: int
    balance: str
    prefix_header: str
    check_interval: int
    in_flight: int
    wait_seconds: int
    wait_requests: int
    body_kib: int
    timeout: int
    max_connections: int
    certificate: str
    more_paths: tuple[str, ...]
    keys: tuple[Key, ...]

    @property
    def waits(self) -> bool:
        """Whether requests wait while none of their servers is ready."""
        return self.wait_seconds > 0 and self.wait_requests > 0


def read(given: Json, errors: list[str]) -> Settings:
    """GIVEN are the role's variables without `vllm_gateway_`, typed. What is wrong is added to `errors`."""
    numbers = {name: _bounded(name, given[name], errors) for name in BOUNDS}
    keys = _keys(given["api_keys"], numbers[RATE], errors)
    bind = _address(given["bind"], errors)
    if not given["api_keys"] and not given["open"] and not ipaddress.ip_address(bind).is_loopback:
        errors.append(
            f"vllm_gateway_bind is {bind}, and vllm_gateway_api_keys is empty: everybody who reaches it could "
            "ask. State a "
            "key, bind it to the loopback, or set vllm_gateway_open: true."
        )
    certificate = str(given["certificate"]).strip()
    if certificate and not PATH.fullmatch(certificate):
        errors.append(
            f"vllm_gateway_certificate is {certificate!r}: write the absolute path of a PEM file on the host."
        )
    elif HIDDEN.match(posixpath.normpath(f"/{certificate.lstrip('/')}")):
        errors.append(
            f"vllm_gateway_certificate is {certificate!r}, where the door's unit sees no files (ProtectHome, "
            "PrivateTmp): put it elsewhere, such as into /etc/ssl/private."
        )
    header = str(given["prefix_header"]).strip()
    if header and not HEADER.fullmatch(header):
        errors.append(f"vllm_gateway_prefix_header is {header!r}: write the name of a header, such as X-Session.")
    for path in given["more_paths"]:
        if path not in paths.MORE:
            errors.append(
                f"vllm_gateway_more_paths has {path!r}, which the door does not open. It can open "
                f"{', '.join(paths.MORE)}."
                f"{meant(str(path), paths.MORE)}"
            )
    if numbers["metrics_port"] == numbers["port"]:
        errors.append(
            f"vllm_gateway_metrics_port and vllm_gateway_port are both {numbers['port']}: change one of them."
        )
    return Settings(
        bind=bind,
        **{name: number for name, number in numbers.items() if name != RATE},
        balance=given["balance"],
        prefix_header=header,
        certificate=certificate,
        more_paths=tuple(path for path in given["more_paths"] if path in paths.MORE),
        keys=keys,
    )


def _bounded(name: str, value: int, errors: list[str]) -> int:
    least, most = BOUNDS[name]
    if not least <= value <= most:
        errors.append(f"vllm_gateway_{name} is {value}: write a whole number from {least} to {most}.")
        return least
    return value


def _address(value: str, errors: list[str]) -> str:
    right = "write an address of the host such as 127.0.0.1 or 0.0.0.0"
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        errors.append(f"vllm_gateway_bind is {value!r}: {right}.")
        return "127.0.0.1"
    if found.is_multicast or addresses.has_zone(found):
        errors.append(f"vllm_gateway_bind is {value!r}, on which HAProxy cannot listen: {right}, with no zone (%).")
        return "127.0.0.1"
    return str(found)


def _keys(listed: t.Sequence[t.Any], default: int, errors: list[str]) -> tuple[Key, ...]:
    """Nothing that is said here shows a key."""
    found: list[Key] = []
    owner: dict[str, str] = {}
    for position, one in enumerate(listed, 1):
        where = f"vllm_gateway_api_keys, entry {position}"
        if not isinstance(one, dict):
            errors.append(f"{where} is of type {kind(one)} (it is not shown): write a mapping with name and key.")
            continue
        # A key may stand in the place of any word, so no word of an entry is shown that is not known.
        if not set(one) <= FIELDS:
            errors.append(f"{where} has something else (it is not shown): it takes name, key and requests_per_minute.")
        name = one.get("name")
        if not isinstance(name, str) or not KEY_NAME.fullmatch(name):
            errors.append(f"{where}: write a name of small letters, digits, _ and -, such as web; it stands in logs.")
            continue
        if name in [key.name for key in found]:
            errors.append(f"{where}: the name {name} is there twice: for a rotation write a list of keys in one entry.")
            continue
        keys = keys_of(one.get("key"))
        if not keys:
            errors.append(
                f"{where} ({name}): its key is missing or not usable (it is not shown): write {ADVICE}, or a list."
            )
            continue
        digests = tuple(dict.fromkeys(digest(key) for key in keys))
        for each in digests:
            if each in owner:
                errors.append(f"{where} ({name}): it has a key of {owner[each]}: give each its own.")
            owner[each] = name
        found.append(Key(name, digests, _rate(one.get(RATE), f"{where} ({name})", default, errors)))
    return tuple(found)


def _rate(given: t.Any, where: str, default: int, errors: list[str]) -> int:
    least, most = BOUNDS[RATE]
    try:
        found = default if types.is_blank(given) else types.whole(given)
    except types.WrongError:
        found = -1
    if not least <= found <= most:
        right = f"write a whole number from {least} to {most}, 0 for no limit"
        errors.append(f"{where}: {RATE} is not right (it is not shown): {right}.")
        return least
    return found


def digest(key: str) -> str:
    """What HAProxy makes of a key that it is sent: `sha2(256),hex`."""
    return hashlib.sha256(key.encode()).hexdigest().upper()
