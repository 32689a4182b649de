# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which instances of which hosts serve which name, and how the door reaches them.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import re
import typing as t

from .._plan.checks import adapters
from .._plan.inventory.instances import Instance
from .._settings.names import canonical, listed
from .._vllm.path_arguments import ADAPTERS
from . import addresses

# What stands in a map of HAProxy, in its configuration and in JSON without being quoted.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")
NOT_SLUG = re.compile(r"[^a-z0-9]+")


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """One instance behind the door. KEYS are those of its engine; an inactive one is a server kept ready."""

    host: str
    instance: str
    model: str
    revision: str
    names: tuple[str, ...]
    address: str
    port: int
    active: bool
    here: bool
    keys: tuple[str, ...] = dataclasses.field(default=(), repr=False)

    @property
    def server(self) -> str:
        return f"{self.host}:{self.instance}"

    @property
    def told(self) -> str:
        return f"instance {self.instance} of {self.host}"


@dataclasses.dataclass(frozen=True)
class Backend:
    """Names that the same instances serve, and the key that all of them take."""

    names: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    key: str = dataclasses.field(default="", repr=False)

    @property
    def id(self) -> str:
        """Readable, and its own whatever the name is made of."""
        slug = NOT_SLUG.sub("-", self.names[0].lower()).strip("-")[:40]
        return f"model-{slug}-{hashlib.sha256(self.names[0].encode()).hexdigest()[:8]}"


def endpoint(
    host: str, instance: Instance, keys: t.Sequence[str], here: bool, address: str, errors: list[str], out: bool = False
) -> Endpoint:
    """An instance as the door reaches it: over the loopback on its own HOST, else at the host's ADDRESS.

    OUT: it gets no requests, and its server is kept.
    """
    names = tuple(dict.fromkeys((*instance.served_model_name, *_adapters(instance))))
    found = Endpoint(
        host=host,
        instance=instance.name,
        model=instance.model,
        revision=instance.revision or "",
        names=names,
        address=reached(instance.bind, here, address),
        port=instance.port,
        # Whose turn it is in a group is the host's affair, and may change at any time: the door's own checks tell.
        active=(instance.active or bool(instance.exclusive_group)) and not out,
        here=here,
        keys=tuple(keys),
    )
    for name in names:
        if not NAME.fullmatch(name):
            errors.append(
                f"{found.told}: the served name {name!r} cannot go through the door: write letters, digits and "
                "._:/@+-, "
                "a letter or digit first, at most 200 characters."
            )
    if not HOST.fullmatch(host):
        errors.append(f"The host {host!r} cannot be named to HAProxy: write letters, digits and _.- in the inventory.")
    if not here and ipaddress.ip_address(instance.bind).is_loopback:
        errors.append(
            f"{found.told} listens on {instance.bind}, which this door on another host cannot reach: set its bind "
            "to an "
            f"address of {host} in your private network, with an api_key and a firewall, or run the door on {host}."
        )
    if addresses.has_zone(ipaddress.ip_address(instance.bind)):
        errors.append(f"{found.told} listens on {instance.bind}, and HAProxy takes no zone (%): set another bind.")
    args = _arguments(instance)
    if args.get("ssl_certfile") or args.get("ssl_keyfile"):
        errors.append(
            f"{found.told}: its engine speaks TLS itself, and the door speaks HTTP to engines: leave ssl_* out."
        )
    return found


def _adapters(instance: Instance) -> list[str]:
    """vLLM serves each adapter under a name of its own."""
    return adapters.names_of(_arguments(instance).get(ADAPTERS))


def _arguments(instance: Instance) -> dict[str, t.Any]:
    """As the instance states them, by the engine's own names."""
    return {canonical(str(key)): value for key, value in instance.engine_args.items()}


def reached(bind: str, here: bool, address: str) -> str:
    asked = ipaddress.ip_address(bind)
    if not asked.is_unspecified:
        return bind
    if here:
        return "::1" if asked.version == 6 else "127.0.0.1"
    return address


def backends(endpoints: t.Sequence[Endpoint], errors: list[str]) -> list[Backend]:
    """A backend for each set of instances, with all names that exactly these serve."""
    by_name: dict[str, list[Endpoint]] = {}
    for one in endpoints:
        for name in one.names:
            by_name.setdefault(name, []).append(one)
    by_servers: dict[tuple[str, ...], list[str]] = {}
    for name, serving in by_name.items():
        _must_agree(name, serving, errors)
        by_servers.setdefault(tuple(sorted(one.server for one in serving)), []).append(name)
    found = []
    for names in by_servers.values():
        serving = sorted(by_name[names[0]], key=lambda one: one.server)
        found.append(Backend(tuple(sorted(names)), tuple(serving), _common_key(names[0], serving, errors)))
    return sorted(found, key=lambda one: one.names)


def _must_agree(name: str, serving: t.Sequence[Endpoint], errors: list[str]) -> None:
    """One name is one model, as long as the instances may serve at the same time."""
    models: dict[tuple[str, str], list[Endpoint]] = {}
    for one in serving:
        models.setdefault((one.model, one.revision), []).append(one)
    if len(models) > 1:
        told = [
            f"{model}{f' at {revision}' if revision else ''} ({listed(one.told for one in those)})"
            for (model, revision), those in models.items()
        ]
        errors.append(
            f"The served name {name} stands for different models: {listed(told)}. Clients would get now one and "
            "now the "
            "other: give each a served_model_name of its own, or the same model and revision to all of them."
        )
    if not any(one.active for one in serving):
        errors.append(
            f"Nobody serves {name}: {listed(one.told for one in serving)} {'is' if len(serving) == 1 else 'are'} not "
            "active, or left out. Set active: true for one, or take it out of vllm_gateway_left_out."
        )


def _common_key(name: str, serving: t.Sequence[Endpoint], errors: list[str]) -> str:
    """The first key that every instance of a name takes; '' where none has one."""
    if not any(one.keys for one in serving):
        return ""
    common = [key for key in next(one.keys for one in serving if one.keys) if all(key in one.keys for one in serving)]
    if not common:
        errors.append(
            f"The instances of {name} ({listed(one.told for one in serving)}) have no api_key in common, and the "
            "door sends "
            "one to all of them: state the same key in each. An api_key may be a list, so that it can be rotated."
        )
        return ""
    return common[0]
