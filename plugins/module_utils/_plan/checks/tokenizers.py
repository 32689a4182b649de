# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a tokenizer beside the model belongs to it, as far as numbers of tokens tell.

A model knows at least as many tokens as its tokenizer, some for padding more. One that was trained on knows a few less
than those added to its tokenizer.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._findings.findings import Findings
from ..._outside.documents import Json
from ..arguments.mounts import Mount
from ..model import figures
from ..model.architecture import from_config

# Of the model's tokens. Padding is a few hundred of tens of thousands; images and sounds may take as many as texts.
FEW, MOST = 0.5, 0.9
INSTEAD = "Name the one that the model was trained with, or leave tokenizer out to have the one beside it."


def check(
    mount: Mount,
    tokenizer: Json,
    values: t.Mapping[str, t.Any],
    config: t.Mapping[str, t.Any] | None,
    found: Findings,
) -> None:
    """TOKENIZER: what its file tells. CONFIG: the model's."""
    what = f"{mount.place} is {mount.path}"
    if tokenizer.get("damaged"):
        found.error(f"{what}, whose tokenizer.json {tokenizer['damaged']}: bring it again.")
    tokens, with_added = (figures.integer(tokenizer, key) for key in ("tokens", "with_added"))
    model = None if values.get("hf_overrides") else from_config(config)
    known = model.vocab_size if model else None
    if not tokens or not with_added or not known:
        return
    last = _end(config or {})
    if tokens > known:
        text = f"which cuts texts into {tokens} tokens, and the model knows {known} (vocab_size)"
    elif last is not None and last >= with_added:
        text = f"which has {with_added} tokens, and the model ends its answers with number {last} (eos_token_id)"
    elif with_added < known * FEW:
        text = f"which has {with_added} tokens, and the model knows {known} (vocab_size)"
    else:
        if with_added > known:
            found.warn(
                f"{what}, to which tokens were added up to {with_added}, and the model knows {known} (vocab_size): a "
                "prompt with one of them may fail."
            )
        elif with_added < known * MOST:
            found.warn(f"{what}, which has {with_added} tokens, and the model knows {known}: is it this model's?")
        return
    found.doubt("value", f"{what}, {text}: it is another model's. {INSTEAD}")


def _end(config: t.Mapping[str, t.Any]) -> int | None:
    """The least of the tokens with which the model ends an answer."""
    for one in (config, config.get("text_config")):
        stated = one.get("eos_token_id") if isinstance(one, dict) else None
        ends = stated if isinstance(stated, list) else [stated]
        numbers = [end for end in ends if isinstance(end, int) and not isinstance(end, bool)]
        if numbers:
            return min(numbers)
    return None
