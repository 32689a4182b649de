# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port that is closed to what comes from elsewhere: the words that iptables gets."""

from __future__ import annotations

import shlex
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._door import entrance
from ansible_collections.gpufleet.vllm.plugins.module_utils._door.entrance import Entrance


class Tables:
    """iptables that keeps rules by chain; REFUSES words in a rule."""

    def __init__(self, *refuses: str) -> None:
        self.refuses = refuses
        self.rules: dict[tuple[str, str], list[str]] = {}

    def run(self, command: t.Sequence[str]) -> tuple[int, str]:
        tool, _wait, _seconds, verb, chain, *words = command
        kept = self.rules.setdefault(
            (tool, chain), [f"-P {chain} ACCEPT", f'-A {chain} -m comment --comment "a \'b" -j X']
        )
        if verb == "-S":
            return 0, "\n".join(kept)
        if verb == "-D":
            kept.remove(f"-A {chain} {shlex.join(words)}")
            return 0, ""
        if any(word in self.refuses for word in words):
            return 2, f"no {self.refuses[0]}"
        kept.append(f"-A {chain} {shlex.join(words[1:])}")
        return 0, ""

    def ours(self) -> list[str]:
        return [
            f"{tool} {rule}" for (tool, _chain), rules in self.rules.items() for rule in rules if "gpufleet" in rule
        ]


def test_both_chains_refuse_new_connections_to_the_port_until_it_is_opened() -> None:
    tables = Tables()
    one = Entrance(tables.run, lambda: 0.0)
    assert one.close("a", "0.0.0.0", 8000) == ""
    asked = "'!' -i lo -p tcp --syn -m conntrack --ctstate NEW --ctorigdstport 8000"
    rest = (
        "-m time --datestop 1970-01-01T02:00:00 -m comment --comment 'gpufleet drains a' "
        "-j REJECT --reject-with tcp-reset"
    )
    assert tables.ours() == [
        f"iptables -A INPUT {asked} {rest}",
        f"iptables -A FORWARD {asked} -m conntrack --ctstate DNAT {rest}",
    ]
    assert one.close("a", "0.0.0.0", 8000) == "" and len(tables.ours()) == 2, "never twice"
    assert one.close("a-2", "::1:2", 8001, 3600) == ""
    assert all(" 1970-01-01T03:00:00 " in line for line in tables.ours()[2:])
    assert [line.split()[0] for line in tables.ours()] == ["iptables"] * 2 + ["ip6tables"] * 2
    assert one.close("a-2", "::1:2", 8001, 1e20) == "", "as a limit that was let through"
    assert one.open("a") == ""
    assert len(tables.ours()) == 2, "that of another instance stays"
    assert one.open("a-2") == ""
    assert tables.ours() == []


@pytest.mark.parametrize(
    ("bind", "tools", "to"),
    [
        ("0.0.0.0", ["iptables"], ""),
        ("10.0.0.1", ["iptables"], " --ctorigdst 10.0.0.1"),
        ("::ffff:10.0.0.1", ["iptables"], " --ctorigdst 10.0.0.1"),
        ("fe80::1%eth0", ["ip6tables"], " --ctorigdst fe80::1"),
        ("::", ["iptables", "ip6tables"], ""),
    ],
)
def test_the_address_that_an_engine_listens_on_is_closed_and_no_other(bind: str, tools: list[str], to: str) -> None:
    """Another instance, or a door, may have the same port on another address."""
    tables = Tables()
    assert Entrance(tables.run).close("a", bind, 8000) == ""
    assert sorted(line.split()[0] for line in tables.ours()) == sorted(tools * 2)
    assert all(f"--ctorigdstport 8000{to} -m" in line for line in tables.ours())


def test_a_kernel_without_times_has_the_rule_without_an_end() -> None:
    tables = Tables("time")
    assert Entrance(tables.run).close("a", "10.0.0.1", 8000) == ""
    assert len(tables.ours()) == 2 and "datestop" not in "".join(tables.ours())


def test_what_cannot_be_closed_is_told_and_nothing_is_left_half_closed() -> None:
    tables = Tables("REJECT")
    assert Entrance(tables.run).close("a", "0.0.0.0", 8000) == "no REJECT"
    half = Tables()

    def only_input(command: t.Sequence[str]) -> tuple[int, str]:
        return (3, "no chain") if command[3] == "-I" and command[4] == "FORWARD" else half.run(command)

    assert Entrance(only_input).close("a", "0.0.0.0", 8000) == "no chain"
    assert half.ours() == []


def test_a_host_without_iptables_is_told_of() -> None:
    def missing(command: t.Sequence[str]) -> tuple[int, str]:
        return entrance.run([f"/nowhere/{command[0]}"])

    assert Entrance(missing).close("a", "0.0.0.0", 8000) == "/nowhere/iptables is not there"
    assert Entrance(missing).open("a") == ""


def test_what_cannot_be_listed_is_not_closed_and_is_opened_where_that_came_later() -> None:
    """Beside rules that nft alone can say, iptables makes new ones, and lists none."""
    tables, mixed = Tables(), True

    def run(command: t.Sequence[str]) -> tuple[int, str]:
        if command[3] == "-S" and mixed:
            return 1, f"chain `{command[4]}' in table `filter' is incompatible, use 'nft' tool."
        return tables.run(command)

    one = Entrance(run)
    assert one.close("a", "0.0.0.0", 8000).startswith("chain `INPUT' in table")
    assert (tables.ours(), one.open("a")) == ([], "")
    mixed = False
    assert one.close("a", "0.0.0.0", 8000) == ""
    mixed = True
    assert (one.open("b"), len(tables.ours())) == ("", 2)
    assert (one.open("a"), tables.ours()) == ("", [])
    assert one.open("a") == ""


BUSY = (4, "Another app is currently holding the xtables lock. Stopped waiting after 5s.")


@pytest.mark.parametrize("busy", [BUSY, (entrance.NOT_RUN, "iptables: TimeoutExpired")])
def test_tables_that_are_locked_get_no_rule_without_an_end_and_are_not_told_to_be_open(busy: tuple[int, str]) -> None:
    tables = Tables()

    def first_locked(command: t.Sequence[str]) -> tuple[int, str]:
        return busy if command[3] == "-I" and "time" in command else tables.run(command)

    assert Entrance(first_locked).close("a", "0.0.0.0", 8000) == busy[1]
    assert tables.ours() == []
    assert Entrance(tables.run).close("a", "0.0.0.0", 8000) == ""
    assert Entrance(lambda _command: busy).open("a") == busy[1]
    assert len(tables.ours()) == 2
    assert Entrance(lambda _command: (3, "can't initialize ip6tables table")).open("a") == "", "there is no such table"
