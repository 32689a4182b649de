#!/bin/bash
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Brings a bundle into a container, to /srv, as rsync would bring it to a host: bring.sh FOLDER CONTAINER
set -euo pipefail
tar --create --directory "$1" --exclude=./bundle/.gpufleet ./bundle | docker exec --interactive "$2" tar --extract --directory /srv
