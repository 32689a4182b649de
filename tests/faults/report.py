# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a run: a table for people, Markdown to keep, JSON for programs."""

from __future__ import annotations

import datetime as dt
import json
import platform
import subprocess
import typing as t

import yaml
from ansible.release import __version__ as ansible_version

from ansible_collections.gpufleet.vllm.tests.faults.host import Host
from ansible_collections.gpufleet.vllm.tests.faults.matrix import Record
from ansible_collections.gpufleet.vllm.tests.faults.play import CHECKOUT

Json = dict[str, t.Any]
BUILD = CHECKOUT / "build"
COLUMNS = ("fault", "what", "exit", "serves", "generates", "failed of asked", "gap s", "state", "second run", "s", "")


def versions(host: Host) -> dict[str, str]:
    """What was run, so that a kept result says what it is the result of."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    shared = yaml.safe_load((CHECKOUT / "molecule/shared/inventory/group_vars/gpu_hosts.yml").read_text())
    inside = host.run("sh", "-c", "docker version --format '{{.Server.Version}}'; systemctl --version | head -1")
    docker, systemd = inside.splitlines()
    return {
        "commit": commit.stdout.strip(),
        "ansible-core": ansible_version,
        "vLLM": str(shared["vllm_server_version"]),
        "Docker": docker,
        "systemd": systemd.removeprefix("systemd "),
        "kernel": platform.release(),
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


def markdown(records: t.Sequence[Record], document: Json) -> str:
    lines = [
        f"Run on {document['date']} with "
        + ", ".join(f"{name} {value}" for name, value in document["versions"].items())
    ]
    lines += ["", "| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in cells(record)) + " |" for record in records]
    said = [(record.fault, text) for record in records for text in (*record.notes, record.error) if text]
    noted = [f"- {fault}: {text}" for fault, text in said]
    return "\n".join([*lines, "", *noted, *([""] if noted else []), f"**{tally(records)}**", ""])


def write(name: str, records: t.Sequence[Record], versions: dict[str, str]) -> None:
    """Write build/NAME.json and build/NAME.md."""
    document = {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        "versions": versions,
        "passed": sum(record.passed for record in records),
        "failed": sum(not record.passed for record in records),
        "rows": [record.as_dict() for record in records],
    }
    BUILD.mkdir(exist_ok=True)
    (BUILD / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (BUILD / f"{name}.md").write_text(markdown(records, document))
