# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that have a content of a model before the hub is asked for it: where they serve theirs, and to whom.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from .._outside.concealing import MASK, concealed_text

PEERS, SERVE_AT, SERVE_TO = "model_store_peers", "model_store_serve_at", "model_store_serve_to"
EXAMPLE, NETWORK = "192.0.2.10:8790", "192.0.2.0/24"
MOST = 64
# Ports below are the system's, and what serves may not take them.
LEAST_PORT = 1024
_HOST = r"\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_PLACE = re.compile(rf"({_HOST}):([1-9][0-9]{{0,4}})")


class Serving(t.NamedTuple):
    """`at` is ADDRESS:PORT, `to` networks with their length of prefix. Nothing is served where both are empty."""

    at: str = ""
    to: tuple[str, ...] = ()


def split(place: str) -> tuple[str, int]:
    """Host and port; the address of version 6 without its brackets. Raises ValueError."""
    found = _PLACE.fullmatch(place)
    if found is None or int(found[2]) > 65535:
        raise ValueError(place)
    if found[1].startswith("["):
        return str(ipaddress.IPv6Address(found[1].strip("[]"))), int(found[2])
    return found[1], int(found[2])


def peers(value: t.Sequence[str], errors: list[str]) -> list[str]:
    """Places of others, each once and in their order; what is wrong with one is added to `errors`."""
    found = list(dict.fromkeys(one.strip() for one in value if one.strip()))
    for one in found:
        try:
            split(one)
        except ValueError:
            errors.append(f"{PEERS} has {_shown(one)!r}: write ADDRESS:PORT, as in {EXAMPLE}.")
    if len(found) > MOST:
        errors.append(f"{PEERS} has {len(found)} entries: {MOST} are the most.")
    return found


def serving(at: str, to: t.Sequence[str], errors: list[str]) -> Serving:
    """Both or none; what is wrong is added to `errors`."""
    at, before = at.strip(), len(errors)
    networks = [_network(one.strip(), errors) for one in to if one.strip()]
    if len(networks) > MOST:
        errors.append(f"{SERVE_TO} has {len(networks)} entries: {MOST} are the most.")
    if at:
        _must_be_own(at, errors)
        if not networks:
            errors.append(
                f"{SERVE_AT} is {_shown(at)}, and {SERVE_TO} names nobody: write the networks of the hosts that may "
                f"read what is here, as in [{NETWORK}]. Gated models are among it, and nobody is asked for a token."
            )
        elif len(errors) == before and not any(_version(one) == _version(split(at)[0]) for one in networks):
            errors.append(
                f"{SERVE_AT} is {at}, and {SERVE_TO} has no network of that version of IP, so that nobody could read: "
                "write where the others come from."
            )
    elif networks:
        errors.append(f"{SERVE_TO} is stated, and {SERVE_AT} is not: write where to serve, as in {EXAMPLE}.")
    return Serving() if len(errors) > before else Serving(at, tuple(dict.fromkeys(networks)))


def _must_be_own(at: str, errors: list[str]) -> None:
    try:
        host, port = split(at)
        address = ipaddress.ip_address(host)
    except ValueError:
        errors.append(f"{SERVE_AT} is {_shown(at)!r}: write one address of the host and a port, as in {EXAMPLE}.")
        return
    if address.is_unspecified:
        errors.append(f"{SERVE_AT} is {at}: write the one address that the others reach, not all of them.")
    if getattr(address, "ipv4_mapped", None):
        errors.append(f"{SERVE_AT} is {at}: write the address of version 4 as such, as in {EXAMPLE}.")
    if port < LEAST_PORT:
        errors.append(f"{SERVE_AT} is {at}: write a port from {LEAST_PORT} on, as in {EXAMPLE}.")


def _shown(text: str) -> str:
    """Without what people write before an `@`, and without tokens."""
    before, at, after = concealed_text(text).rpartition("@")
    return (f"{MASK}{at}{after}" if before else f"{at}{after}")[:120]


def _version(network: str) -> int:
    return ipaddress.ip_network(network).version


def _network(text: str, errors: list[str]) -> str:
    try:
        found = ipaddress.ip_network(text)
    except ValueError as error:
        why = f" ({error})" if "host bits" in str(error) else ""
        errors.append(f"{SERVE_TO} has {_shown(text)!r}{why}: write a network, as in {NETWORK}, or one address.")
        return ""
    if not found.prefixlen:
        errors.append(f"{SERVE_TO} has {text}, which is everybody: write the networks of your hosts.")
    return str(found)
