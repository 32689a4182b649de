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
import urllib.parse

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import MASK, concealed, concealed_log
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable, printable_lines

# Characters of a log, its newest ones, and of a document of one host.
LARGEST_LOG, LARGEST_DOCUMENT = 65_536, 262_144
# What is shorter may be part of any word.
SHORTEST_SECRET = 6
# Keys of a log as vllm_logs returns it, a list of lines each.
LOGS = ("lines", "log")
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
    """What one host told. Each is empty where it told nothing: facts, instances, logs as vllm_logs returns them.
    `inventory` is what is stated of its instances, `unread` a sentence for each part of it that cannot be read."""

    facts: Json
    instances: t.Sequence[t.Any]
    logs: t.Sequence[t.Any]
    inventory: t.Any
    unread: t.Sequence[str] = ()


def report(versions: t.Mapping[str, str], hosts: t.Mapping[str, Host], secrets: t.Collection[str]) -> str:
    """The whole text. SECRETS are values that stand nowhere in it, whatever they look like."""
    lines = ["# Report for gpufleet.vllm", "", PREFACE, "", "## Versions", ""]
    lines += [f"- {name}: {version}" for name, version in versions.items()]
    forms = _forms(secrets)
    for name, host in hosts.items():
        # Before what looks like a secret is masked, or anything is cut off: a part of one would be left.
        lines += ["", f"## {_word(name)}", *_host(Host(*(_hidden(part, forms) for part in host)))]
    return _without("\n".join(lines) + "\n", forms)


def secret_values(value: t.Any) -> set[str]:
    """All texts of VALUE that are long enough to be told from other words."""
    if isinstance(value, t.Mapping):
        return set().union(*map(secret_values, value.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*map(secret_values, value))
    # YAML makes a number of a password of digits.
    text = "" if value is None or isinstance(value, bool) else str(value)
    return {text} if len(text) >= SHORTEST_SECRET else set()


def _host(host: Host) -> list[str]:
    lines = [*_document("The host", _of_host(host.facts)), *_document("What it knows", host.instances)]
    lines += _document("What the inventory states", host.inventory)
    lines += ["", *(f"- {_word(sentence)}" for sentence in host.unread)] if host.unread else []
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
    text = lines if isinstance(lines, str) else ""
    return ["", f"**{title}**", "", *_fenced(concealed_log(text)[-LARGEST_LOG:], "text")] if text else []


def _fenced(text: str, language: str) -> list[str]:
    """A block that no line of TEXT ends: its fence is longer than any run of them in it."""
    text = printable_lines(text)
    longest = max(map(len, re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return [f"{fence}{language}", text, fence]


def _word(said: t.Any) -> str:
    """One line in which nothing is markup."""
    return re.sub(r"([\\`*_~&$<>\[\]#|!])", r"\\\1", concealed_log(printable(said if said is not None else "")))


def _forms(secrets: t.Collection[str]) -> list[str]:
    """As each of them may stand somewhere: as it is, in JSON, in an address, in a line of markup, or line by line."""
    found: set[str] = set()
    for secret in secrets:
        for text in {secret, *secret.splitlines()}:
            if len(text.strip()) >= SHORTEST_SECRET:
                found |= {text.strip(), text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
                found |= {urllib.parse.quote(text, safe=""), printable_lines(text), _word(text)}
    return sorted(found, key=lambda form: (-len(form), form))


def _hidden(value: t.Any, forms: t.Sequence[str]) -> t.Any:
    """The same without them. Lines of a log become one text, as a secret may have several."""
    if isinstance(value, dict):
        return {
            _without(key, forms) if isinstance(key, str) else key: _hidden(
                "\n".join(map(str, part)) if key in LOGS and isinstance(part, list) else part, forms
            )
            for key, part in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_hidden(part, forms) for part in value]
    if not isinstance(value, (str, int, float)):
        return value
    text = str(value)
    shown = _without(text, forms)
    return value if shown == text else shown


def _without(text: str, forms: t.Sequence[str]) -> str:
    for form in forms:
        text = text.replace(form, MASK)
    return text
