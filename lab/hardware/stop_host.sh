#!/bin/bash
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# stop_host.sh   Shuts the host of start_host.sh down in an orderly way, and removes its control group.
set -uo pipefail

base=${HOST_BASE:-/opt/host}
first=$(cat "$base/pid") || exit 0
kill -s RTMIN+4 "$first" # poweroff
for _ in $(seq 150); do
    [ -d "/proc/$first" ] || break
    sleep 0.2
done
[ -d "/proc/$first" ] && kill -9 "$first"
rm -f "$base/pid"
find "$(cat "$base/cgroup")" -depth -type d -exec rmdir {} \; 2>/dev/null
echo stopped
