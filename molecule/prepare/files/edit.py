#!/usr/bin/env python3
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits daemon.json as somebody else would: sets the keys of the JSON that is given, removes those that are null."""

from __future__ import annotations

import json
import pathlib
import sys

FILE = pathlib.Path("/etc/docker/daemon.json")

settings = {**json.loads(FILE.read_text()), **json.loads(sys.argv[1])}
FILE.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))
