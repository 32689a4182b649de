# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data files on the control node that a role owns and hands over by path.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import json

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json

SCHEMA = 1


class BadDataError(ValueError):
    """The file is not what it should be; the text says which one and what to do."""


def read(path: str, option: str) -> Json:
    """The document at PATH; nothing where no path is given. Raises BadDataError."""
    if not path:
        return {}
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except OSError as error:
        raise BadDataError(f"{path} cannot be read ({error.strerror}): check `{option}`.") from error
    except ValueError as error:
        raise BadDataError(f"{path} is no valid JSON ({error}): put the collection's own file back.") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise BadDataError(f"{path} is not of schema {SCHEMA}: check `{option}`.")
    return found
