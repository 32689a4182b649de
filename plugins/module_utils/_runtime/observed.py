# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What gpu_facts tells of daemon.json: the settings that a plan compares, and no secret.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside import documents
from .._outside.documents import Json
from .._prepare.files import NotWritten
from .._settings.masking import LOG_OPTIONS, masked
from . import config_file, limits

PATH = "/etc/docker/daemon.json"
RECORD = "/etc/docker/gpufleet.json"

# A proxy's address may hold a password.
SECRET = ("proxies", "http-proxy", "https-proxy")

Read = t.Callable[[str], t.Optional[bytes]]


def observe(read: Read) -> Json:
    """`values`, `ours` (which of them we made), `pending` (a change of ours is not finished) and `problem`.

    `nofile_most` is how many files a container may have open here at most, where there is such a limit.
    """
    record = {**recorded(read), "nofile_most": limits.most(read)}
    record["ours"] = shown(record["ours"])
    try:
        values = shown(config_file.parsed(read(PATH) or b"", PATH))
    except (config_file.BadFile, NotWritten) as error:
        return {**record, "values": {}, "problem": f"{error}."}
    return {**record, "values": values, "problem": ""}


def recorded(read: Read) -> Json:
    """`ours`, the part of daemon.json that is ours, and `pending`; a record that cannot be read claims nothing."""
    try:
        found = documents.parse((read(RECORD) or b"{}").decode("utf-8"))
    except (ValueError, NotWritten):
        found = {}
    if documents.misfit(found, {"ours?": {}, "pending?": bool}, "it"):
        found = {}
    return {"ours": found.get("ours") or {}, "pending": bool(found.get("pending"))}


def shown(config: Json) -> Json:
    """The settings without those that may be secret, and with any other secret masked."""
    open_ones = {key: value for key, value in config.items() if key not in SECRET}
    options = open_ones.get("log-opts")
    if isinstance(options, dict):
        open_ones["log-opts"] = {name: value for name, value in options.items() if name in LOG_OPTIONS}
    return t.cast("Json", masked(open_ones))
