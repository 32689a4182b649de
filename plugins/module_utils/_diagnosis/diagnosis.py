# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an engine failed, from its log, its exit code, what Docker says of it, and what its operator has set.

The cause is what ended the engine: of its last life, of the failures that no other one brought about, the one that says
most. The last lines of a log are wrappers around it, so much more than them is searched: the newest MiB.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._outside.concealing import concealed_log
from .._outside.printable import printable
from . import causes, failures, log_text, places, settings, signals
from .events import WRAPPERS, Event, lives
from .matching import Match, kind_of, searched


class Failure(t.TypedDict, total=False):
    """A diagnosis as JSON: in a state file, a request, and the last line of a rollout."""

    failure_class: str
    cause: str
    advice: str


@dataclass(frozen=True)
class Diagnosis:
    """What failed, in the words of a class, the log's own line, and what to do about it."""

    failure_class: str
    cause: str
    advice: str

    def as_dict(self) -> Failure:
        return {"failure_class": self.failure_class, "cause": self.cause, "advice": self.advice}


_COMPILER = re.compile(
    r"cannot find -l|nvcc fatal|ptxas fatal|fatal error: |: error: |"
    r"^\S*sh: (?:line )?\d+: .{1,200}(?:not found|No such file)"
)
_OF_COMPILERS = ("jit.build", "arch.cuda")
_BEST = 3
# What a program says that ends itself with SIGABRT.
_ABORT = re.compile(r"terminate called|Assertion .{0,300}failed|Check failed:|(?:free|malloc)\w*\(\): |double free")
# All that is left of a process that died without a word.
_SILENT = re.compile(
    r"engine core exited unexpectedly|Engine core proc(?:ess)? \S+ died unexpectedly|"
    r"WorkerProc initialization failed|Engine core initialization failed|RayWorkerProc .{0,80} died unexpectedly"
)
# A warning of vLLM's, no error: a worker that hangs, or one that compiles for long.
_HANGING = re.compile(r"No available shared memory broadcast block found in \d+ second")
_REFUSING = re.compile(
    r"^(?:Value error, |Assertion failed, |"
    r"(?:\w+\.)*(?:ValueError|\w*ValidationError|NotImplementedError|AssertionError|TypeError)\b|"
    r"(?:\w+\.)*(?:RuntimeError|FileNotFoundError|ImportError): .{0,300}\b(?:must|should|requires?|[Pp]lease|[Tt]ry|"
    r"but)\b)"
)
# What no setting alone is at fault for: with this model, on this GPU, this release cannot do it.
_LACKING = re.compile(
    r"\bnot (?:yet |currently |been )?(?:supported|implemented|compatible)|"
    r"does(?: not|n't) (?:currently |yet )?support|[Uu]nsupported(?! (?:operand|format|pickle))|"
    r"\bonly supports?\b|\bonly (?:be )?supported|"
    # Of shapes and of what a function is called with it tells a mistake.
    r"[Ii]ncompatible(?! (?:\w+ ){0,2}(?:arguments?|shapes?|sizes?|dimensions?)\b)|"
    # torch says the same of a process group without GPUs.
    r"^NotImplementedError\b|[Nn]o (?:\w+ ){0,3}(?:kernels?|backends?(?! type associated)) "
)
# vllm/engine/arg_utils.py, _raise_unsupported_error: settings that ask for what the release does not do.
_ASKED_FOR = re.compile(r"(?P<what>\S.{0,120}) is not supported\. We recommend to remove (?P=what) from your config")
_ASKED_BY = {
    "Concurrent Partial Prefill": "max_num_partial_prefills and max_long_partial_prefills",
    "Pipeline Parallelism": "pipeline_parallel_size, or distributed_executor_backend",
}
_LACKING_SAID_BY = re.compile(r"^(?:\w+\.)*(?:ValueError|NotImplementedError|AssertionError|RuntimeError|TypeError)\b")
# What no setting is refused by: vLLM's own code did not foresee something.
_MISTAKE = re.compile(
    r"(?:AttributeError|TypeError|NameError|UnboundLocalError|IndexError|KeyError|ZeroDivisionError)\b|"
    # A worker's, whose kind its executor leaves out.
    r"index \d+ is out of bounds for dimension|list index out of range|'NoneType' object "
)
_OF_VLLM = re.compile(r"/vllm/(?!entrypoints/)")
_CAUSE_LENGTH = 300
_KILLED = 128 + 9
_ISSUES = "https://github.com/vllm-project/vllm/issues"
_REPORT = "https://github.com/gpufleet/ansible-vllm/issues"
_FREE = re.compile(r"Free memory on device.{0,40}?\((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\)")
# GiB that a driver and a display take; what is beyond belongs to somebody.
_OVERHEAD = 2.5


