# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files serve, of repositories as their kinds have them. No listing was read from the hub."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.manifest import File
from ansible_collections.gpufleet.vllm.plugins.module_utils._hub.selection import Selection, Wish, select

QWEN = """.gitattributes LICENSE README.md config.json generation_config.json merges.txt model.safetensors
tokenizer.json tokenizer_config.json vocab.json"""
LLAMA = """.gitattributes LICENSE README.md USE_POLICY.md config.json generation_config.json
model-00001-of-00004.safetensors model-00002-of-00004.safetensors model-00003-of-00004.safetensors
model-00004-of-00004.safetensors model.safetensors.index.json original/consolidated.00.pth original/params.json
original/tokenizer.model special_tokens_map.json tokenizer.json tokenizer_config.json"""
GPT_OSS = """.gitattributes LICENSE README.md USAGE_POLICY chat_template.jinja config.json
generation_config.json metal/model.bin model-00000-of-00002.safetensors model-00001-of-00002.safetensors
model-00002-of-00002.safetensors model.safetensors.index.json original/config.json original/dtypes.json
original/model.safetensors special_tokens_map.json tokenizer.json tokenizer_config.json"""
MISTRAL = """.gitattributes README.md SYSTEM_PROMPT.txt chat_template.jinja config.json consolidated.safetensors
generation_config.json model-00001-of-00010.safetensors model-00010-of-00010.safetensors
model.safetensors.index.json params.json preprocessor_config.json processor_config.json special_tokens_map.json
tekken.json tokenizer.json tokenizer_config.json"""
DEEPSEEK = """.gitattributes LICENSE-CODE LICENSE-MODEL README.md README_WEIGHTS.md config.json
configuration_deepseek.py figures/benchmark.png figures/niah.png inference/configs/config_16B.json
inference/configs/config_671B.json inference/convert.py inference/fp8_cast_bf16.py inference/generate.py
inference/kernel.py inference/model.py inference/requirements.txt model-00001-of-000163.safetensors
model-00163-of-000163.safetensors model.safetensors.index.json modeling_deepseek.py tokenizer.json
tokenizer_config.json"""
PHI = """.gitattributes CODE_OF_CONDUCT.md LICENSE README.md SECURITY.md SUPPORT.md added_tokens.json
config.json configuration_phi4mm.py examples/what_is_shown_in_this_image.wav figures/speech_qa.png
generation_config.json merges.txt model-00001-of-00003.safetensors model-00002-of-00003.safetensors
model-00003-of-00003.safetensors model.safetensors.index.json modeling_phi4mm.py
phi_4_mm.tech_report.02252025.pdf preprocessor_config.json processing_phi4mm.py processor_config.json
sample_finetune_speech.py special_tokens_map.json speech-lora/adapter_config.json
speech-lora/adapter_model.safetensors speech-lora/added_tokens.json speech_conformer_encoder.py tokenizer.json
tokenizer_config.json vision-lora/adapter_config.json vision-lora/adapter_model.safetensors vocab.json"""
MINILM = """.gitattributes 1_Pooling/config.json README.md config.json config_sentence_transformers.json
data_config.json model.safetensors modules.json onnx/model.onnx onnx/model_O1.onnx openvino/openvino_model.bin
openvino/openvino_model.xml pytorch_model.bin rust_model.ot sentence_bert_config.json special_tokens_map.json
tf_model.h5 tokenizer.json tokenizer_config.json train_script.py vocab.txt"""
BGE = """.gitattributes 1_Pooling/config.json README.md colbert_linear.pt config.json
config_sentence_transformers.json imgs/bm25.jpg long.jpg modules.json onnx/config.json onnx/model.onnx
onnx/model.onnx_data onnx/tokenizer.json pytorch_model.bin sentence_bert_config.json sentencepiece.bpe.model
sparse_linear.pt special_tokens_map.json tokenizer.json tokenizer_config.json"""
GGUFS = """.gitattributes LICENSE README.md qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf
qwen2.5-7b-instruct-q4_k_m-00002-of-00002.gguf qwen2.5-7b-instruct-q8_0.gguf"""


COMMON = Wish()


def chosen(listing: str, wish: Wish = COMMON, sizes: t.Mapping[str, int] | None = None) -> Selection:
    files = [
        File(path=path, size=(sizes or {}).get(path, 1), sha256=None, git_sha1=None, url=f"https://hub/{path}")
        for path in listing.split()
    ]
    return select("org/model", files, wish)


def left_out(listing: str, wish: Wish = COMMON) -> set[str]:
    found = chosen(listing, wish)
    assert found.problem == ""
    return set(listing.split()) - {one["path"] for one in found.files}


