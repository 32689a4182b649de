# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a URL ten times a second until a file appears; print how often it was asked and what failed, as JSON."""

from __future__ import annotations

import json
import pathlib
import sys
import time
import urllib.request

# Seconds. A busy host may be slow to answer; one that does not serve refuses at once.
PATIENCE = 30
PAUSE = 0.1


def main(url: str, until: pathlib.Path) -> None:
    asked, failed = 0, []
    while not until.exists():
        asked += 1
        try:
            urllib.request.urlopen(url, timeout=PATIENCE).read()
        except OSError as error:
            failed.append(str(error))
        time.sleep(PAUSE)
    json.dump({"asked": asked, "failed": failed}, sys.stdout)


main(sys.argv[1], pathlib.Path(sys.argv[2]))
