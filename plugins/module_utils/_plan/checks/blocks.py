# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files quantized in blocks, split over tensor parallel ranks: a rank's part has to be whole blocks.

Source: vLLM from 0.25.1 on, `validate_fp8_block_shape` (layers/quantization/utils/fp8_utils.py) for what is split by
its inputs, and Fp8MoEMethod.create_weights (layers/quantization/fp8.py) for experts. Of AWQ: create_weights of awq.py
and auto_awq.py from 0.11.0 on, to which AWQ-Marlin leaves such a layer.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._findings.checks import Doubt
from ..._vllm.gates import WHOLE_BLOCKS_OF_EXPERTS
from ..._vllm.schema import version_key
from ..memory.catalogue import Model
from ..model import figures, quantized

Values = t.Mapping[str, t.Any]
SIZES = (1, 2, 4, 8, 16)


class Part(t.NamedTuple):
    """WIDTH is split over the ranks, and a rank's part has to be blocks of BLOCK.

    LEFT_OUT: parts of the names that files list as not quantized.
    """

    name: str
    width: int | None
    block: int
    left_out: tuple[str, ...]

    def divides(self, ranks: int) -> bool:
        return self.width is None or bool(self.width % ranks) or not self.width // ranks % self.block


def problems(values: Values, model: Model, version: str) -> list[Doubt]:
    """What vLLM would refuse while it builds the model, as one sentence."""
    section = quantized.section(model.config) or {}
    if section.get("quant_method") == "awq":
        return _groups(values, model, section)
    blocks = section.get("weight_block_size")
    if values.get("quantization") not in (None, "fp8") or section.get("quant_method") != "fp8":
        return []
    if not (isinstance(blocks, list) and len(blocks) == 2 and all(figures.whole(size) for size in blocks)):
        return []
    ranks = figures.integer(values, "tensor_parallel_size") or 1
    for part in _parts(values, model, version, blocks):
        if not part.divides(ranks) and not _left_out(part, section):
            return [Doubt("quantization", _text(part, ranks, model))]
    return []


def _groups(values: Values, model: Model, section: Values) -> list[Doubt]:
    """AWQ: `The input size is not aligned with the quantized weight shape`. Experts fall back to finer groups."""
    size, text = section.get("group_size", section.get("q_group_size")), quantized.text_config(model.config or {})
    if not figures.whole(size) or figures.integer(text, "num_experts", "n_routed_experts", "num_local_experts"):
        return []
    ranks = figures.integer(values, "tensor_parallel_size") or 1
    part = Part(
        "each layer's MLP", figures.integer(text, "intermediate_size"), t.cast(int, size), ("down_proj", ".mlp")
    )
    if part.divides(ranks) or _left_out(part, section):
        return []
    return [Doubt("quantization", _text(part, ranks, model).replace("weight_block_size", "group_size"))]


def _left_out(part: Part, section: Values) -> bool:
    """Whether the files say that they hold it unquantized; encoders have names of their own."""
    names = section.get("modules_to_not_convert") or section.get("ignored_layers") or ()
    told = [str(name) for name in names if "visual" not in str(name) and "vision" not in str(name)]
    return any(word in name for word in part.left_out for name in told)


def _text(part: Part, ranks: int, model: Model) -> str:
    width = part.width or 0
    good = [str(size) for size in SIZES if size < ranks and not width % size and part.divides(size)]
    return (
        f"tensor_parallel_size {ranks} gives a rank {width // ranks} of the {width} columns of {part.name}, and the "
        f"files of {model.name} are quantized in blocks of {part.block} (config.json, weight_block_size), which cannot "
        f"be split: take {' or '.join(good) or 'another build of the model'}."
    )


def _parts(values: Values, model: Model, version: str, blocks: t.Sequence[int]) -> t.Iterator[Part]:
    """What every release splits by its inputs, and experts."""
    text = quantized.text_config(model.config or {})
    if figures.integer(text, "num_experts", "n_routed_experts", "num_local_experts") is None:
        wide = figures.integer(text, "intermediate_size")
        yield Part("each layer's MLP", wide, blocks[1], ("down_proj", ".mlp"))
        return
    wide, count = (
        figures.integer(text, "moe_intermediate_size", "intermediate_size"),
        figures.integer(text, "n_shared_experts"),
    )
    together = values.get("enable_expert_parallel") is True
    # With data and expert parallelism every rank holds shared experts whole.
    if not (together and (figures.integer(values, "data_parallel_size") or 1) > 1):
        shared = figures.integer(text, "shared_expert_intermediate_size") or (wide * count if wide and count else None)
        yield Part("a shared expert", shared, blocks[1], ("shared_expert.", "shared_experts"))
    of_files = text.get("expert_dtype") in (None, "fp8")
    if not together and of_files and WHOLE_BLOCKS_OF_EXPERTS.open_at(version_key(version)):
        yield Part("an expert", wide, max(blocks), (".experts",))
