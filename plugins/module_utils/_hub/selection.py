# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a repository serve: a table of names, and what is left out with the reason.

What is small and may be read (any JSON or template beside config.json) is taken: engines know names that nobody here
does. What is large is taken by name only, and of weights one form: the same ones often lie there three times.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import typing as t

from .manifest import File, path_problem

SAFETENSORS = ".safetensors"
CONSOLIDATED = "consolidated*.safetensors"
GGUF = ".gguf"
PICKLES = ("pytorch_model*.bin", "model*.bin", "pytorch_model*.pt", "pytorch_model*.pth")
PICKLE_INDEX = "*.bin.index.json"
CODE = "*.py"
# Bytes above which a text is no part of a tokenizer or a configuration any more.
TEXT_LIMIT = 256 * 1024 * 1024

# Patterns of whole paths: `*` does not cross a slash.
_NEVER: t.Final = (
    "trainer_state.json", "all_results.json", "train_results.json", "eval_results.json",  # what trainers leave behind
    PICKLE_INDEX,
)  # fmt: skip
_TAKEN: t.Final = (
    "*.json",  # config, generation config, tokenizer, processors, quantization, Mistral's params and tekken
    "*.jinja",
    "*.model", "*.model.v*",  # SentencePiece, and Mistral's versions of it
    "*.tiktoken",
    "vocab*.txt", "merges*.txt", "bpe.codes", "*.vocab",
    "additional_chat_templates/*.jinja",
    # Parts that sentence-transformers puts behind a model: 1_Pooling, 2_Dense.
    "[0-9]_*/*.json", "[0-9]_*/*.safetensors", "[0-9]_*/*.txt",
    # Adapters that belong to a model, as those of Phi-4-multimodal for speech and vision.
    "*/adapter_config.json", "*/adapter_model.safetensors",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Wish:
    """What is allowed or asked for beyond the common: code of the model's own, pickled weights, one GGUF file by its
    name, or the files of Mistral's own format."""

    code: bool = False
    pickles: bool = False
    gguf: str = ""
    mistral: bool = False


COMMON = Wish()


@dataclasses.dataclass(frozen=True)
class Selection:
    """`problem` is a sentence where nothing can be served; `notes` are worth knowing."""

    files: tuple[File, ...]
    problem: str = ""
    notes: tuple[str, ...] = ()


def select(model: str, files: t.Sequence[File], wish: Wish = COMMON) -> Selection:
    """Of the files of a repository those that serving needs, in the order of their names."""
    sound = [one for one in files if not path_problem(one["path"])]
    taken = [one for one in sound if _is_taken(one) or (wish.code and _matches(_name(one), CODE))]
    weights, problem = _weights(model, sound, wish)
    notes = []
    if not wish.code and any(_matches(one["path"], CODE) for one in sound):
        notes.append(
            f"{model} has Python code of its own, which is not fetched: vllm_server_allow_trust_remote_code does not "
            "name it."
        )
    paths = {one["path"]: one for one in [*taken, *weights]}
    return Selection(tuple(paths[path] for path in sorted(paths)), problem, tuple(notes))


def weight_files(files: t.Iterable[File]) -> list[File]:
    """The safetensors files that hold a model's own weights: not those of its parts in folders."""
    return [one for one in files if one["path"].endswith(SAFETENSORS) and "/" not in one["path"]]


def _weights(model: str, files: t.Sequence[File], wish: Wish) -> tuple[list[File], str]:
    """One form of the weights, and why there is none."""
    safe = [one for one in files if _matches(one["path"], f"*{SAFETENSORS}")]
    consolidated = [one for one in safe if _matches(one["path"], CONSOLIDATED)]
    own = [one for one in safe if one not in consolidated]
    gguf = [one for one in files if one["path"].lower().endswith(GGUF)]
    pickles = [one for one in files if _in(one["path"], PICKLES)]
    if wish.gguf:
        named = [one for one in gguf if one["path"] == wish.gguf]
        there = _listed(gguf, "it has no GGUF file at all")
        return named, "" if named else f"{model} has no file {wish.gguf}, which model_store_models names: {there}."
    if wish.mistral and consolidated:
        return consolidated, ""
    if own or consolidated:
        return own or consolidated, ""
    if pickles and wish.pickles:
        return pickles + [one for one in files if _matches(one["path"], PICKLE_INDEX)], ""
    if pickles:
        return [], (
            f"The weights of {model} are pickle files only ({pickles[0]['path']}), which can carry code: take a build "
            f"with safetensors, or set model_store_allow_pickles: [{model}]."
        )
    if gguf:
        return [], (
            f"The weights of {model} are GGUF files, of which one is needed: name it with model_store_models: "
            f"[{{model: {model}, gguf: {gguf[0]['path']}}}]; {_listed(gguf, '')}."
        )
    return [], f"{model} has no weights that vLLM reads: no safetensors file is among its {len(files)} files."


def _is_taken(one: File) -> bool:
    path = one["path"]
    if one["size"] > TEXT_LIMIT and not path.endswith(SAFETENSORS):
        return False
    return _in(path, _TAKEN) and not _in(path, _NEVER)


def _in(path: str, patterns: t.Iterable[str]) -> bool:
    return any(_matches(path, pattern) for pattern in patterns)


def _matches(path: str, pattern: str) -> bool:
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)


def _name(one: File) -> str:
    return one["path"].rpartition("/")[2]


def _listed(files: t.Sequence[File], none: str) -> str:
    names = [one["path"] for one in files]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"there are {', '.join(names[:5])}{more}" if names else none
