# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hub of tests as a program: `python tests/hub org/model=/srv/models/tiny`. Needs Python 3.11 and nothing else."""

from __future__ import annotations

import argparse
import pathlib
import sys
import threading
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / ".collections"))

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import MODEL
from ansible_collections.gpufleet.vllm.tests.hub.content import MIB, Made, from_folder
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub

GATED = "manual"
# Of +N: a model of more MiB than this has digits is none.
DIGITS = 9


class Wrong(Exception):
    """What is wrong with the command line, and what is right."""


def models(asked: t.Sequence[str]) -> dict[str, dict[str, t.Any]]:
    """The files of each model. Raises Wrong."""
    found: dict[str, dict[str, t.Any]] = {}
    for text in asked:
        name, _equals, folder = text.partition("=")
        if not MODEL.fullmatch(name) or not folder:
            raise Wrong(f"{text!r} is no model: write ORGANISATION/NAME=FOLDER, or ORGANISATION/NAME=+MIB")
        if name in found:
            raise Wrong(f"the model {name} is there twice: give each a name of its own")
        found[name] = _files(folder)
    return found


def _files(folder: str) -> dict[str, t.Any]:
    if folder.startswith("+"):
        if not folder[1:].isascii() or not folder[1:].isdecimal() or len(folder) > DIGITS:
            raise Wrong(f"{folder!r} is no size: write +N for a model of N MiB")
        return {"config.json": b"{}", "model.safetensors": Made(int(folder[1:]) * MIB)}
    try:
        files = from_folder(pathlib.Path(folder))
    except OSError as error:
        raise Wrong(f"{folder} cannot be read: {error.strerror}") from error
    if not files:
        raise Wrong(f"{folder} is no folder with files")
    return dict(files)


def tokens(asked: t.Sequence[str], known: t.Container[str]) -> dict[str, set[str]]:
    """What each token may read. Raises Wrong."""
    found: dict[str, set[str]] = {}
    for text in asked:
        token, _equals, model = text.partition("=")
        if not token or (model != "*" and model not in known):
            raise Wrong(f"a token is stated as TOKEN=MODEL, with * or one of the models, and not for {model!r}")
        found.setdefault(token, set()).add(model)
    return found


def hub(asked: argparse.Namespace) -> tuple[Hub, list[str]]:
    """It listens; and a line for each model. Raises Wrong."""
    served = models(asked.models)
    for name in (*asked.private, *asked.gated):
        if name not in served:
            raise Wrong(f"{name} is private or gated and is none of the models: write MODEL=FOLDER for it too")
    made = Hub(asked.host, asked.port, asked.cdn_port, tuple(asked.certificate) if asked.certificate else None)
    made.lifetime, made.tokens = asked.lifetime, dict(tokens(asked.token, served))
    commits = [
        f"{name} {made.add(name, files, name in asked.private, GATED if name in asked.gated else False)}"
        for name, files in served.items()
    ]
    try:
        made.start()
    except (OSError, OverflowError) as error:
        made.kill()
        raise Wrong(f"nothing listens at {asked.host}, ports {asked.port} and {asked.cdn_port}: {error}") from error
    return made, commits


def main(words: t.Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python tests/hub", description=__doc__)
    parser.add_argument(
        "models", nargs="*", metavar="MODEL=FOLDER", help="a model; a folder +N is one of N MiB, made up"
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen; 0.0.0.0 is everywhere")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--cdn-port", type=int, default=0)
    parser.add_argument("--private", action="append", default=[], metavar="MODEL")
    parser.add_argument("--gated", action="append", default=[], metavar="MODEL")
    parser.add_argument("--token", action="append", default=[], metavar="TOKEN=MODEL", help="MODEL * is all")
    parser.add_argument("--lifetime", type=float, default=3600.0, help="seconds that an address of the CDN holds")
    parser.add_argument("--certificate", nargs=2, metavar=("CERTIFICATE", "KEY"))
    asked = parser.parse_args(words)
    try:
        serving, commits = hub(asked)
    except Wrong as error:
        parser.error(str(error))
    sys.stdout.write("".join(f"{line}\n" for line in [*commits, f"HF_ENDPOINT={serving.url}"]))
    sys.stdout.flush()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        serving.kill()


if __name__ == "__main__":
    main()
