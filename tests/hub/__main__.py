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

from ansible_collections.gpufleet.vllm.tests.hub.content import MIB, Made, from_folder
from ansible_collections.gpufleet.vllm.tests.hub.server import Hub

GATED = "manual"


def main() -> None:
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
    asked = parser.parse_args()
    hub = Hub(asked.host, asked.port, asked.cdn_port, tuple(asked.certificate) if asked.certificate else None)
    hub.lifetime = asked.lifetime
    for token, _equals, model in (text.partition("=") for text in asked.token):
        hub.tokens[token] = {*hub.tokens.get(token, ()), model}
    for name, _equals, folder in (text.partition("=") for text in asked.models):
        files: dict[str, t.Any] = (
            {"config.json": b"{}", "model.safetensors": Made(int(folder[1:]) * MIB)}
            if folder.startswith("+")
            else dict(from_folder(pathlib.Path(folder)))
        )
        if not files:
            parser.error(f"{folder} has no files")
        commit = hub.add(name, files, name in asked.private, GATED if name in asked.gated else False)
        sys.stdout.write(f"{name} {commit}\n")
    hub.start()
    sys.stdout.write(f"HF_ENDPOINT={hub.url}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
