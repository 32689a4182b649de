# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of JSON that somebody else wrote, as the kind that is expected of them; empty where they are of another.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from .._outside.documents import Json


def text(value: t.Any) -> str:
    return value if isinstance(value, str) else ""


def whole(value: t.Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def mapping(value: t.Any) -> Json:
    return value if isinstance(value, dict) else {}


def texts(value: t.Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def records(value: t.Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
