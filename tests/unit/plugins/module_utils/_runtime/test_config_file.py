# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of daemon.json, as Docker reads it."""

from __future__ import annotations

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._runtime.config_file import MOST, BadFile, parsed, rendered

LIVE = {"live-restore": True}
TEXT = '{"live-restore": true}'


@pytest.mark.parametrize(
    ("raw", "config"),
    [
        (b"", {}),
        (b" \n", {}),
        (b"null", {}),
        (TEXT.encode(), LIVE),
        # dockerd 26.1 takes each of these.
        (TEXT.encode("utf-8-sig"), LIVE),
        (TEXT.encode("utf-16"), LIVE),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), LIVE),
        (b"\xef\xbb\xbf", {}),
        # What is null is not set.
        (
            b'{"registry-mirrors": null, "features": null, "log-opts": null, "debug": true}',
            {"debug": True},
        ),
        # The same name in two objects, in a value, and behind a quote.
        (b'{"a": {"x": 1}, "b": {"x": 1}, "c": ["x", "x"], "d": "\\"x\\": "}', None),
    ],
)
def test_read_as_docker_reads_it(raw: bytes, config: object) -> None:
    found = parsed(raw, "f")
    assert config is None or found == config
    assert parsed(rendered(found).encode(), "f") == found


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b'{\n  "a": 1,\n}', "f is no valid JSON (line "),
        (b"[]", "f holds a list, expected a JSON object"),
        (b'"a"', "f holds a text, expected a JSON object"),
        (b'{"a"', "f is no valid JSON (line 1 column 5: Expecting ':' delimiter)"),
        (b'{"a": NaN}', "f is no valid JSON (NaN is no number)"),
        (b'{"labels": ["a=\xfc"]}', "f is not in UTF-8 (line 1)"),
        (b'\n\n{"labels": ["a=\xfc"]}', "f is not in UTF-8 (line 3)"),
        (b'{"a": 1,\n "b": 2, "a": 3}', 'f says "a" a second time (line 2 column 10)'),
        (b'{"a": {"x": 1,\n  "\\u0078": 1}}', 'f says "x" a second time (line 2 column 3)'),
        (b'{"a": [{}, {"x": 1, "x": 1}]}', 'f says "x" a second time (line 1 column 21)'),
        (b'{"log-opts": "x"}', "f has log-opts, expected an object"),
        (b'{"registry-mirrors": "https://m"}', "f has registry-mirrors, expected a list of texts"),
        (b'{"exec-opts": [1]}', "f has exec-opts, expected a list of texts"),
        (b'{"live-restore": "yes"}', "f has live-restore, expected true or false"),
        (b'{"log-driver": {}}', "f has log-driver, expected a text"),
        (b"[" * 100000, "f is no valid JSON ("),
        (b" " * (MOST + 1), "f has 1048577 bytes"),
    ],
)
def test_what_a_rewrite_would_lose_is_left_alone(raw: bytes, says: str) -> None:
    with pytest.raises(BadFile) as refused:
        parsed(raw, "f")
    told = str(refused.value)
    assert says in told
    # Never the advice to remove a file that somebody wrote.
    assert "left alone" in told and "remove" not in told
