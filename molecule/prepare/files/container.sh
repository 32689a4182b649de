#!/bin/sh
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Starts a container that sleeps, from an image with nothing but the host's own sleep: container.sh NAME [OPTIONS of docker run]
set -eu
docker image inspect sleeper >/dev/null 2>&1 ||
    tar -ch -C / usr/bin/sleep lib64/ld-linux-x86-64.so.2 lib/x86_64-linux-gnu/libc.so.6 | docker import - sleeper
name=$1
shift
docker rm -f "$name" >/dev/null 2>&1 || true
docker run -d --name "$name" "$@" sleeper /usr/bin/sleep 100000
