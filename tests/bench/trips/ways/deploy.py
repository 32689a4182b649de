# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end state of the bench's hosts for pyinfra 3, as far as it can say it.

Its docker.container looks whether a container of the name runs, and not what it was made of.
"""

from __future__ import annotations

import json

from pyinfra import host
from pyinfra.facts.files import File
from pyinfra.facts.server import Command
from pyinfra.operations import apt, docker, files, systemd

ASK = "curl --silent --fail --max-time 60 http://127.0.0.1:8000"
QUESTION = {"model": "assistant", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}

apt.packages(packages=["docker.io"])
for folder in ("/usr/local/lib/gpufleet", "/var/lib/gpufleet", "/var/cache/gpufleet/vllm-by-instance/assistant"):
    files.directory(path=folder)
for path, mode in {
    "/etc/docker/daemon.json": "644",
    "/usr/local/lib/gpufleet/gpufleet-host": "755",
    "/etc/systemd/system/gpufleet-recover.service": "644",
    "/etc/systemd/system/gpufleet-watch.service": "644",
    "/etc/systemd/system/gpufleet-watch.timer": "644",
}.items():
    files.put(src=f"{host.data.sources}{path}", dest=path, mode=mode)
systemd.service(service="docker.service", running=True, enabled=True)
systemd.service(service="gpufleet-recover.service", running=None, enabled=True)
systemd.service(service="gpufleet-watch.timer", running=True, enabled=True)
if not host.get_fact(File, "/models/tiny-64/config.json"):
    raise SystemExit("the model is missing")
docker.image(image=host.data.image)
docker.container(container="vllm-assistant", image=host.data.image)
host.get_fact(Command, f"{ASK}/health")
if json.loads(host.get_fact(Command, f"{ASK}/v1/models"))["data"][0]["id"] != "assistant":
    raise SystemExit("another model is served")
said = host.get_fact(Command, f"{ASK}/v1/chat/completions --json '{json.dumps(QUESTION)}'")
if not json.loads(said)["choices"][0]["message"]["content"]:
    raise SystemExit("it does not answer")
