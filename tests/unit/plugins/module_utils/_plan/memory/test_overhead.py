# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Activation, context and graphs against what real starts logged."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory import settings
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.calibration import PRIOR, SHIPPED
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.graphs import (
    captures,
    from_environment,
    graphs,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.overhead import (
    Load,
    activation,
    non_torch,
    sampler_copies,
)
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.request import MemoryRequest
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.memory.runner import second_runner
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.model.architecture import from_config
from ansible_collections.gpufleet.vllm.tests.data.model_configs import CONFIGS

LLAMA = from_config(CONFIGS["meta-llama/Llama-3.1-8B-Instruct"])
QWEN = from_config(CONFIGS["Qwen/Qwen2.5-7B-Instruct"])
GPT_OSS = from_config(CONFIGS["openai/gpt-oss-20b"])
HOPPER = (9, 0)


def load(version: tuple[int, int, int], **more: t.Any) -> Load:
    values: dict[str, t.Any] = {"sequences": 1024, "batched_tokens": 8192, "capability": HOPPER, **more}
    return Load(version=version, engine=values.pop("engine", "V1"), **values)


@pytest.mark.parametrize(
    ("architecture", "version", "logged"),
    [
        (LLAMA, (0, 19, 0), 1.89),
        (QWEN, (0, 19, 0), 2.21),
        (GPT_OSS, (0, 19, 0), 2.87),
        (LLAMA, (0, 11, 0), 4.76),
        (GPT_OSS, (0, 11, 0), 7.38),
    ],
)
def test_sampling_peak(architecture: t.Any, version: tuple[int, int, int], logged: float) -> None:
    found = activation(architecture, load(version), True, SHIPPED)
    assert found.expected == pytest.approx(logged, abs=0.1)
    assert found.low <= logged <= found.high


def test_only_the_last_stage_samples() -> None:
    assert activation(LLAMA, load((0, 19, 0), pipeline_parallel=2), False, SHIPPED).expected == pytest.approx(
        1.1, abs=0.1
    )


def test_fewer_sequences_take_less() -> None:
    many, few = (activation(QWEN, load((0, 11, 0), sequences=count), True, SHIPPED).expected for count in (1024, 256))
    assert few < many / 3


@pytest.mark.parametrize(
    ("version", "ranks", "capability", "logged"),
    [
        ((0, 11, 0), 1, HOPPER, 0.13),
        ((0, 19, 0), 1, HOPPER, 0.25),
        ((0, 11, 0), 2, HOPPER, 0.55),
        ((0, 19, 0), 2, HOPPER, 2.07),
        ((0, 19, 0), 4, HOPPER, 2.13),
    ],
)
def test_beside_torch(version: tuple[int, int, int], ranks: int, capability: tuple[int, int], logged: float) -> None:
    found = non_torch(load(version, tensor_parallel=ranks, capability=capability), SHIPPED)
    assert found.expected == pytest.approx(logged, abs=0.1)


def test_fused_all_reduce_is_for_hopper_and_newer() -> None:
    ada = non_torch(load((0, 32, 0), tensor_parallel=2, capability=(8, 9)), SHIPPED)
    hopper = non_torch(load((0, 32, 0), tensor_parallel=2), SHIPPED)
    unknown = non_torch(load((0, 32, 0), tensor_parallel=2, capability=None), SHIPPED)
    assert ada.expected < hopper.expected - 1.0
    assert unknown.low < ada.expected < unknown.high


@pytest.mark.parametrize(
    ("sequences", "more", "expected"),
    [
        (256, {}, 51 + 35),
        (1024, {}, 51 + 51),
        (1, {"batched_tokens": 8192}, 2 + 1),
        (8, {}, 5 + 4),
        (256, {"max_capture": 64}, 11 + 11),
    ],
)
def test_captures(sequences: int, more: dict[str, t.Any], expected: int) -> None:
    assert captures(load((0, 19, 0), sequences=sequences, **more), LLAMA) == expected


def test_gpt_oss_captures_up_to_1024() -> None:
    assert captures(load((0, 19, 0)), GPT_OSS) > captures(load((0, 19, 0)), LLAMA) + 50


@pytest.mark.parametrize(
    ("version", "counted"), [((0, 19, 0), False), ((0, 20, 0), True), ((0, 27, 0), True), ((0, 32, 0), True)]
)
def test_graphs_are_counted_from_020(version: tuple[int, int, int], counted: bool) -> None:
    found = graphs(LLAMA, load(version), 1, SHIPPED)
    assert (found.counted.expected > 0) is counted
    assert found.held.expected > 0.2


@pytest.mark.parametrize(("said", "counted"), [(True, True), (False, False)])
def test_the_environment_decides_where_it_is_set(said: bool, counted: bool) -> None:
    for version in ((0, 19, 0), (0, 24, 0)):
        found = graphs(LLAMA, load(version, graphs_counted=said), 1, SHIPPED)
        assert (found.counted.high > 0) is counted


@pytest.mark.parametrize(("version", "counted"), [((0, 24, 0), False), ((0, 28, 0), False), ((0, 29, 0), True)])
def test_the_second_runner_counts_its_graphs_from_029(version: tuple[int, int, int], counted: bool) -> None:
    """Before it profile_cudagraph_memory returned 0; an H200 with 0.26 had all of its memory for the cache."""
    found = graphs(LLAMA, load(version, second=True, caches="cold"), 1, SHIPPED)
    assert (found.counted.expected > 0) is counted
    assert found.on_top.expected > 0


def test_graphs_of_old_releases_do_not_follow_max_num_seqs() -> None:
    """0.8.5: 1, 2, 4 and every 8 up to 512, in parts only; from 0.10.2 at most twice max_num_seqs."""
    assert captures(load((0, 8, 5), sequences=1), LLAMA) == 67
    assert captures(load((0, 10, 2), sequences=1), LLAMA) == 2
    assert captures(load((0, 11, 0), sequences=256), LLAMA) == 67 + 35


def test_graph_sizes_that_were_asked_for() -> None:
    assert captures(load((0, 27, 0), sequences=4, capture_sizes=3, max_capture=4, piecewise=True), LLAMA) == 3


def test_consumer_blackwell_does_not_fuse_all_reduce() -> None:
    """Two RTX 5090 with 0.27: 15.03 GiB of weights and the rest together, where the weights are 14.37."""
    found = non_torch(load((0, 27, 0), tensor_parallel=2, capability=(12, 0)), SHIPPED)
    assert found.expected == pytest.approx(0.7, abs=0.1)


@pytest.mark.parametrize(
    ("images", "second", "version", "seen"),
    [(True, False, (0, 26, 0), True), (False, False, (0, 26, 0), False), (True, True, (0, 26, 0), False),
     (True, True, (0, 27, 0), True)],
)  # fmt: skip
def test_the_largest_image_is_tried_at_start(
    images: bool, second: bool, version: tuple[int, int, int], seen: bool
) -> None:
    """16384 tokens of four patches through the encoder; the second runner tries it from 0.27 on."""
    architecture = from_config(CONFIGS["Qwen/Qwen3.6-27B-FP8"])
    given = load(version, sequences=8, batched_tokens=2048, images=images, second=second)
    assert (activation(architecture, given, True, SHIPPED).expected > 1.5) is seen


@pytest.mark.parametrize(("limits", "fewer"), [
    (None, False), ({"image": 1}, False), ({"image": 1, "video": 1}, False), ({"image": 1, "video": 0}, True),
    ({"image": {"count": 1}, "video": {"count": 0}}, True), ({"image": 8, "video": 0}, False),
])  # fmt: skip
def test_no_more_images_are_tried_than_may_come_at_once(limits: t.Any, fewer: bool) -> None:
    """A batch of 16384 tokens has room for 64 images of 256, and eight requests may have so many."""
    vision = {"hidden_size": 1024, "image_size": 448, "patch_size": 14, "spatial_merge_size": 2, "num_hidden_layers": 2}
    text = {"num_hidden_layers": 2, "hidden_size": 64, "vocab_size": 256}
    architecture = from_config({"vision_config": vision, "text_config": text})
    known = load((0, 32, 0), sequences=8, batched_tokens=16384)
    given: dict[str, t.Any] = {"max_num_seqs": 8, "limit_mm_per_prompt": limits or {}}
    at_once = settings.resolve(MemoryRequest("0.32.0", given, ()), architecture).images_at_once
    all_of_them = activation(architecture, known, True, SHIPPED).expected
    found = activation(architecture, dataclasses.replace(known, images_at_once=at_once), True, SHIPPED).expected
    assert (found < 0.5 * all_of_them) is fewer and (fewer or found == all_of_them)


@pytest.mark.parametrize(("version", "copies"), [((0, 32, 0), 0.5), ((0, 33, 0), 1.5)])
def test_the_second_runner_samples_with_every_parameter_from_033(version: tuple[int, int, int], copies: float) -> None:
    assert sampler_copies(load(version, second=True), SHIPPED) == copies


def test_marlin_takes_a_long_batch_of_experts_at_once() -> None:
    """Kimi Linear 48B in 4 bits with 0.11 and batches of 64000 on two RTX 3090: 4.7 GiB were not left for the cache."""
    text = {
        "num_hidden_layers": 27,
        "hidden_size": 2304,
        "num_attention_heads": 32,
        "vocab_size": 163840,
        "num_experts": 256,
        "num_experts_per_token": 8,
        "moe_intermediate_size": 1024,
    }
    packed = {"quant_method": "awq", "bits": 4, "group_size": 32}
    given = load((0, 11, 0), sequences=8, batched_tokens=64000, tensor_parallel=2, capability=(8, 6))
    marlin, triton = (
        activation(from_config({**text, "quantization_config": section}), given, True, SHIPPED).expected
        for section in (packed, None)
    )
    assert marlin == pytest.approx(4.7, abs=0.4)
    assert triton < marlin - 1


def test_experts_of_a_latent_width_read_and_write_less() -> None:
    """NemotronHMoE hands its experts moe_latent_size instead of hidden_size.

    Nemotron 3 Super with 0.27.1 on four L40S: a batch of 32768 took 1.62 GiB at its peak.
    """
    text = {
        "num_hidden_layers": 88,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "vocab_size": 131072,
        "n_routed_experts": 512,
        "num_experts_per_tok": 22,
        "moe_intermediate_size": 2688,
    }
    given = load((0, 27, 1), sequences=256, batched_tokens=32768, tensor_parallel=4, capability=(8, 9))
    wide, narrow = (
        activation(from_config({**text, **more}), given, True, SHIPPED).expected
        for more in ({}, {"moe_latent_size": 1024})
    )
    assert narrow < wide / 2


def test_environment() -> None:
    name = "VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS"
    assert [from_environment({}), from_environment({name: "1"}), from_environment({name: "0"})] == [None, True, False]


def test_eager_has_none() -> None:
    assert graphs(LLAMA, load((0, 32, 0), eager=True), 1, SHIPPED).held.high == 0.0


def test_caches_move_the_newest_releases() -> None:
    warm, cold, unknown = (
        graphs(LLAMA, load((0, 32, 0), caches=caches, second=True), 1, SHIPPED) for caches in ("warm", "cold", None)
    )
    assert warm.counted.expected == 0.0
    assert cold.counted.expected == cold.held.expected
    assert warm.counted.expected < unknown.counted.expected < cold.counted.expected
    assert unknown.counted.low == 0.0


@pytest.mark.parametrize(
    ("version", "model", "expected"),
    [
        ((0, 20, 0), "meta-llama/Llama-3.1-8B-Instruct", False),
        ((0, 22, 0), "meta-llama/Llama-3.1-8B-Instruct", False),
        ((0, 24, 0), "meta-llama/Llama-3.1-8B-Instruct", True),
        ((0, 26, 0), "google/gemma-3-1b-it", True),
        ((0, 26, 0), "openai/gpt-oss-20b", False),
        ((0, 28, 0), "Qwen/Qwen3.5-4B", False),
        ((0, 29, 0), "openai/gpt-oss-20b", True),
    ],
)
def test_model_runner(version: tuple[int, int, int], model: str, expected: bool) -> None:
    assert second_runner(version, from_config(CONFIGS[model])) is expected


@pytest.mark.parametrize(
    ("version", "method", "said", "expected"),
    [
        ((0, 26, 0), "", "0", False),
        ((0, 26, 0), "", None, True),
        ((0, 26, 0), "ngram", None, False),
        ((0, 30, 0), "draft_model", None, False),
        ((0, 31, 0), "draft_model", None, True),
        ((0, 31, 0), "ngram", None, False),
        ((0, 32, 0), "ngram", None, True),
        ((0, 32, 0), "medusa", None, False),
        ((0, 33, 0), "ngram", None, True),
        ((0, 33, 0), "suffix", None, False),
        ((0, 20, 0), "", "1", True),
    ],
)
def test_what_a_start_asks_for_decides_the_runner(
    version: tuple[int, int, int], method: str, said: str | None, expected: bool
) -> None:
    environment = {} if said is None else {"VLLM_USE_V2_MODEL_RUNNER": said}
    assert second_runner(version, LLAMA, method, environment) is expected


def test_shipped_constants_are_near_what_the_source_says() -> None:
    """A constant far off its prior would have been fitted to something else than it means."""
    prior = PRIOR.values()
    for name, value in SHIPPED.values().items():
        assert 0.5 * prior[name] <= value <= 2.0 * prior[name], name
