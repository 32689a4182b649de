# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A page: one HTML file that asks for nothing else, neither scripts nor fonts nor pictures.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import base64
import hashlib
import pathlib

import jinja2
import markupsafe

from ansible_collections.gpufleet.vllm.plugins.module_utils._outside.documents import Json

HERE = pathlib.Path(__file__).resolve().parent
STYLE, SCRIPT = "pages.css", "pages.js"


def rendered(template: pathlib.Path, shown: Json) -> str:
    """TEMPLATE extends frame.html.j2, which needs `what`, `headline`, `made_at` and `tally` of SHOWN."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, HERE]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["gib"] = gib
    script = _text(SCRIPT)
    text = environment.get_template(template.name).render(
        **shown,
        style=markupsafe.Markup(_text(STYLE)),  # our own file
        script=markupsafe.Markup(script),  # our own file
        script_digest=_digest(script),
    )
    return text.lstrip()  # a template begins with its macros


def gib(value: float) -> str:
    """Two decimals with a real minus; nothing is a dash."""
    return f"{value:.2f}".replace("-", "\N{MINUS SIGN}") if abs(value) >= 0.005 else "\N{EN DASH}"


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """For the page's own policy: this script may run, and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
