#!/bin/sh
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What must not change: Docker's process, and its containers with their start.
set -eu
systemctl show docker.service --property=MainPID
docker ps --quiet --no-trunc | sort | xargs -r docker inspect --format '{{.Id}} {{.State.StartedAt}} {{.State.Pid}}'
