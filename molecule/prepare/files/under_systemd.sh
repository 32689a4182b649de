#!/bin/sh
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# On a host that is a container itself, runc puts containers into other control groups than systemd does for their scopes.
# This brings containers to where systemd's device rules hold, with the rules that they have, as on any other host.
set -eu
for container in "$@"; do
    scope="docker-$(docker inspect --format '{{.Id}}' "$container").scope"
    process=$(docker inspect --format '{{.State.Pid}}' "$container")
    from=/sys/fs/cgroup/devices$(sed -n 's/^[0-9]*:devices://p' "/proc/$process/cgroup")
    to=/sys/fs/cgroup/devices$(systemctl show --property=ControlGroup --value "$scope")
    while read -r rule; do echo "$rule" >"$to/devices.allow"; done <"$from/devices.list"
    echo "$process" >"$to/cgroup.procs"
done
