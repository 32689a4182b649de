# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that change. Where a key can be read, and that it is nowhere else, is the affair of the scenario `secrets`."""

from __future__ import annotations

import secrets

from ansible_collections.gpufleet.vllm.tests.faults.host import URL, Host
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Row


def answered(host: Host, key: str = "") -> str:
    """The HTTP status for somebody who sends this key, or none."""
    sent = ("--header", f"Authorization: Bearer {key}") if key else ()
    shown = ("--silent", "--output", "/dev/null", "--write-out", "%{http_code}")
    return host.run("curl", *shown, *sent, f"{URL}/v1/models", check=False)


def test_f30_key_rotation(row: Row) -> None:
    """A key comes, changes and goes: each is proved with the new one, and the old one is refused from then on."""
    first, second = secrets.token_hex(20), secrets.token_hex(20)
    play = row.roll_out(row.changed(api_key=first))
    assert play.code == 0, play.log
    assert [answered(row.host), answered(row.host, first)] == ["401", "200"]
    # A release with the next key that fails leaves the key before it in force.
    bad = row.changed(api_key=second, engine_args={"tokenizer": "/models/none"})
    row.refused(row.roll_out(bad), "It was rolled back.")
    assert [answered(row.host, second), answered(row.host, first)] == ["401", "200"]
    play = row.roll_out(row.changed(api_key=second))
    assert play.code == 0, play.log
    row.says(play, "api_key: changed")
    assert [answered(row.host, first), answered(row.host, second)] == ["401", "200"]
    last = row.roll_out(None)
    assert last.code == 0, last.log
    row.serves(row.good.digest)
    row.has_nothing_to_do()
    said = "".join(path.read_text() for path in play.log.parent.glob(f"{play.log.name.partition('-')[0]}-*.log"))
    assert first not in said and second not in said
