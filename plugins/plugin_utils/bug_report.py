# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report of a bug as Markdown, for people who were not there: versions, hosts, releases, failures and logs.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import MASK, concealed, concealed_log
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable, printable_lines

# Characters of a log, its newest ones, and of a document of one host.
LARGEST_LOG, LARGEST_DOCUMENT = 65_536, 262_144
# What is shorter may be part of any word.
SHORTEST_SECRET = 6
# Of the host's facts. Processes, containers and packages of others are nobody's affair.
OF_HOST = ("state", "advice", "os", "boot", "driver", "gpus", "engine")
OF_GPU = ("index", "name", "memory_mib", "compute_capability", "mig", "ecc", "recovery_action", "xid", "problems")
OF_ENGINE = ("name", "version", "kind", "running", "problem", "cdi", "nvidia_runtime", "default_runtime", "root")
FAILED = (
    ("failed at", "at"),
    ("release", "digest"),
    ("stage", "stage"),
    ("class", "failure_class"),
    ("cause", "cause"),
)
PREFACE = (
    "Keys, tokens and passwords are masked where they are known or look like ones; names of hosts, models and "
    "addresses are in it, and all that engines log. Read it before others do."
)


class Host(t.NamedTuple):
    """What one host told. Each is empty where it told nothing: facts, instances, logs as vllm_logs returns them."""

    facts: Json
    instances: t.Sequence[t.Any]
    logs: t.Sequence[t.Any]
    inventory: t.Any


def report(versions: t.Mapping[str, str], hosts: t.Mapping[str, Host], secrets: t.Collection[str]) -> str:
    """The whole text. SECRETS are values that stand nowhere in it, whatever they look like."""
    lines = ["# Report for gpufleet.vllm", "", PREFACE, "", "## Versions", ""]
    lines += [f"- {name}: {version}" for name, version in versions.items()]
    for name, host in hosts.items():
        lines += ["", f"## {_word(name)}", *_host(host)]
    return _without("\n".join(lines) + "\n", secrets)


def secret_values(value: t.Any) -> set[str]:
    """All texts of VALUE that are long enough to be told from other words."""
    if isinstance(value, t.Mapping):
        return set().union(*map(secret_values, value.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*map(secret_values, value))
    return {value} if isinstance(value, str) and len(value) >= SHORTEST_SECRET else set()


def _host(host: Host) -> list[str]:
    lines = [*_document("The host", _of_host(host.facts)), *_document("What it knows", host.instances)]
    lines += _document("What the inventory states", host.inventory)
    for log in host.logs:
        lines += ["", f"### {_word(log.get('instance'))}"]
        lines += [f"- {_word(log.get('container'))}: {_word(log['problem'])}"] if log.get("problem") else []
        lines += _log("The newest lines of its log", log.get("lines"))
        failed = log.get("failed")
        if isinstance(failed, dict):
            lines += ["", *(f"- {title}: {_word(failed.get(name))}" for title, name in FAILED)]
            lines += _log("The log of what failed", failed.get("log"))
    return lines


def _of_host(facts: Json) -> Json:
    known = {name: facts[name] for name in OF_HOST if name in facts}
    gpus, engine = known.get("gpus"), known.get("engine")
    if isinstance(gpus, list):
        known["gpus"] = [{name: gpu[name] for name in OF_GPU if name in gpu} for gpu in gpus if isinstance(gpu, dict)]
    if isinstance(engine, dict):
        known["engine"] = {name: engine[name] for name in OF_ENGINE if name in engine}
    return known


def _document(title: str, known: t.Any) -> list[str]:
    if not known:
        return []
    text = json.dumps(concealed(known), indent=2, ensure_ascii=False, default=str)
    shown = text if len(text) <= LARGEST_DOCUMENT else f"{text[:LARGEST_DOCUMENT]}\n[cut off: {len(text)} characters]"
    return ["", f"**{title}**", "", *_fenced(shown, "json")]


def _log(title: str, lines: t.Any) -> list[str]:
    text = "\n".join(map(str, lines)) if isinstance(lines, list) else ""
    return ["", f"**{title}**", "", *_fenced(concealed_log(text)[-LARGEST_LOG:], "text")] if text else []


def _fenced(text: str, language: str) -> list[str]:
    """A block that no line of TEXT ends: its fence is longer than any run of them in it."""
    text = printable_lines(text)
    longest = max(map(len, re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return [f"{fence}{language}", text, fence]


def _word(said: t.Any) -> str:
    """One line in which nothing is markup."""
    return re.sub(r"([\\`*_<>\[\]#|!])", r"\\\1", concealed_log(printable(said if said is not None else "")))


def _without(text: str, secrets: t.Collection[str]) -> str:
    """A value is looked for as it is, and as it stands in JSON and in a line of markup."""
    for secret in sorted(secrets, key=len, reverse=True):
        for form in {secret, json.dumps(secret, ensure_ascii=False)[1:-1], _word(secret)}:
            text = text.replace(form, MASK)
    return text