def cleaned(line: str) -> str:
    """The line without secrets and vLLM's process and time prefixes, at most 300 printable characters."""
    return _fit(log_text.said(printable(line[: log_text.LINE]).strip()).words)


def _fit(words: str) -> str:
    """Words that stand alone already, made fit to be shown: no secret, nothing that steers a terminal."""
    return concealed_log(printable(words).strip())[:_CAUSE_LENGTH]


def hanging(log: str) -> str:
    """The line in which the engine says that a worker does not take what it is given; '' where none does."""
    return _hanging(log_text.lines(log))


def _hanging(lines: t.Sequence[str]) -> str:
    return cleaned(next((line for line in lines if _HANGING.search(line)), ""))


def diagnose(
    log: str,
    exit_code: int | None = None,
    oom_killed: bool = False,
    release: t.Mapping[str, t.Any] | None = None,
) -> Diagnosis:
    """Name the root cause. exit_code is None while the container runs; `release` is what was started, if known."""
    if oom_killed:
        return _killed(exit_code, "the kernel, because the container ran out of memory", "host.oom")
    everything = log_text.lines(log)
    known = settings.of_log(everything) if release is None else settings.of_release(release)
    lines = log_text.own(log)
    hint = _hanging(everything)
    life = causes.last_life(lives(lines), bool(hint))
    classed = causes.classed(life, known)
    if classed is not None:
        return _diagnosis(*classed, life, hint, known)
    dead = signals.death(lines, exit_code)
    root = causes.root(life)
    # vLLM kills what is left of it itself: a kill is a cause only where nothing else is.
    killed = dead is not None and dead.number == signals.KILL and (root is not None or not dead.line)
    if dead is not None and not killed:
        return _signal(life, dead, _no_error(everything))
    if root is not None:
        return _unknown(root, known)
    if hint:
        return Diagnosis("shm.hang", hint, failures.NAMED["shm.hang"].advice)
    if exit_code == _KILLED:
        return _killed(exit_code, "a SIGKILL", "host.killed")
    return _silent(everything, lines)


def _diagnosis(event: Event, match: Match, life: t.Sequence[Event], hint: str, known: t.Mapping[str, str]) -> Diagnosis:
    if match.kind.name == "shm.hang" and hint:
        return Diagnosis("shm.hang", hint, match.advice)
    name, line, advice = match.kind.name, event.shown or match.frame, match.advice
    if not searched(match.pattern, line):  # a line below says it
        line = next((more for more in event.more if searched(match.pattern, more)), line)
    if name == "jit.build":
        return _built(line, match, life, known)
    if name == "gpu.fault":
        line, advice = _asserted(line, advice, life, known)
    # Only the API server has the instance's own port.
    if name == "port.busy" and causes.depth(event) and "in use" in line:
        return Diagnosis("port.internal", _fit(line), failures.NAMED["port.internal"].advice)
    if name == "mem.busy":
        return _busy(_fit(line), advice)
    if name == "flag.json_key":
        advice += "".join(f" It is a key of {mapping}." for mapping in settings.checked_in(event.text, ()) or ())
    return Diagnosis(name, _fit(line), advice)


def _built(line: str, match: Match, life: t.Sequence[Event], known: t.Mapping[str, str]) -> Diagnosis:
    """What a compiler said itself: who started it only tells that it failed."""
    line = next((other.line for other in life if _COMPILER.search(other.line)), line)
    said = kind_of(line, (), known)
    if said is None or said.kind.name not in _OF_COMPILERS:
        said = match
    return Diagnosis(said.kind.name, _fit(line), said.advice)


def _asserted(line: str, advice: str, life: t.Sequence[Event], known: t.Mapping[str, str]) -> tuple[str, str]:
    """What a kernel asserted: the exception that comes of it only tells that something did."""
    asserted = [other for other in life if "Assertion `" in other.line]
    for other in asserted[:_BEST]:
        said = kind_of(other.line, (), known)
        if said is not None and said.kind.name == "gpu.fault":
            return other.line, said.advice
    return line, advice


def _busy(line: str, advice: str) -> Diagnosis:
    """Memory that is taken: by somebody, or by no more than a driver and a display, as it will be next time too."""
    found = _FREE.search(line)
    free, total = (float(found["free"]), float(found["total"])) if found else (0.0, 0.0)
    if not 0 < free <= total:
        return Diagnosis("mem.busy", line, advice)
    share = int(free / total * 100) / 100
    if total - free <= _OVERHEAD:
        told = (
            f"Lower gpu_memory_utilization to at most {share:g}: {total - free:.1f} GiB of the GPU are taken before "
            "the engine starts, as by the driver and a display, and will be next time too."
        )
        return Diagnosis("mem.share", line, told)
    told = (
        f"{total - free:.1f} of the GPU's {total:g} GiB are taken (`nvidia-smi` shows by what): free them, or lower "
        f"gpu_memory_utilization to at most {share:g}."
    )
    return Diagnosis("mem.busy", line, told)


