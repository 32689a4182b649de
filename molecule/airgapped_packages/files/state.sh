#!/bin/bash
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Packages, and every file by which apt and the host could be told anything.
dpkg-query --show
find /etc/apt /var/lib/apt/lists /etc/docker /run/gpufleet /var/lib/gpufleet -type f -exec sha256sum {} + 2>/dev/null | sort -k 2
