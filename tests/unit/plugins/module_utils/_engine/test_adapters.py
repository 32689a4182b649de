# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each adapter that a server was started with answers by its own name."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.release import Release
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.expect import expectation
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.http_client import Reply
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.prove import prove
from ansible_collections.gpufleet.vllm.plugins.module_utils._engine.smoke_errors import NotProved
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._engine.script import EXPECTED, Script, message

LISTED = Reply(200, {"data": [{"id": "assistant", "max_model_len": 1024}, {"id": "sql"}, {"id": "law"}]})
TWO = dataclasses.replace(EXPECTED, adapters=("sql", "law"))
HELLO = message(content="Hello")


def test_each_adapter_is_asked() -> None:
    http = Script(models=LISTED, chat=HELLO)
    assert prove(http, TWO).checks == ("adapters",)
    asked = [(body["model"], body["max_tokens"]) for path, body in http.asked if path.endswith("completions")]
    assert asked == [("assistant", 16), ("sql", 1), ("law", 1)]


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"models": Reply(200, {"data": [{"id": "assistant", "max_model_len": 1024}]})}, "lists no adapter sql, law"),
        ({"chat": [HELLO, HELLO, Reply(500, {"error": {"message": "boom"}})]}, "by the adapter law answered 500: boom"),
        ({"chat": [HELLO, Reply(404, {"error": {"message": "no such model"}})]}, "by the adapter sql answered 404: no"),
        ({"chat": [HELLO, message(content="", tokens=0)]}, "by the adapter sql answered 200 without any text"),
        ({"models": [LISTED, Reply(200, {"data": 1})]}, "/v1/models answered 200"),
    ],
)
def test_one_that_does_not_answer(answers: dict[str, t.Any], says: str) -> None:
    with pytest.raises(NotProved, match=says):
        prove(Script(**{"models": LISTED, "chat": HELLO, **answers}), TWO)


def test_an_adapter_that_nobody_has_planned_is_refused() -> None:
    """Whoever may load adapters into a server is not to leave one behind."""
    planned = dataclasses.replace(TWO, may_list=frozenset({"assistant", "sql", "law"}))
    assert prove(Script(models=LISTED, chat=HELLO), planned).checks == ("adapters",)
    more = Reply(200, {"data": [*LISTED.body["data"], {"id": "spy"}, {"id": "evil"}]})
    with pytest.raises(NotProved, match="/v1/models lists evil, spy, which nobody has planned") as caught:
        prove(Script(models=more, chat=HELLO), planned)
    assert caught.value.failure_class == "smoke.models"


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        (["sql=/a", "law=/b"], ("sql", "law")),
        ("sql=/a", ("sql",)),
        ([{"name": "sql", "path": "/a"}, '{"name": "law", "path": "/b"}'], ("sql", "law")),
        (["{broken", 7, "none", {"path": "/a"}, None], ()),
        (None, ()),
    ],
)
def test_the_names_are_those_of_the_release(stated: t.Any, found: tuple[str, ...]) -> None:
    release: Release = {
        "arguments": {"lora_modules": stated}, "bind": "127.0.0.1", "port": 8000, "served_model_names": ["a"],
    }  # fmt: skip
    assert expectation(release, {}).adapters == found
    release["arguments"]["runner"] = "pooling"
    assert expectation(release, {}).adapters == ()