def _unknown(root: Event, known: t.Mapping[str, str]) -> Diagnosis:
    """A failure of no class: what it speaks of that can be set, where it was, and who wants to know."""
    line = _fit(root.shown)
    checked = settings.checked_in(root.text, root.frames)
    names = list(dict.fromkeys([*settings.spoken_of(root.text, known), *(checked or ())]))
    given = [name for name in names if name in known]
    if names and _REFUSING.match(line):
        other = f", or leave {' and '.join(given)} out, and vLLM chooses" if given else ""
        return Diagnosis(
            "flag.refused", line, f"vLLM refuses how {_listed(names, known)} is set: do as the line says{other}."
        )
    if checked is not None and _REFUSING.match(line):
        spoken = settings.in_words(root.text)
        more = f" It speaks of {' and '.join(spoken)}." if spoken else ""
        return Diagnosis(
            "flag.refused", line, f"vLLM refuses these settings, or this model with them: do as the line says.{more}"
        )
    asked = _ASKED_FOR.search(line)
    if asked is not None:
        by = next((by for what, by in _ASKED_BY.items() if what in asked["what"]), "what asks for it")
        return Diagnosis("flag.refused", line, f"This release does not do that: leave {by} out.")
    if _LACKING_SAID_BY.match(line) and _LACKING.search(line):
        return _lacking(line, root, known)
    ours = any(_OF_VLLM.search(frame) for frame in root.frames) if root.frames else bool(root.where)
    if _MISTAKE.match(line) and ours:
        place_more = " It is mostly a mistake of this release with such a model or such settings: try another release."
    else:
        place_more = ""
    named = f" It speaks of {', '.join(names)}." if names else ""
    place = places.said_of([_fit(frame) for frame in root.frames], known)
    return Diagnosis("unknown", line, _reported(f"{named} {place}".rstrip() + place_more))


def _lacking(line: str, root: Event, known: t.Mapping[str, str]) -> Diagnosis:
    """What this release cannot do: what may be done without the part that says so, then another release or build."""
    place = places.said_of([_fit(frame) for frame in root.frames], known)
    told = f"{failures.BESIDES['release.lacks'].advice} {place}".rstrip()
    return Diagnosis("release.lacks", line, told)


def _listed(names: t.Sequence[str], known: t.Mapping[str, str]) -> str:
    return ", ".join(f"{name} (it is {known[name]})" if name in known else name for name in names)


def _reported(more: str = "") -> str:
    return (
        f"This failure is of no class that is known here.{more} Look for the line in {_ISSUES}, and report it with the "
        f"kept log (engine.log, diagnosis.json) at {_REPORT}."
    )


def _killed(exit_code: int | None, killer: str, failure_class: str) -> Diagnosis:
    return Diagnosis(
        failure_class,
        f"the container was ended by {killer} (exit code {exit_code})",
        failures.BESIDES["host.oom"].advice,
    )


def _signal(life: t.Sequence[Event], dead: signals.Death, silent: str) -> Diagnosis:
    """A process that a signal ended; one that ended itself has said why."""
    own = ""
    if dead.number == signals.ABORT:
        own = next((event.line for event in life if _ABORT.search(event.line)), "")
        root = causes.root(life) or next(
            (event for event in life if event.exception and not WRAPPERS.search(event.line)), None
        )
        own = own or (root.line if root else "")
    said = _fit(own or dead.line or _last_words(life)) or silent
    signal = dead.signal
    return Diagnosis(
        signal.failure_class, f"{dead.who} died of {signal.name} ({signal.meaning}): {said}", signal.advice
    )


def _silent(everything: t.Sequence[str], lines: t.Sequence[log_text.Said]) -> Diagnosis:
    """What is left where no error is: a process that is gone, or the last words."""
    # A warning of vLLM's too: its client finds nobody there.
    silent = next((line for line in everything if _SILENT.search(line)), "")
    if silent:
        return Diagnosis(
            "died.silent",
            f"a process of the engine died without a word: {cleaned(silent)}",
            failures.BESIDES["died.silent"].advice,
        )
    last = [line.words for line in lines if line.words and not line.harmless]
    told = " | ".join(last[-_BEST:])
    return Diagnosis("unknown", _fit(told) or _no_error(everything), _reported())


def _last_words(life: t.Sequence[Event]) -> str:
    return next((event.line for event in reversed(life) if event.line), "")


def _no_error(lines: t.Sequence[str]) -> str:
    last = _fit(next((line for line in reversed(lines) if line.strip()), ""))
    return f"the log names no error, and ends with: {last}" if last else "the log is empty"
