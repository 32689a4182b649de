# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses at which a door may reach another host.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

Ip = t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
# What resolvers take for an address in a spelling of its own, such as 127.1 or 0x7f000001: no name ends so.
NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
OWN_NAMES: t.Final = ("localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback")


def wrong(text: str) -> str:
    """Why a door on another host cannot reach it there, as the end of a sentence; '' where it may."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return _wrong_name(text)
    real: Ip = getattr(address, "ipv4_mapped", None) or address
    if real.is_loopback or real.is_unspecified:
        return "at which each host reaches itself"
    if has_zone(address):
        return "and HAProxy takes no zone (%)"
    return "which is no host's" if real.is_multicast else ""


def has_zone(address: Ip) -> bool:
    """fe80::1%eth0"""
    return bool(getattr(address, "scope_id", None))


def _wrong_name(text: str) -> str:
    if not NAME.fullmatch(text) or NUMBER.fullmatch(text.rpartition(".")[2]):
        return "which is neither an address nor the name of a host"
    bare = text.lower()
    return "at which each host reaches itself" if bare in OWN_NAMES or bare.endswith(".localhost") else ""
