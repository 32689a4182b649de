# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody has typed or kept in a script: `vllm serve`, `docker run` with its image, or vLLM's options alone.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from . import commands
from .served import Mount, Served, bare, variables_without_secrets, without_secrets

ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
NAMED = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+|[@*#?]))")
BEFORE = ("exec", "sudo", "nohup", "time", "export", "env", "-E", "command")
BETWEEN = frozenset(";&|")
WHAT = "the command"
# Where output goes is no word of a command; the number before it neither.
INTO = frozenset("<>&")
STREAM = re.compile(r"(?<=\s)[012](?=>)")
# What only a shell can work out.
WORKED_OUT = re.compile(r"\$[({]|`|^\(")
# Options of `docker run` that take no value; all others take one.
ALONE = frozenset(
    (
        "-d", "--detach", "-i", "--interactive", "-t", "--tty", "--rm", "--init", "--privileged", "--read-only", "-P",
        "--publish-all", "--no-healthcheck", "--oom-kill-disable", "--sig-proxy", "-q", "--quiet",
    )
)  # fmt: skip
# Single letters that stand together: `-it`, `-dit`.
LETTERS = re.compile(r"-[dit]{2,}")
# What is read of the others, and what an instance has by itself.
READ = frozenset(
    (
        "--name", "--entrypoint", "-e", "--env", "-p", "--publish", "-v", "--volume", "--mount", "--gpus", "--ipc",
        "--shm-size", "--network", "--net", "--restart", "--pull", "--runtime", "--platform", "--hostname", "-h",
        "--label", "-l", "--log-driver", "--log-opt", "--init", "--rm", "-d", "--detach", "-i", "--interactive", "-t",
        "--tty", "-q", "--quiet",
    )
)  # fmt: skip
JOINED = re.compile(r"-[a-z][^-]")


class NotUnderstood(ValueError):
    """The text says what is not understood, and what to write."""


def servers(text: str) -> list[Served]:
    """Those that the text starts, in its order. Raises NotUnderstood."""
    found: list[Served] = []
    known: dict[str, str] = {}
    for line in _commands(text):
        words, variables = _assigned(line, known)
        if words and words[0].startswith("-") and not words[0].startswith("-c"):
            found.append(bare(words, variables, WHAT))
            continue
        run = _docker_run(words)
        if run is not None:
            found.append(_in_container(run))
            continue
        served = commands.serving(words)
        if served is not None:
            found.append(bare(served, variables, WHAT))
    if not found:
        raise NotUnderstood("no vLLM server is started there: give a `vllm serve`, a `docker run`, or vLLM's options.")
    return found


def _commands(text: str) -> list[list[str]]:
    """The words of each command, quotes and continued lines understood as a shell does."""
    joined = STREAM.sub("", re.sub(r"\\\r?\n", " ", text))
    found: list[list[str]] = []
    for line in joined.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError as error:
            raise NotUnderstood(f"{line.strip()[:60]!r} cannot be read ({error}): close what it opens.") from error
        command: list[str] = []
        redirected = False
        for word in words:
            if set(word) & {"<", ">"} and set(word) <= INTO:
                redirected = True
            elif redirected:
                redirected = False
            elif set(word) <= BETWEEN:
                found.append(command)
                command = []
            else:
                command.append(word)
        found.append(command)
    return [one for one in found if one]


def _assigned(words: list[str], known: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command without what stands before it, and the variables that it alone is given."""
    own: dict[str, str] = {}
    at = 0
    while at < len(words):
        said = ASSIGNED.fullmatch(words[at])
        if said:
            own[said[1]] = _filled(said[2], known)
        elif words[at] not in BEFORE:
            break
        at += 1
    if at == len(words):
        known.update(own)
        return [], {}
    exported = {name: value for name, value in known.items() if name.startswith(("VLLM_", "HF_", "CUDA_", "NCCL_"))}
    command = words[at:]
    if commands.serving(command) is None and _docker_run(command) is None and not command[0].startswith("-"):
        return [], {}
    return [word for one in command for word in _split(one, known)], {**exported, **own}


def _split(word: str, known: t.Mapping[str, str]) -> list[str]:
    """A word that is one variable alone holds several options, as `$ARGS` does; any other stays one word."""
    alone = NAMED.fullmatch(word)
    filled = _filled(word, known)
    return shlex.split(filled) if alone else [filled]


def _filled(text: str, known: t.Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        name = found[1] or found[3]
        if name in known:
            return known[name]
        if found[2] is not None:
            return found[2]
        raise NotUnderstood(f"${name} has no value there: write what it stands for.")

    if WORKED_OUT.search(NAMED.sub("", text)):
        raise NotUnderstood("a shell has to work out a part of it ($(...), an array): write what comes of that.")
    return NAMED.sub(value, text)


class _Run(t.NamedTuple):
    options: list[tuple[str, str]]
    image: str
    words: list[str]

    def all(self, *names: str) -> list[str]:
        return [value for name, value in self.options if name in names]


def _docker_run(words: t.Sequence[str]) -> _Run | None:
    if len(words) < 3 or words[0].rpartition("/")[2] not in ("docker", "podman", "nerdctl"):
        return None
    at = next((at for at, word in enumerate(words[:4]) if word in ("run", "create")), 0) + 1
    if at == 1:
        return None
    options: list[tuple[str, str]] = []
    while at < len(words) and words[at].startswith("-"):
        name, equals, value = words[at].partition("=")
        if JOINED.match(words[at]) and not LETTERS.fullmatch(words[at]):
            name, equals, value = words[at][:2], "=", words[at][2:].lstrip("=")
        at += 1
        if not equals and name not in ALONE and not LETTERS.fullmatch(name):
            value = words[at] if at < len(words) else ""
            at += 1
        options.append((name, value))
    return _Run(options, words[at], list(words[at + 1 :])) if at < len(words) else None


def _in_container(run: _Run) -> Served:
    name = next(iter(run.all("--name")), "")
    words = commands.serving([*run.all("--entrypoint"), *run.words])
    shown, secrets = without_secrets(run.words if words is None else words)
    environment = {key: value for key, equals, value in (one.partition("=") for one in run.all("-e", "--env")) if key}
    stated, hidden = variables_without_secrets(environment)
    port, bind = _published(run, shown)
    return {
        "what": f"docker run of {run.image}",
        "name": name,
        "words": shown,
        "image": run.image,
        "version": "",
        "variables": stated,
        "mounts": [*map(_volume, run.all("-v", "--volume")), *map(_mount, run.all("--mount"))],
        "port": port,
        "bind": bind,
        "gpus": _gpus(run, environment),
        "shm_mib": _mib(next(iter(run.all("--shm-size")), "")),
        "host_ipc": "host" in run.all("--ipc"),
        "contained": True,
        "withheld": sorted({*secrets, *hidden}),
        "unread": sorted(
            {option for option, _value in run.options if option not in READ and not LETTERS.fullmatch(option)}
        ),
        "stop": f"docker update --restart=no {shlex.quote(name)} && docker stop {shlex.quote(name)}" if name else "",
    }


def _published(run: _Run, words: t.Sequence[str]) -> tuple[int, str]:
    if "host" in run.all("--network", "--net"):
        return 0, ""
    asked = commands.port(words)
    for one in run.all("-p", "--publish"):
        *front, inside = one.partition("/")[0].rsplit(":", 2)
        if inside == asked and front and front[-1].isdecimal():
            return int(front[-1]), front[0].strip("[]") if len(front) > 1 else "0.0.0.0"
    return -1, ""


def _volume(text: str) -> Mount:
    host, _colon, inside = text.partition(":")
    return {"host": host, "inside": inside.partition(":")[0]}


def _mount(text: str) -> Mount:
    said = dict(part.partition("=")[::2] for part in text.split(","))
    return {
        "host": said.get("source") or said.get("src") or "",
        "inside": said.get("target") or said.get("destination") or said.get("dst") or "",
    }


def _gpus(run: _Run, environment: t.Mapping[str, str]) -> list[str]:
    asked = ",".join(run.all("--gpus")).strip("\"'")
    devices = asked.partition("device=")[2] or environment.get("CUDA_VISIBLE_DEVICES", "")
    return [one.strip(" \"'") for one in devices.split(",") if one.strip(" \"'")]


def _mib(text: str) -> int:
    found = re.fullmatch(r"(\d+)([bkmg]?)b?", text.lower())
    return int(int(found[1]) * {"": 2**-20, "b": 2**-20, "k": 2**-10, "m": 1, "g": 1024}[found[2]]) if found else 0
