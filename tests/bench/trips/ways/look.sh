#!/bin/sh
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Whether a host of the bench is as it has to be, over one session: IMAGE and SUMS are set in front of it. It puts nothing right.
set -eu
ask() { curl --silent --fail --max-time 60 "http://127.0.0.1:8000$@"; }
question='{"model": "assistant", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}'

dpkg-query --show docker.io >/dev/null
echo "$SUMS" | sha256sum --check --quiet
systemctl is-active --quiet docker.service gpufleet-watch.timer
systemctl is-enabled --quiet docker.service gpufleet-recover.service gpufleet-watch.timer
test -e /models/tiny-64/config.json
ls /models/tiny-64/*.safetensors >/dev/null
made_of=$(docker image inspect --format '{{.Id}}' "$IMAGE")
test "$(docker inspect --format '{{.Image}} {{.State.Running}} {{index .Args 1}}' vllm-assistant)" = "$made_of true /models/tiny-64"
ask /health >/dev/null
ask /v1/models | grep --quiet '"id": *"assistant"'
ask /v1/chat/completions --json "$question" | grep --quiet '"content": *"[^"]'
