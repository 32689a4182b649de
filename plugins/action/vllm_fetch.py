# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a host fetch models, and follows each download to its end. The host goes on by itself."""

from __future__ import annotations

import os
import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import COMMIT, Manifest, dump
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside import documents
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.printable import printable
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings import store_peers
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.model_places import on_control_node
from ansible_collections.gpufleet.vllm.plugins.module_utils._settings.store_peers import Serving
from ansible_collections.gpufleet.vllm.plugins.module_utils._store import progress
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.brought import Brought
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.desk import Request
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.progress import FAILED, WHOLE, Told
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Failed
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import fetch_requests
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.program_action import (
    FOLLOW_WAIT,
    LOST_LIMIT,
    ProgramAction,
)
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.sent_models import (
    NotSentError,
    Sender,
    cache,
    held,
    lacking,
)
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.told_action import as_told

MODULE = "gpufleet.vllm.vllm_fetch"
# Seconds between two lines about a download, on a terminal and in a log.
EVERY_ON_TERMINAL, EVERY_IN_LOG = 5.0, 60.0
# Downloads of the same model by somebody else that are waited for, one after another.
OTHERS = 10

OPTIONS: Json = {
    # Its keys are judged with all that is wrong.
    "models": {"type": "raw", "default": []},
    # They may hold API keys, which go to no host from here.
    "instances": {"type": "raw", "default": []},
    "allow_code": {"type": "raw", "default": []},
    "allow_dangerous": {"type": "raw", "default": []},
    "sources": {"type": "raw", "default": {}},
    "bundle": {"type": "str", "default": ""},
    "allow_pickles": {"type": "list", "elements": "str", "default": []},
    "hub_dir": {"type": "path", "default": "/var/cache/gpufleet/hub"},
    "endpoint": {"type": "str", "default": "https://huggingface.co"},
    "token": {"type": "str", "default": "", "no_log": True},
    "verify": {"type": "str", "choices": ["quick", "full"], "default": "quick"},
    "files_at_once": {"type": "int", "default": 4},
    "bandwidth": {"type": "float", "default": 0},
    "peers": {"type": "list", "elements": "str", "default": []},
    "serve_at": {"type": "str", "default": ""},
    "serve_to": {"type": "list", "elements": "str", "default": []},
}
SEEN: documents.Shape = {"told?": progress.SHAPE, "active": bool}
STARTED: documents.Shape = {"name": str, "unit": str, "run": str, "ours": bool, "joined": bool}


class One(t.TypedDict):
    """What became of one model; see RETURN of the module."""

    model: str
    revision: str
    outcome: str
    detail: str
    changed: bool
    commit: str
    missing_files: int
    missing_bytes: int
    received_bytes: int


def on_terminal() -> bool:
    """Whether what is displayed goes to a terminal: workers have left it, and their parent is who shows things."""
    try:
        shown = os.readlink(f"/proc/{os.getppid()}/fd/1")
    except OSError:
        return False
    return shown.startswith(("/dev/pts/", "/dev/tty", "/dev/console"))


