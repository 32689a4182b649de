# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which quantization method a release of vLLM takes, from what the model's files say and what was asked for.

Source: `_verify_quantization` and each method's `override_quantization_method`, read from 0.8.5 on. A
method that recognises its own files takes the place of whatever name was asked for, unknown ones too; other methods
accept some names for the same files.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

from ..._outside.documents import Json
from ..._vllm.methods import MODELOPT, RECOGNISED
from ..._vllm.schema import version_key

TEXT_CONFIGS = ("text_config", "llm_config", "language_config", "thinker_config")
# Names that may be asked for with such files: they are read alike. `marlin` is no method any more and still a name.
SAME_FILES = (
    frozenset({"awq", "awq_marlin", "auto_awq", "marlin"}),
    frozenset({"gptq", "gptq_marlin", "auto_gptq", "marlin"}),
    frozenset({"mxfp4", "gpt_oss_mxfp4"}),
    frozenset({"fp8", "fbgemm_fp8", "ptpc_fp8"}),
)
# Spellings of methods that only files name; without files nobody can say what becomes of them.
OF_FILES = ("auto_round", "auto-round", "autoround", "marlin")


def section(config: t.Mapping[str, t.Any] | None) -> Json | None:
    """What config.json says of quantization; None where it says nothing."""
    for source in (config or {}, text_config(config or {})):
        found = source.get("quantization_config") or source.get("compression_config")
        if isinstance(found, dict):
            return found
    return None


def text_config(config: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    for key in TEXT_CONFIGS:
        inner = config.get(key)
        if isinstance(inner, dict):
            return text_config(inner)
    return config


def of_files(config: t.Mapping[str, t.Any] | None) -> str:
    """The method that the files name, as they spell it in lower case; '' where they are not quantized or do not say."""
    found = section(config)
    if found is None:
        return ""
    producer = found.get("producer")
    if isinstance(producer, dict) and producer.get("name") == "modelopt":
        return "modelopt"
    return str(found.get("quant_method") or "").lower().replace("compressed_tensors", "compressed-tensors")


def recognised(config: t.Mapping[str, t.Any] | None, version: str) -> str:
    """The method that takes such files whatever name was asked for; '' where the name has a say."""
    kind = kind_of_files(config)
    at = version_key(version)
    return next((method for what, since, method in RECOGNISED if what == kind and at >= since), "")


def unread(config: t.Mapping[str, t.Any] | None, version: str) -> str:
    """Why the release does not read the algorithm of ModelOpt's files; '' where it does, or nobody knows."""
    algorithm = _algorithm(config) if of_files(config).startswith("modelopt") else ""
    since = MODELOPT.get(algorithm)
    if since is None or version_key(version) >= since:
        return ""
    first = ".".join(map(str, since))
    return (
        f"The model's files name the quantization {algorithm} (quant_algo), which vLLM {version} does not read: use "
        f"{first} or newer, or another build of the model."
    )


def agree(asked: str, files: str) -> bool:
    """Whether a release that has the method ASKED reads files of method FILES with it."""
    if asked == "humming":
        return files != "mxfp4"
    if asked == "moe_wna16" and files in ("awq", "gptq"):
        return True
    return asked == files or any({asked, files} <= group for group in SAME_FILES)


def decided(asked: str, config: t.Mapping[str, t.Any] | None, version: str) -> str | None:
    """The method for which ASKED does not count, '' where it does, None where nobody knows for want of the files."""
    if config is None:
        return None if asked.lower() in OF_FILES else ""
    method = recognised(config, version)
    if method or asked != "marlin":
        return method
    files = of_files(config)
    return files if files and agree(asked, files) else ""


def reads_files(method: str) -> bool:
    """Whether the method is of no use without files that were made for it."""
    return any(method in group for group in SAME_FILES)


def kind_of_files(config: t.Mapping[str, t.Any] | None) -> str:
    """The files in the words of RECOGNISED."""
    files = of_files(config)
    if files.startswith("modelopt"):
        algorithm = _algorithm(config)
        for kind in ("MIXED_PRECISION", "MXFP8", "NVFP4", "FP8"):
            if kind in algorithm or (kind == "NVFP4" and "FP4" in algorithm):
                return f"modelopt {kind}"
        return files
    model = str((config or {}).get("model_type") or "")
    return f"{model} {files}" if (model, files) in (("gpt_oss", "mxfp4"), ("deepseek_v4", "fp8")) else files


def _algorithm(config: t.Mapping[str, t.Any] | None) -> str:
    """What ModelOpt's files call their algorithm; an older layout has it one level deeper."""
    found = section(config) or {}
    inner = found.get("quantization")
    return str((inner if isinstance(inner, dict) else found).get("quant_algo") or "").upper()
