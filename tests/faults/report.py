# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a run: a table for people, a section of docs/faults-result.md, JSON for programs."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import platform
import statistics
import subprocess
import typing as t

import yaml
from ansible.release import __version__ as ansible_version

from ansible_collections.gpufleet.vllm.tests.faults import random_kills
from ansible_collections.gpufleet.vllm.tests.faults.host import Host
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Record
from ansible_collections.gpufleet.vllm.tests.faults.play import CHECKOUT

Json = dict[str, t.Any]
BUILD = CHECKOUT / "build"
PAGE = CHECKOUT / "docs" / "faults-result.md"
FAULTS, KILLS = "faults", "kills"
COLUMNS = ("fault", "what", "exit", "serves", "generates", "failed of asked", "gap s", "state", "second run", "s", "")
# Of those, what the page has.
KEPT = ("fault", "what", "exit", "failed of asked", "gap s", "second run", "")


def versions(host: Host) -> dict[str, str]:
    """What was run, so that a kept result says what it is the result of."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    shared = yaml.safe_load((CHECKOUT / "molecule/shared/inventory/group_vars/gpu_hosts.yml").read_text())
    asked = "docker version --format '{{.Server.Version}}'; systemctl --version | head -1"
    named = ". /etc/os-release; echo $PRETTY_NAME"
    docker, systemd, system = host.run("sh", "-c", f"{asked}; {named}").splitlines()
    return {
        "commit": commit.stdout.strip(),
        "hosts": system,
        "Docker": docker,
        "systemd": systemd.removeprefix("systemd "),
        "vLLM": str(shared["vllm_server_version"]),
        "ansible-core": ansible_version,
        "Linux": platform.release().partition("-")[0],
    }


def cells(record: Record) -> tuple[str, ...]:
    return (
        record.fault,
        record.what,
        " ".join(str(code) for code in record.exit_codes),
        record.serves or "nothing",
        "yes" if record.answer else "no",
        f"{record.failed} of {record.asked}",
        f"{record.longest_gap:.1f}",
        record.state,
        record.second_run,
        f"{record.seconds:.0f}",
        "passed" if record.passed else "FAILED",
    )


def tally(records: t.Sequence[Record]) -> str:
    passed = sum(record.passed for record in records)
    return f"{passed} passed, {len(records) - passed} failed"


def table(records: t.Sequence[Record]) -> str:
    """Columns as wide as what is in them."""
    rows = [COLUMNS, *map(cells, records)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def section(name: str, records: t.Sequence[Record], document: Json) -> str:
    """What the page says of a run."""
    versions = ", ".join(f"{what} {value}" for what, value in document["versions"].items())
    one_at_a_time = "one after another" if document["at_once"] == 1 else f"{document['at_once']} at a time"
    begin = f"Run on {document['date']} in {document['minutes']} min, {one_at_a_time}: {versions}."
    body = _kills(records) if name == KILLS else _rows(records)
    told = [(record.fault, text) for record in records for text in (*record.notes, record.error) if text]
    # A log's path is of this machine, and the log is not on the page.
    noted = [f"- {fault}: {' '.join(text.split()).replace(f'{CHECKOUT}/', '')}" for fault, text in told]
    return "\n".join([begin, "", *body, "", *noted, *([""] if noted else []), f"**{tally(records)}**", ""])


def _rows(records: t.Sequence[Record]) -> list[str]:
    kept = [COLUMNS.index(name) for name in KEPT]
    lines = ["| " + " | ".join(KEPT) + " |", "|" + " --- |" * len(KEPT)]
    for record in records:
        row = cells(record)
        lines.append("| " + " | ".join(row[at].replace("|", "\\|") for at in kept) + " |")
    return lines


def _kills(records: t.Sequence[Record]) -> list[str]:
    """How often which was killed at which stage, and what it cost those who asked."""
    gaps = [record.longest_gap for record in records]
    asked, failed = sum(record.asked for record in records), sum(record.failed for record in records)
    cost = (
        f"The longest time without an answer was {statistics.median(gaps):.1f} s in the median, rerun included, and "
        f"{max(gaps):.1f} s at most. Of {asked} questions {failed} failed."
    )
    return [*random_kills.hits([record.struck for record in records if record.struck]).splitlines(), "", cost]


def write(name: str, records: t.Sequence[Record], versions: dict[str, str], minutes: int = 0, at_once: int = 1) -> str:
    """Write build/NAME.json and build/NAME.md; the text of the latter."""
    document = {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "minutes": minutes,
        "at_once": at_once,
        "versions": versions,
        "passed": sum(record.passed for record in records),
        "failed": sum(not record.passed for record in records),
        "rows": [record.as_dict() for record in records],
    }
    text = section(name, records, document)
    BUILD.mkdir(exist_ok=True)
    (BUILD / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (BUILD / f"{name}.md").write_text(text)
    return text


def put_on_page(name: str, text: str, page: pathlib.Path | None = None) -> None:
    """Replace one section of the page. Raises ValueError where the page has no such section."""
    page = page or PAGE
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, found, rest = page.read_text().partition(begin)
    _old, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} has no section between {begin.strip()} and {end.strip()}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")
