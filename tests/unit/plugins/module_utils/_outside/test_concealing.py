# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets by their shape and by their names, and what only looks like one."""

from __future__ import annotations

import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside import concealing
from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.concealing import ADDRESS, NAME, TOKEN

TAIL = "0aB1" * 9


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://user:p@ss@proxy:1", "http://***@proxy:1"),
        ("http://token@proxy/a@b", "http://***@proxy/a@b"),
        ("https://u:p/w@host/x", "https://***@host/x"),
        ("redis://:word@host", "redis://***@host"),
        ("a http://u:1@h, b http://v:2@h", "a http://***@h, b http://***@h"),
        ("https://bucket/x?X-Amz-Signature=abc&y=1", "https://bucket/x?X-Amz-Signature=***&y=1"),
        *((f"a {start}{TAIL} b", "a *** b") for start in ("hf_", "sk-", "ghp_", "github_pat_", "glpat-", "nvapi-")),
        ("AKIA" + "ABCDEFGHIJ234567", "***"),
        ("-----BEGIN RSA " + "PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", "***"),
        # As a log has it, with a time before each line; and one whose end is missing.
        (
            "11-26 -----BEGIN " + f"PRIVATE KEY-----\n11-26 {'a' * 64}\n11-26 -----END PRIVATE KEY-----\n11-26 on",
            "11-26 ***\n11-26 on",
        ),
        ("-----BEGIN " + f"PRIVATE KEY-----\n11-26 {'a' * 64}\n11-26 it goes on", "***\n11-26 it goes on"),
    ],
)
def test_what_is_masked(text: str, told: str) -> None:
    assert concealing.concealed_text(text) == told == concealing.concealed_text(told)


@pytest.mark.parametrize(
    "text",
    [
        "http://proxy:3128/x@y",
        "nobody@example.com",
        "vllm/vllm-openai:v0.9@sha256:" + "a" * 64,
        "task-0123456789012345678",
        "hf_overrides",
        "sk-learn-without-any-number",
        "-----BEGIN PGP PUBLIC KEY BLOCK-----",
        "git@github.com:acme/x",
    ],
)
def test_what_is_none(text: str) -> None:
    assert concealing.concealed_log(text) == text and concealing.secrets({"x": text}) == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("HF_TOKEN=abc next", "HF_TOKEN=*** next"),
        ("args: {'api_key': ['sk'], 'hf_token': 'x'}", "args: {'api_key': ***, 'hf_token': ***}"),
        ("vllm serve --api-key word --port 1", "vllm serve --api-key *** --port 1"),
        ("headers={'Authorization': 'Bearer abc', 'X': 1}", "headers={'Authorization': 'Bearer ***', 'X': 1}"),
        ("authorization: Basic YWJj", "authorization: Basic ***"),
        ("HUGGING_FACE_HUB_TOKEN=abc GITHUB_TOKEN=def", "HUGGING_FACE_HUB_TOKEN=*** GITHUB_TOKEN=***"),
        ("auth_token: abc", "auth_token: ***"),
        ("api_key=None, password: null", "api_key=None, password: null"),
        ("max_tokens=12 stop_token_ids=[1]", "max_tokens=12 stop_token_ids=[1]"),
    ],
)
def test_what_a_log_says(line: str, told: str) -> None:
    assert concealing.concealed_log(line) == told


# Each word of the pattern, alone where a name has no other reason to be one.
SECRET_NAMES = [
    *("SIGNING_KEY", "KEY", "HF_TOKEN", "TOKEN", "CLIENT_SECRET", "SECRET_OF_MINE", "DB_PASSWORD", "PASSWORD_X"),
    *("DB_PASSWD", "PASSPHRASE", "GCP_CREDENTIAL", "CREDENTIALS", "MY_APIKEY", "AWS_ACCESS_KEY_ID", "X_API_KEY_OLD"),
    *("DB_PWD", "lower_key"),
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_variables_that_are_secret_by_name(name: str) -> None:
    document = {"env": {name: "word"}}
    assert concealing.concealed(document) == {"env": {name: "***"}}
    assert concealing.secrets(document) == [(f"env.{name}", NAME)]


@pytest.mark.parametrize("name", ["PWD", "MAX_TOKENS", "TOKENIZERS_PARALLELISM", "KEYBOARD", "HF_HOME", "MONKEY"])
def test_variables_that_are_none(name: str) -> None:
    assert concealing.secrets({"env": {name: "word"}}) == []


def test_where_they_stand() -> None:
    address, token = "https://u:p@h", f"hf_{TAIL}"
    document = {
        "env": {"A_PROXY": "u:p@h:1", "B": address, "X_KEY": ""},
        "args": {"hf_token": "x", "eos_token": "<s>", "nested": [{"aws_secret_access_key": "k"}], "api_key": None},
        "list": [address, "plain", token],
        address: 1,
    }
    assert concealing.secrets(document) == [
        ("a key", ADDRESS),
        ("env.A_PROXY", ADDRESS),
        ("env.B", ADDRESS),
        ("args.hf_token", NAME),
        ("args.nested[0].aws_secret_access_key", NAME),
        ("list[0]", ADDRESS),
        ("list[2]", TOKEN),
    ]
    told = concealing.concealed(document)
    assert told["args"] == {**document["args"], "hf_token": "***", "nested": [{"aws_secret_access_key": "***"}]}  # type: ignore[dict-item]
    assert told["list"] == ["https://***@h", "plain", "***"] and told["https://***@h"] == 1


def test_what_has_no_end() -> None:
    deep: t.Any = "https://u:p@h"
    for _level in range(10_000):
        deep = [deep]
    assert "u:p" not in str(concealing.concealed({"x": deep}))


@given(st.text(alphabet="ab0:/@.?=&_- \n'\"hfskeyJAKI", max_size=200))
def test_masked_twice_is_masked_once(text: str) -> None:
    once = concealing.concealed_log(text)
    assert concealing.concealed_log(once) == once


@pytest.mark.parametrize(
    "part",
    [
        *("://a:", "://a:b", "?token", "sk-", "-sk-", "-eyJaaaaaaaaaaa", 'secret="x ', "api_key='", "-a.", "a "),
        # Keys that have no end, or one far away.
        *("-----BEGIN PRIVATE " + "KEY-----\n", "-----BEGIN PRIVATE " + "KEY-----\n-----END", "authorization: "),
    ],
)
def test_a_hostile_text_takes_no_longer_than_its_length(part: str) -> None:
    """Work that grows with the square of the length would not end here."""
    concealing.concealed_log(part * (200_000 // len(part)))
