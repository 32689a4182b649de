#!/bin/sh
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Reloads systemd, and has it apply the device rules of containers anew. With version 2 of control groups the reload does
# both; with version 1, which the lab has, a changed property of the scope is what makes it.
set -eu
systemctl daemon-reload
for container in "$@"; do
    scope="docker-$(docker inspect --format '{{.Id}}' "$container").scope"
    systemctl set-property --runtime "$scope" CPUWeight=200
done
