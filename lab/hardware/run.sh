#!/bin/bash
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# run.sh [STEP...]   On the machine with the GPU: boots the host where it does not run, makes the image where there is none, and
# runs steps.sh in it. rootfs.tar.xz, project.tar.xz and kit.tar.xz lie in KIT (default: beside this file); results come to
# OUT. HOST_ONLY=1 makes no image, for the steps facts and plan. LIMIT is the seconds for the steps.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
export KIT=${KIT:-$here} HOST_BASE=${HOST_BASE:-/opt/host}
unpacked=${UNPACKED:-/opt/gpukit}
out=${OUT:-/tmp/out}
host_only=${HOST_ONLY:-}
begun=$(date +%s)
mkdir -p "$out"

if [ -z "$host_only" ] && [ ! -d "$unpacked/site" ]; then
    mkdir -p "$unpacked"
    xz -dc -T0 "$KIT/kit.tar.xz" | tar -xf - -C "$unpacked" &
    unpacking=$!
fi
if ! bash "$here/start_host.sh" ${START:-} 2>&1 | tee "$out/start_host.txt"; then
    cp "$HOST_BASE"/log/* "$out/"
    exit 1
fi
if [ -n "${unpacking:-}" ] && ! wait $unpacking; then
    echo "$KIT/kit.tar.xz cannot be unpacked" >&2
    exit 1
fi
kit=$HOST_BASE/root/srv/kit
if [ -z "$host_only" ] && [ ! -e "$kit/version" ]; then
    bash "$here/build_image.sh" "$unpacked" 2>&1 | tee "$out/build_image.txt" || exit 1
fi
echo "before the steps: $(($(date +%s) - begun)) s"
"$HOST_BASE/inhost.sh" env LIMIT="${LIMIT:-400}" CLASS="${CLASS:-gpu_hopper}" MODEL="${MODEL:-/models/qwen2.5-0.5b}" bash /srv/kit/steps.sh "$@"
cp "$HOST_BASE/root/srv/out.tar.gz" "$HOST_BASE/root/srv/out/summary.txt" "$out/"
echo "all: $(($(date +%s) - begun)) s"