class ActionModule(ProgramAction):
    """One host: its models one after another, each with several files at a time."""

    TRANSFERS_FILES = True
    SECRET, WITHOUT = "A token of the hub", "leave the token out"

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        result: Json = super().run(tmp, task_vars)
        _result, args = self.validate_argument_spec(OPTIONS)
        errors: list[str] = []
        requests = fetch_requests.read(args, errors)
        serving = store_peers.serving(args["serve_at"], args["serve_to"], errors)
        if errors:
            return {**result, "failed": True, "msg": " ".join(errors), "models": []}
        self._vars, self._token, self._shares = task_vars or {}, args["token"], bool(serving.at)
        self._host = str(self._task.delegate_to or self._vars.get("inventory_hostname", "the host"))
        do = self._look if self._task.check_mode else self._fetch
        models = [do(request) for request in requests]
        failed = [one["detail"] for one in models if one["outcome"] == FAILED]
        failed += self._share(serving, args["hub_dir"].strip().rstrip("/") or "/")
        result.update(models=models, changed=any(one["changed"] for one in models))
        if failed:
            return {**result, "failed": True, "msg": " ".join(failed)}
        return {**result, "msg": [one["detail"] for one in models]}

    def _share(self, serving: Serving, hub_dir: str) -> list[str]:
        """Let others read what is there, also where something else has failed. What went wrong."""
        if not serving.at or self._task.check_mode:
            return []
        share = {"hub_dir": hub_dir, "at": serving.at, "to": list(serving.to)}
        answer = self._with_program(self._execute, {"share": share})
        return [str(answer.get("msg") or "The models are not served to others.")] if answer.get("failed") else []

    def _look(self, request: Request) -> One:
        try:
            request, _manifest, _source = self._with_list(request)
        except Failed as error:
            return _failed(request, f"{request['model']}: {error}.")
        answer = self._execute({"request": request})
        found = answer.get("found")
        if answer.get("failed") or not isinstance(found, dict):
            return _failed(request, str(answer.get("msg") or "The host did not look."))
        return One(
            model=request["model"],
            revision=request["revision"],
            outcome=str(found["outcome"]),
            detail=printable(found["detail"]),
            changed=found["outcome"] == "missing",
            commit=str(found["commit"]),
            missing_files=int(found["missing_files"]),
            missing_bytes=int(found["missing_bytes"]),
            received_bytes=0,
        )

    def _fetch(self, request: Request) -> One:
        if not on_control_node(request.get("source", "")):
            return self._fetched(request)
        try:
            request, sent = self._sent(request)
        except (Failed, NotSentError, AnsibleConnectionFailure) as error:
            return _failed(request, f"{request['model']}: {str(error).rstrip('.')}.")
        one = self._fetched(request)
        if not sent:
            return one
        return {**one, "received_bytes": sent, "detail": f"{one['detail']} {progress.size(sent)} were sent."}

    def _with_list(self, request: Request) -> tuple[Request, Manifest | None, Brought | None]:
        """With the list of what the control node has, where it comes from there. A commit may be whole on the host, and
        needs no source then. Raises Failed."""
        if not on_control_node(request.get("source", "")):
            return request, None, None
        try:
            manifest, source = held(request, cache())
        except Failed:
            if COMMIT.fullmatch(request["revision"]):
                return request, None, None
            raise
        return t.cast("Request", {**request, "listed": dump(manifest)}), manifest, source

    def _sent(self, request: Request) -> tuple[Request, int]:
        """Whatever the host lacks is there afterwards, to be compared and placed. Raises Failed, NotSentError."""
        request, manifest, source = self._with_list(request)
        if manifest is None or source is None:
            return request, 0
        answer = self._with_program(self._execute, {"request": request, "look": True})
        found = answer.get("found")
        if answer.get("failed") or not isinstance(found, dict) or found.get("outcome") == FAILED:
            why = found.get("detail") if isinstance(found, dict) else answer.get("msg")
            raise NotSentError(printable(why or "the host did not look"))
        needs = lacking(found, manifest)
        if any(need.there < need.file["size"] for need in needs) and not self._pipes():
            raise NotSentError(
                "the host's connection or its way to become root has no pipelining, by which files are sent: use ssh "
                "and sudo, or bring the folder to the host and name it there"
            )
        return request, Sender(request, source, self._receive, self._shown(request["model"])).send(needs)

    def _receive(self, words: t.Sequence[str], piece: bytes) -> int:
        answer = self._answer_of_host(words, self._host, time, piece)
        try:
            said = documents.parse(answer["stdout"]) if answer["rc"] == 0 else None
            wrong = documents.misfit(said, {"size": int}, "it") if answer["rc"] == 0 else answer["stderr"].strip()
        except ValueError as error:
            said, wrong = None, str(error)
        if wrong or not isinstance(said, dict):
            raise NotSentError(f"the host did not take a file: {printable(wrong)}")
        return int(said["size"])

    def _shown(self, model: str) -> t.Callable[[Told], None]:
        """A line every few seconds, or minutes."""
        every, shown_at = EVERY_ON_TERMINAL if on_terminal() else EVERY_IN_LOG, [time.monotonic()]

        def show(told: Told) -> None:
            if time.monotonic() - shown_at[0] >= every:
                shown_at[0] = time.monotonic()
                self._show(model, told)

        return show

    def _fetched(self, request: Request) -> One:
        for _other in range(OTHERS):
            answer = self._with_program(self._execute, {"request": request, "shares": self._shares})
            if answer.get("failed"):
                return _failed(request, f"{request['model']}: {answer.get('msg') or 'the download did not start'}")
            started = answer.get("started")
            wrong = documents.misfit(started, STARTED, "what started")
            if wrong:
                raise AnsibleActionFail(f"{request['model']}: what the host says is not understood: {wrong}")
            one = self._follow(request, t.cast("Json", started))
            if t.cast("Json", started)["ours"]:
                return one
            self._display.display(f"[{self._host}] {request['model']}: another download of it has ended; now this one")
        return _failed(request, f"{request['model']}: others fetch it all the time, and this one never came about.")

    def _execute(self, args: Json) -> Json:
        if self._token:
            return as_told(self._execute_piped(MODULE, {**args, "token": self._token}, self._vars))
        return as_told(self._execute_module(MODULE, module_args=args, task_vars=self._vars))

    def _follow(self, request: Request, started: Json) -> One:
        """Show how far it is, until it has ended."""
        every = EVERY_ON_TERMINAL if on_terminal() else EVERY_IN_LOG
        wait = min(float(FOLLOW_WAIT), every)
        words = ["fetching", started["name"], "--run", started["run"], "--wait", f"{wait:g}"]
        shown_at = time.monotonic()
        while True:
            try:
                text = self._said_by_host(words, request["model"], "the download", time)
            except AnsibleConnectionFailure:
                return _failed(
                    request,
                    f"{request['model']}: the host has been out of reach for {LOST_LIMIT} s. It goes on by itself; run "
                    "this again to join it.",
                )
            told, active = _seen(request["model"], text)
            if told is not None and told["outcome"]:
                return _ended(request, told)
            if not active:
                return _failed(
                    request,
                    f"{request['model']}: the download ended without a word; look at `journalctl -u {started['unit']}` "
                    "on the host. What came is kept, and the next run goes on with it.",
                )
            if told is not None and time.monotonic() - shown_at >= every:
                shown_at = time.monotonic()
                self._show(request["model"], told)

    def _show(self, model: str, told: Told) -> None:
        if not self._task.no_log:
            self._display.display(f"[{self._host}] {model}: {printable(progress.line(told))}")


def _seen(model: str, text: str) -> tuple[Told | None, bool]:
    try:
        seen = documents.parse(text)
        problem = documents.misfit(seen, SEEN, "the answer")
    except ValueError as error:
        problem = printable(error)
    if problem:
        raise AnsibleActionFail(
            f"{model}: following the download failed, what the host says is not understood: {problem}"
        )
    return t.cast("Told | None", seen.get("told")), seen["active"]


def _ended(request: Request, told: Told) -> One:
    outcome = WHOLE if told["outcome"] == WHOLE else FAILED
    detail = printable(told["detail"])
    return One(
        model=request["model"],
        revision=request["revision"],
        outcome=outcome,
        detail=detail if outcome == WHOLE else f"{request['model']}: {detail}",
        changed=told["changed"],
        commit=printable(told["commit"]),
        missing_files=told["files"],
        missing_bytes=told["missing"],
        received_bytes=told["received"],
    )


def _failed(request: Request, detail: str) -> One:
    return One(
        model=request["model"],
        revision=request["revision"],
        outcome=FAILED,
        detail=printable(detail),
        changed=False,
        commit="",
        missing_files=0,
        missing_bytes=0,
        received_bytes=0,
    )
