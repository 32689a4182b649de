# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are shown of settings that may hold a password: credentials in URLs, tokens of log drivers.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.concealing import MASK, concealed
from .._outside.documents import Json

# Options of log drivers other than these may hold a token.
LOG_OPTIONS = ("max-size", "max-file", "compress", "mode", "max-buffer-size", "labels", "env", "tag")


def masked(value: t.Any, name: str = "") -> t.Any:
    """A setting, with its credentials masked; `name` is where it stands, as in `log-opts.splunk-token`."""
    if isinstance(value, dict):
        return {key: masked(inner, f"{name}.{key}" if name else str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner, name) for inner in value]
    group, _dot, option = name.partition(".")
    if group == "log-opts" and option and option not in LOG_OPTIONS:
        return MASK
    return concealed({name: value})[name] if isinstance(value, str) else value


def has_secret(settings: Json) -> bool:
    """Whether anything of it would be masked."""
    return bool(masked(settings) != settings)
