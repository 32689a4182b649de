# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where hosts serve what they have, and to whom: not to everybody, and nowhere that cannot be reached."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.store_peers import Serving, peers, serving, split

AT: t.Final = "192.0.2.9:8790"


@pytest.mark.parametrize(
    ("place", "parts"),
    [(AT, ("192.0.2.9", 8790)), ("[2001:db8::1]:1", ("2001:db8::1", 1)), ("gpu-1.lan:65535", ("gpu-1.lan", 65535))],
)
def test_a_place_is_an_address_and_a_port(place: str, parts: tuple[str, int]) -> None:
    assert split(place) == parts


@pytest.mark.parametrize(
    "place",
    [
        "192.0.2.9", "192.0.2.9:0", "192.0.2.9:65536", "http://192.0.2.9:8790", "192.0.2.9:8790/", "me:pw@h:1",
        "2001:db8::1:8790", "[::::]:1", "[192.0.2.9]:8790", "[12]:1", ":8790",
        "-h:1", "h:1 h:2", "{{ x }}:1", "h" * 300 + ":1",
    ],
)  # fmt: skip
def test_what_is_no_place_is_refused(place: str) -> None:
    errors: list[str] = []
    peers([place], errors)
    assert [text.endswith("write ADDRESS:PORT, as in 192.0.2.10:8790.") for text in errors] == [True]


@pytest.mark.parametrize("wrong", ["me:pw-123@h:1", "http://me:pw-123@h:1/", "h:1/?token=pw-123@x"])
def test_what_people_write_before_an_address_is_not_told(wrong: str) -> None:
    errors: list[str] = []
    peers([wrong], errors)
    serving(wrong, [wrong], errors)
    serving(wrong, [], errors)
    assert len(errors) == 5 and "pw-123" not in " ".join(errors)


def test_one_that_is_listed_twice_is_asked_once() -> None:
    errors: list[str] = []
    assert peers([AT, f" {AT} ", ""], errors) == [AT]
    assert errors == []
    peers([f"192.0.2.9:{port}" for port in range(1, 66)], errors)
    assert errors == ["model_store_peers has 65 entries: 64 are the most."]


def test_networks_may_read() -> None:
    errors: list[str] = []
    networks = ["192.0.2.0/24", " 2001:db8::/32", "192.0.2.7", "192.0.2.0/24"]
    assert serving(AT, networks, errors) == Serving(AT, ("192.0.2.0/24", "2001:db8::/32", "192.0.2.7/32"))
    assert serving("", [], errors) == Serving()
    assert errors == []


@pytest.mark.parametrize(
    ("at", "to", "told"),
    [
        (AT, [], "model_store_serve_at is 192.0.2.9:8790, and model_store_serve_to names nobody"),
        ("", ["192.0.2.0/24"], "model_store_serve_to is stated, and model_store_serve_at is not"),
        ("gpu-1:8790", ["192.0.2.0/24"], "model_store_serve_at is 'gpu-1:8790': write one address"),
        ("192.0.2.9", ["192.0.2.0/24"], "model_store_serve_at is '192.0.2.9': write one address"),
        ("0.0.0.0:8790", ["192.0.2.0/24"], "model_store_serve_at is 0.0.0.0:8790: write the one address"),
        ("[::]:8790", ["192.0.2.0/24"], "model_store_serve_at is [::]:8790: write the one address"),
        (
            "[::ffff:0.0.0.0]:8790",
            ["2001:db8::/32"],
            "model_store_serve_at is [::ffff:0.0.0.0]:8790: write the address",
        ),
        ("192.0.2.9:443", ["192.0.2.0/24"], "model_store_serve_at is 192.0.2.9:443: write a port from 1024 on"),
        (AT, ["2001:db8::/32"], "model_store_serve_at is 192.0.2.9:8790, and model_store_serve_to has no network of"),
        (AT, [f"10.0.{n}.0/24" for n in range(65)], "model_store_serve_to has 65 entries: 64 are the most"),
        (AT, ["0.0.0.0/0"], "model_store_serve_to has 0.0.0.0/0, which is everybody"),
        (AT, ["::/0"], "model_store_serve_to has ::/0, which is everybody"),
        (AT, ["192.0.2.9/24"], "model_store_serve_to has '192.0.2.9/24' (192.0.2.9/24 has host bits set): write"),
        (AT, ["lan"], "model_store_serve_to has 'lan': write a network"),
    ],
)
def test_what_would_serve_nobody_or_everybody_is_refused(at: str, to: list[str], told: str) -> None:
    errors: list[str] = []
    assert serving(at, to, errors) == Serving()
    assert [text.startswith(told) for text in errors] == [True], errors
