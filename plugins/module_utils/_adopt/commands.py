# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which words of a command line are vLLM's own, however the server is started.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import os
import re
import shlex
import typing as t

MODULE = re.compile(r"vllm\.entrypoints\.openai\.api_server")
FILE = re.compile(r"(?:.*/)?vllm/entrypoints/openai/api_server\.py")
SHELLS = ("sh", "bash", "dash", "ash", "zsh")
# The program stands among the first words: further behind is what a server was told, which may say anything.
FIRST = 24
# Where vLLM listens that was told no port.
DEFAULT_PORT = "8000"


def serving(words: t.Sequence[str]) -> list[str] | None:
    """What follows `vllm serve`, or the module that does the same; None where nothing of it is started."""
    for at, word in enumerate(words[:FIRST]):
        following = words[at + 1] if at + 1 < len(words) else ""
        if os.path.basename(word) == "vllm" and following == "serve":
            return list(words[at + 2 :])
        if word == "-m" and MODULE.fullmatch(following):
            return list(words[at + 2 :])
        if FILE.fullmatch(word):
            return list(words[at + 1 :])
        if os.path.basename(word) in SHELLS and re.fullmatch(r"-\w*c", following) and at + 2 < len(words):
            return _in_shell(words[at + 2])
    return None


def port(words: t.Sequence[str]) -> str:
    """The port that the server was told, as it is written: the last one, as vLLM's parser has it."""
    found = DEFAULT_PORT
    for at, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag == "--port":
            found = value if equals else next(iter(words[at + 1 : at + 2]), found)
    return found


def _in_shell(script: str) -> list[str] | None:
    """The first server of a line for a shell. One that a shell has to work out first is not understood."""
    try:
        lexer = shlex.shlex(script, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        return None
    command: list[str] = []
    for word in [*words, ";"]:
        if not set(word) <= set(";&|"):
            command.append(word)
            continue
        found = serving(command)
        if found is not None:
            return None if any("$" in one or "`" in one for one in found) else found
        command = []
    return None
