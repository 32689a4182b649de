# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report is for strangers: no secret, no markup of others, nothing that has no end."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.gpufleet.vllm.plugins.plugin_utils import bug_report
from ansible_collections.gpufleet.vllm.plugins.plugin_utils.bug_report import Host

Json = dict[str, t.Any]
EMPTY = Host({}, [], [], None)


def made(*secrets: str, **parts: t.Any) -> str:
    return bug_report.report({"gpufleet.vllm": "1.2.3"}, {"gpu-1": EMPTY._replace(**parts)}, secrets)


def log(*lines: str, **more: t.Any) -> list[Json]:
    return [{"instance": "a", "container": "c", "lines": list(lines), "problem": "", "failed": None, **more}]


def test_a_host_that_told_nothing_is_in_it() -> None:
    text = made()
    assert "- gpufleet.vllm: 1.2.3" in text and text.endswith("## gpu-1\n")


def test_a_block_is_not_ended_by_what_stands_in_it() -> None:
    lines = made(logs=log("```", "````", "# Not a heading", "<script>")).splitlines()
    assert lines.count("`````text") == 1 and lines.count("`````") == 1
    assert lines.index("`````text") < lines.index("# Not a heading") < lines.index("`````")


def test_what_stands_outside_of_a_block_is_no_markup() -> None:
    failed = {"cause": "![x](http://a/b) <img src=y> `c`\n# Heading"}
    text = made(logs=log("x", failed=failed, instance="*a*"))
    assert r"- cause: \!\[x\](http://a/b) \<img src=y\> \`c\` \# Heading" in text
    assert r"### \*a\*" in text


def test_known_secrets_and_such_as_look_like_one_are_masked_wherever_they_stand() -> None:
    key, quoted = "my_own_key", 'has "quotes" \\ and more'
    text = made(
        key,
        quoted,
        logs=log(f"got {key}", "HF_TOKEN=abcdef", "https://me:pass@proxy/", failed={"cause": key, "log": [quoted]}),
        instances=[{"env": {"A_PASSWORD": "plain-one"}, "model": quoted}],
        inventory=[{"api_key": "else-where"}],
    )
    for secret in (
        key,
        r"my\_own\_key",
        quoted,
        json.dumps(quoted)[1:-1],
        "abcdef",
        "me:pass",
        "plain-one",
        "else-where",
    ):
        assert secret not in text
    assert "got ***" in text


def test_what_is_hidden_is_a_text_of_some_length() -> None:
    secrets = {"host": {"username": "me", "password": "long enough"}, "more": ["another", None, 1, ("third one",)]}
    assert bug_report.secret_values({**secrets, "digits": 12345678, "switch": True}) == {
        "long enough",
        "another",
        "third one",
        "12345678",
    }


def test_a_secret_is_known_in_every_form_and_before_anything_is_cut() -> None:
    several, words, odd = "first-line-of-it\nsecond-line-of-it", "with spaces/and more", "k\u00e9y-of-mine"
    half = "x" * (bug_report.LARGEST_LOG - 4)
    lines = [several.replace("\n", " "), "GET /?key=with%20spaces%2Fand%20more", json.dumps(odd), f"{words}{half}"]
    text = made(several, words, odd, "12345678", logs=log(*lines), instances=[{"port": 12345678}])
    for part in ("line-of-it", "with%20spaces", "spaces/and", "and more", "y-of-mine", "12345678", "more"):
        assert part not in text


def test_logs_are_their_newest_part() -> None:
    text = made(logs=log("first", "x" * bug_report.LARGEST_LOG, "last"))
    assert "first" not in text and "\nlast\n" in text
    assert len(text) < bug_report.LARGEST_LOG + 2000


def test_documents_have_an_end() -> None:
    text = made(instances=[{"model": "x" * bug_report.LARGEST_DOCUMENT}])
    assert "[cut off:" in text and len(text) < bug_report.LARGEST_DOCUMENT + 2000


def test_of_a_host_only_what_a_bug_may_hang_on() -> None:
    facts = {
        "os": {"id": "debian"},
        "packages": {"neighbour": 1},
        "gpus": [{"index": 0, "uuid": "GPU-1", "processes": [{"name": "neighbour"}]}],
        "engine": {"name": "docker", "running_containers": ["neighbour"]},
    }
    text = made(facts=facts)
    assert "debian" in text and "docker" in text
    assert "neighbour" not in text and "GPU-1" not in text


def test_nothing_of_a_log_steers_a_terminal() -> None:
    assert "\x1b" not in made(logs=log("\x1b[2Jgone\x07"))