@pytest.mark.parametrize(
    ("listing", "without"),
    [
        (QWEN, ".gitattributes LICENSE README.md"),
        (
            LLAMA,
            (
                ".gitattributes LICENSE README.md USE_POLICY.md original/consolidated.00.pth original/params.json "
                "original/tokenizer.model"
            ),
        ),
        (
            GPT_OSS,
            (
                ".gitattributes LICENSE README.md USAGE_POLICY metal/model.bin original/config.json "
                "original/dtypes.json original/model.safetensors"
            ),
        ),
        (MISTRAL, ".gitattributes README.md SYSTEM_PROMPT.txt consolidated.safetensors"),
        (
            DEEPSEEK,
            (
                ".gitattributes LICENSE-CODE LICENSE-MODEL README.md README_WEIGHTS.md configuration_deepseek.py "
                "figures/benchmark.png figures/niah.png inference/configs/config_16B.json "
                "inference/configs/config_671B.json inference/convert.py inference/fp8_cast_bf16.py "
                "inference/generate.py inference/kernel.py inference/model.py inference/requirements.txt "
                "modeling_deepseek.py"
            ),
        ),
        (
            MINILM,
            (
                ".gitattributes README.md onnx/model.onnx onnx/model_O1.onnx openvino/openvino_model.bin "
                "openvino/openvino_model.xml pytorch_model.bin rust_model.ot tf_model.h5 train_script.py"
            ),
        ),
    ],
)
def test_what_is_left_out(listing: str, without: str) -> None:
    assert left_out(listing) == set(without.split())


def test_code_of_the_model_comes_only_where_it_may_run() -> None:
    code = {"configuration_phi4mm.py", "modeling_phi4mm.py", "processing_phi4mm.py", "speech_conformer_encoder.py"}
    assert code <= left_out(PHI)
    assert not code & left_out(PHI, Wish(code=True))
    assert chosen(PHI).notes == (
        (
            "org/model has Python code of its own, which is not fetched: vllm_server_allow_trust_remote_code does not "
            "name it."
        ),
    )
    assert chosen(PHI, Wish(code=True)).notes == chosen(QWEN).notes == ()
    # Its adapters for speech and vision are part of it.
    assert {"speech-lora/adapter_model.safetensors", "vision-lora/adapter_config.json"}.isdisjoint(left_out(PHI))


def test_of_weights_one_form_comes() -> None:
    assert "consolidated.safetensors" not in left_out(MISTRAL, Wish(mistral=True))
    assert "model-00001-of-00010.safetensors" in left_out(MISTRAL, Wish(mistral=True))
    assert left_out("config.json params.json consolidated.safetensors") == set()
    assert "pytorch_model.bin" in left_out(MINILM, Wish(pickles=True))


def test_pickled_weights_come_only_where_they_are_allowed() -> None:
    assert chosen(BGE).problem == (
        "The weights of org/model are pickle files only (pytorch_model.bin), which can carry code: take a build with "
        "safetensors, or set model_store_allow_pickles: [org/model]."
    )
    without = left_out(BGE, Wish(pickles=True))
    assert "pytorch_model.bin" not in without
    assert {"colbert_linear.pt", "onnx/model.onnx", "onnx/config.json", "imgs/bm25.jpg"} <= without
    assert left_out("config.json pytorch_model-1-of-2.bin pytorch_model.bin.index.json", Wish(pickles=True)) == set()


def test_of_gguf_the_file_that_is_named() -> None:
    assert chosen(GGUFS).problem.startswith(
        "The weights of org/model are GGUF files, of which one is needed: name it with model_store_models: "
        "[{model: org/model, gguf: qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf}]; there are "
    )
    named = "qwen2.5-7b-instruct-q8_0.gguf"
    assert [one["path"] for one in chosen(GGUFS, Wish(gguf=named)).files] == [named]
    assert (
        "has no file x.gguf, which model_store_models names: there are qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf"
        in chosen(GGUFS, Wish(gguf="x.gguf")).problem
    )
    assert left_out(f"config.json model.safetensors {named}", Wish(gguf=named)) == {"model.safetensors"}


def test_without_weights_nothing_can_be_served() -> None:
    assert chosen("config.json README.md").problem == (
        "org/model has no weights that vLLM reads: no safetensors file is among its 2 files."
    )


def test_what_is_no_name_of_a_file_is_none() -> None:
    found = chosen("config.json model.safetensors ../x.json /etc/x.json a/../b.json")
    assert [one["path"] for one in found.files] == ["config.json", "model.safetensors"]


def test_a_text_of_gigabytes_is_none() -> None:
    found = chosen("big.json model.safetensors", sizes={"big.json": 2**40, "model.safetensors": 2**40})
    assert [one["path"] for one in found.files] == ["model.safetensors"]
