# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write tiny random models that take images and sounds: tiny_media.py DIRECTORY, a folder for each below it.

tiny-sees is an Idefics3, one of the families whose code in vLLM does without torchvision: the lab's image has none.
tiny-hears is a Whisper, and a real fault there: the image has none of the packages that read a sound (vLLM's extra
`audio`), so that it is healthy and refuses every one.
"""

from __future__ import annotations

import pathlib
import sys

import torch
from tiny_model import CHAT_TEMPLATE, HEADS, tokenizer
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizerFast,
)
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

HEAD_DIM = 64  # what vLLM's attention takes on the CPU
SIDE, PATCH, SCALE = 64, 16, 2
MELS = 80
# What the processors write around the tokens of an image, and before those of an answer.
IMAGE = "<image>"
OF_IMAGES = [IMAGE, "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
OF_SOUNDS = ["<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|translate|>", "<|notimestamps|>", "<|0.00|>"]


def words_with(marks: list[str]) -> PreTrainedTokenizerFast:
    words = tokenizer()
    words.add_special_tokens({"additional_special_tokens": marks})
    return words


def sees(directory: pathlib.Path) -> None:
    words = words_with(OF_IMAGES)
    width = HEADS * HEAD_DIM
    config = Idefics3Config(
        vision_config={
            "hidden_size": HEAD_DIM,
            "intermediate_size": 2 * HEAD_DIM,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": PATCH,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": len(words),
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_hidden_layers": 2,
            "num_attention_heads": HEADS,
            "num_key_value_heads": HEADS,
            "max_position_embeddings": 4096,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 1,
        },
        scale_factor=SCALE,
        image_token_id=words.convert_tokens_to_ids(IMAGE),
        pad_token_id=1,
    )
    Idefics3ForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(directory)
    edge = {"longest_edge": SIDE}
    eyes = Idefics3ImageProcessorPil(size=edge, max_image_size=edge, do_image_splitting=False)
    tokens = (SIDE // PATCH) ** 2 // SCALE**2
    Idefics3Processor(eyes, words, image_seq_len=tokens, chat_template=CHAT_TEMPLATE).save_pretrained(directory)


def hears(directory: pathlib.Path) -> None:
    words = words_with(OF_SOUNDS)
    spoken = WhisperTokenizerFast(
        tokenizer_object=words.backend_tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    width = 2 * HEAD_DIM
    config = WhisperConfig(
        vocab_size=len(words),
        d_model=width,
        num_mel_bins=MELS,
        encoder_layers=2,
        encoder_attention_heads=2,
        encoder_ffn_dim=2 * width,
        decoder_layers=2,
        decoder_attention_heads=2,
        decoder_ffn_dim=2 * width,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        decoder_start_token_id=words.convert_tokens_to_ids(OF_SOUNDS[0]),
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    WhisperForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(directory)
    WhisperProcessor(WhisperFeatureExtractor(feature_size=MELS), spoken).save_pretrained(directory)


def main(directory: str) -> None:
    for name, make in (("tiny-sees", sees), ("tiny-hears", hears)):
        torch.manual_seed(1)
        make(pathlib.Path(directory) / name)


if __name__ == "__main__":
    main(sys.argv[1])
