# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Known security advisories of a vLLM release.

Source: `advisories.json` as described in the README beside it; the table has a date, and a newer one may know more.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ..._findings.findings import Findings
from ..._outside.documents import Json
from ..._settings.names import listed
from ..._vllm.schema import VERSION
from ..inventory.instances import Instance

Numbers = tuple[int, ...]
SHOWN = 6
VARIABLE = "vllm_server_accept_advisories"


def affecting(version: str, data: Json) -> list[Json]:
    """Rows that hold for a release, by its number alone: newest fix first, without a known fix last."""
    at = _numbers(version)
    found = [row for row in data.get("advisories", []) if _affected(at, row)]
    return sorted(found, key=lambda row: _numbers(row["fixed"] or row.get("last_affected") or "0"), reverse=True)


def _affected(at: Numbers, row: Json) -> bool:
    if row.get("introduced") and at < _numbers(row["introduced"]):
        return False
    if row.get("last_affected"):
        return at <= _numbers(row["last_affected"])
    return not row.get("fixed") or at < _numbers(row["fixed"])


def check(version: str, data: Json, instances: t.Sequence[Instance], accepted: bool, findings: Findings) -> None:
    """One warning for the release; an error for each instance that strangers could reach on a release that is open."""
    if not data:
        return
    suffix = _suffix(version)
    if suffix:
        findings.warn(
            f"Which advisories hold for vLLM {version} is unknown, its builder may have added fixes ({suffix}): "
            "the number decides here."
        )
    open_rows = affecting(version, data)
    fixed = [row for row in open_rows if row.get("fixed") or row.get("last_affected")]
    if fixed:
        findings.warn(_text(version, open_rows, fixed, data))
    refused = str(data.get("refused_below") or "")
    if not refused or _numbers(version) >= _numbers(refused) or accepted:
        return
    for instance in instances:
        if instance.active and not ipaddress.ip_address(instance.bind).is_loopback:
            findings.error(
                f"instance {instance.name}: vLLM {version} is below {refused} and open to attacks over the network "
                f"(advisories of {data['date']}), and it listens on {instance.bind}: use a newer image, bind it to "
                f"127.0.0.1, or insist with {VARIABLE}: true."
            )


def _text(version: str, rows: t.Sequence[Json], fixed: t.Sequence[Json], data: Json) -> str:
    newest = next((str(row["fixed"]) for row in fixed if row.get("fixed")), "A newer release")
    names = [str(row["id"]) for row in fixed[:SHOWN]]
    if len(fixed) > SHOWN:
        names.append(f"{len(fixed) - SHOWN} more")
    many = "advisory" if len(fixed) == 1 else "advisories"
    unfixed = len(rows) - len(fixed)
    rest = f" {unfixed} more have no known fix." if unfixed else ""
    return (
        f"vLLM {version} has {len(fixed)} known {many} (as of {data['date']}): {listed(names)}. {newest} has the fixes "
        f"that are known.{rest}"
    )


def _suffix(version: str) -> str:
    match = VERSION.fullmatch(version.strip())
    return "" if match is None else (match[4] or "") + (match[5] or "")


def _numbers(version: str) -> Numbers:
    """`0.10.1.1` as numbers, for releases with a fourth one too."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    return tuple(int(part) for part in match[1].split(".")) if match else ()
