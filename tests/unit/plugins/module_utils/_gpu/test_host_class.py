# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's hardware against its class."""

from __future__ import annotations

import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.fact import Facts
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.host_class import assigned, combined, contradictions
from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.mixed_gpus import warning
from ansible_collections.gpufleet.vllm.tests.data.example_fleet import CHECKOUT, HOST_CLASSES

SHIPPED = combined(HOST_CLASSES, {})
L40S = ("NVIDIA L40S", 46068, "8.9")
RTX_4090 = ("NVIDIA GeForce RTX 4090", 24564, "8.9")
RTX_3090 = ("NVIDIA GeForce RTX 3090", 24576, "8.6")
RTX_5060_TI = ("NVIDIA GeForce RTX 5060 Ti", 16311, "12.0")
# What no class is for.
T4 = ("NVIDIA T4", 15360, "7.5")
# Every host that a class names cards for.
HOSTS: list[tuple[str, list[tuple[str, int, str]]]] = [
    (name, [(card, seen["memory_mib"], seen["compute_capability"])] * wanted["count"])
    for name, wanted in HOST_CLASSES.items()
    for card, seen in wanted.get("cards", {}).items()
]
ONE_GPU = sorted(name for name, wanted in HOST_CLASSES.items() if wanted.get("count") == 1)
CARDS: dict[str, list[tuple[str, int, str]]] = dict(reversed([*HOSTS, ("cpu", [])]))


def on_bus(slot: str, vendor: str = "NVIDIA", driver: str | None = "nvidia") -> dict[str, t.Any]:
    return {"slot": slot, "vendor_name": vendor, "device": "0x2503", "driver": driver}


def host(
    *cards: tuple[str | None, int | None, str | None],
    others: t.Sequence[dict[str, t.Any]] = (),
    driver: bool = True,
    state: str = "healthy",
) -> t.Any:
    slots = [f"0000:{index + 1}1:00.0" for index in range(len(cards))]
    gpus = [
        {
            "index": index,
            "name": name,
            "pci_id": slots[index],
            "memory_mib": {"total": memory},
            "compute_capability": sm,
        }
        for index, (name, memory, sm) in enumerate(cards)
    ]
    return {
        "state": state,
        "advice": "Power the host off and on.",
        "pci": [*(on_bus(slot) for slot in slots), *others],
        "gpus": gpus if driver else [],
    }


@pytest.mark.parametrize(("name", "cards"), HOSTS)
@pytest.mark.parametrize("driver", [True, False])
def test_each_shipped_class_accepts_its_cards(name: str, cards: t.Any, driver: bool) -> None:
    assert contradictions(name, SHIPPED, host(*cards, driver=driver)) == []


@pytest.mark.parametrize("name", sorted(set(SHIPPED) - {"cpu"}))
@pytest.mark.parametrize("other", sorted(SHIPPED))
def test_each_shipped_class_refuses_the_hosts_of_others(name: str, other: str) -> None:
    assert bool(contradictions(name, SHIPPED, host(*CARDS[other]))) is (name != other)


@pytest.mark.parametrize("other", sorted(SHIPPED))
def test_cpu_accepts_any_host(other: str) -> None:
    assert contradictions("cpu", SHIPPED, host(*CARDS[other], state="gpu_lost")) == []


@pytest.mark.parametrize("memory", [46068, 49140])
def test_48_gb_with_and_without_error_correction(memory: int) -> None:
    assert contradictions("gpu_4x48gb", SHIPPED, host(*[("NVIDIA RTX A6000", memory, "8.6")] * 4)) == []


# nvidia-smi of cards that no class names.
@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("gpu_16gb", ("NVIDIA GeForce RTX 4070 Ti SUPER", 16376, "8.9")),
        ("gpu_24gb", ("NVIDIA A10", 23028, "8.6")),
        ("gpu_24gb", ("NVIDIA RTX A5000", 24564, "8.6")),
        ("gpu_80gb", ("NVIDIA A800 80GB PCIe", 81920, "8.0")),
    ],
)
def test_a_card_that_no_class_names_is_of_the_class_of_its_memory(name: str, card: t.Any) -> None:
    assert assigned(SHIPPED, host(card)) == (name, [])


CLASSES: dict[str, t.Any] = {
    "one": {
        "count": 1,
        "memory_mib": {"min": 12000, "max": 12400},
        "names": ["RTX 3060", "RTX 4070"],
        "min_compute_capability": "8.0",
    },
    "large": {"memory_mib": {"min": 40000}},
    "small": {"memory_mib": {"max": 8200}},
    "amd": {"vendor": "AMD", "count": 1},
}
GOOD = ("NVIDIA GeForce RTX 3060", 12288, "8.6")


@pytest.mark.parametrize(
    ("name", "facts", "sentences"),
    [
        pytest.param("one", host(GOOD), [], id="agrees"),
        pytest.param("one", host(("NVIDIA GeForce RTX 4070", 12282, "8.9")), [], id="another that agrees"),
        pytest.param(
            "one",
            host(),
            ["expects 1 NVIDIA GPU, found none: move the host to the group of its class, correct the hardware"],
            id="none",
        ),
        pytest.param(
            "one",
            host(others=[on_bus("0000:03:00.0", "AMD", "amdgpu")]),
            ["expects 1 NVIDIA GPU, found none, besides AMD 0x2503 at 0000:03:00.0"],
            id="another vendor",
        ),
        pytest.param(
            "one",
            host(GOOD, GOOD, driver=False),
            ["expects 1 NVIDIA GPU, found 2 (0000:11:00.0, 0000:21:00.0)"],
            id="more",
        ),
        pytest.param(
            "one",
            host(others=[on_bus("0000:11:00.0", driver="vfio-pci")]),
            ["found none, besides NVIDIA 0x2503 at 0000:11:00.0 bound to vfio-pci"],
            id="passed through",
        ),
        pytest.param(
            "one", host(GOOD, others=[on_bus("0000:21:00.0", driver="vfio-pci")]), [], id="one more, passed through"
        ),
        pytest.param("one", host((None, None, None)), [], id="a GPU that tells nothing"),
        pytest.param(
            "one",
            host((None, None, None), state="gpu_lost"),
            ["expects GPUs that answer, found state gpu_lost: Power the host off and on."],
            id="lost",
        ),
        pytest.param(
            "one",
            host(("NVIDIA T4", 15360, "7.5"), GOOD),
            [
                "found 2 (",
                "GPU 0: NVIDIA T4 has 15360 MiB of memory, host class one expects 12000 to 12400 MiB: move",
                "GPU 0: NVIDIA T4 is the name, host class one expects one with RTX 3060 or RTX 4070",
                "compute capability 7.5, host class one expects 8.0 or newer",
                "The GPUs of this host differ: GPU 0 is NVIDIA T4",
            ],
            id="everything at once",
        ),
        pytest.param("large", host(GOOD), ["expects at least 40000 MiB"], id="open range upwards"),
        pytest.param("small", host(GOOD), ["expects at most 8200 MiB"], id="open range downwards"),
        pytest.param("large", host(L40S, L40S, L40S), [], id="any count"),
        pytest.param(
            "small",
            host(L40S, GOOD, L40S),
            [
                "GPU 0, 2: NVIDIA L40S has 46068 MiB",
                "GPU 1: NVIDIA GeForce RTX 3060 has 12288 MiB",
                "GPU 0, 2 is NVIDIA L40S",
            ],
            id="GPUs that differ alike are named together",
        ),
        pytest.param("amd", host(others=[on_bus("0000:03:00.0", "AMD", "amdgpu")]), [], id="a class of another vendor"),
        pytest.param("amd", host(GOOD), ["expects 1 AMD GPU, found none, besides NVIDIA"], id="and a host without it"),
    ],
)
def test_contradictions(name: str, facts: Facts, sentences: list[str]) -> None:
    found = contradictions(name, CLASSES, facts)
    assert len(found) == len(sentences)
    for sentence, words in zip(found, sentences, strict=True):
        assert words in sentence


@pytest.mark.parametrize(
    ("least", "capability", "accepted"),
    [("8.0", "12.0", True), ("8.9", "8.10", True), ("12.0", "9.0", False), (8.0, "8.0", True), (12.0, "8.6", False)],
)
def test_compute_capability_is_compared_as_numbers(least: object, capability: str, accepted: bool) -> None:
    classes = {"x": {"min_compute_capability": least}}
    assert (contradictions("x", classes, host(("X", 1, capability))) == []) is accepted


@pytest.mark.parametrize(
    ("name", "words"),
    [("", "gpu_detect_host_class is empty"), ("gpu_13gb", "'gpu_13gb', which is no class: use one of amd, large")],
)
def test_the_name_of_a_class(name: str, words: str) -> None:
    (sentence,) = contradictions(name, CLASSES, host())
    assert words in sentence


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ([], ["expected a dictionary"]),
        (None, ["expected a dictionary"]),
        ({"gpus": 1}, ["has 'gpus', expected only vendor, count"]),
        ({"count": 0}, ["count is 0, expected a whole number"]),
        ({"count": True}, ["count is True"]),
        ({"count": "1"}, ["count is '1'"]),
        ({"vendor": "nvidia"}, ["vendor is 'nvidia', expected one of NVIDIA, AMD, Intel"]),
        ({"memory_mib": 12288}, ["memory_mib is 12288, expected min and max"]),
        ({"memory_mib": {"min": 2, "max": 1}}, ["min not above max"]),
        ({"memory_mib": {"least": 1}}, ["memory_mib is {'least': 1}"]),
        ({"names": "RTX"}, ["names is 'RTX', expected a list"]),
        ({"names": [""]}, ["names is ['']"]),
        ({"min_compute_capability": "new"}, ["min_compute_capability is 'new'"]),
        ({"count": 0, "names": 1, "sm": 1}, ["has 'sm'", "count is 0", "names is 1"]),
        (
            {"engine_args": ["--max-model-len"], "limit": {}},
            ["Did you mean limits?", "engine_args is ['--max-model-len']"],
        ),
    ],
)
def test_a_class_that_is_described_wrongly(wanted: t.Any, words: list[str]) -> None:
    found = contradictions("mine", {"mine": wanted}, host(GOOD))
    assert len(found) == len(words)
    for sentence, part in zip(found, words, strict=True):
        assert "gpu_detect_host_classes['mine']" in sentence
        assert part in sentence


@pytest.mark.parametrize(
    ("wrong", "facts", "named"),
    [
        pytest.param("gpu_12gb", host(*CARDS["gpu_4x48gb"]), "gpu_4x48gb", id="one"),
        pytest.param("gpu_4x48gb", host(L40S, driver=False), ", ".join(ONE_GPU), id="several, no driver"),
        pytest.param("gpu_12gb", host(), "cpu", id="a host without GPU"),
        pytest.param("gpu_12gb", host(others=[on_bus("0000:03:00.0", "AMD")]), "cpu", id="a host with an AMD card"),
    ],
)
def test_the_classes_that_the_hardware_agrees_with_are_named(wrong: str, facts: Facts, named: str) -> None:
    found = contradictions(wrong, SHIPPED, facts)
    assert found
    for sentence in found:
        assert f"move the host to the group of a class it agrees with ({named})" in sentence


def test_no_class_agrees_with_a_card_that_none_has() -> None:
    sentence = contradictions("gpu_12gb", SHIPPED, host(T4))[0]
    assert "move the host to the group of its class, correct the hardware" in sentence


@pytest.mark.parametrize(("name", "cards"), [*HOSTS, ("cpu", [])])
def test_the_class_that_fits_is_assigned(name: str, cards: t.Any) -> None:
    assert assigned(SHIPPED, host(*cards)) == (name, [])


@pytest.mark.parametrize("name", ["gpu_4x48gb", "gpu_8x80gb"])
def test_a_count_that_one_class_has_is_enough_before_a_driver_tells_the_memory(name: str) -> None:
    assert assigned(SHIPPED, host(*CARDS[name], driver=False)) == (name, [])


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        pytest.param(
            host(GOOD, driver=False),
            f"agree with {' and '.join(ONE_GPU)} before a driver tells",
            id="no driver",
        ),
        pytest.param(host(T4), "agrees with no class of cpu, gpu_12gb", id="none"),
    ],
)
def test_where_no_class_can_be_assigned(facts: Facts, words: str) -> None:
    name, (sentence,) = assigned(SHIPPED, facts)
    assert name == ""
    assert words in sentence
    assert "set gpu_detect_host_class" in sentence


def test_a_class_of_the_inventorys_own_goes_first_once_the_memory_is_known() -> None:
    own = {"mine": {"count": 1, "memory_mib": {"min": 24000}, "min_compute_capability": "8.9"}}
    classes = combined(HOST_CLASSES, own)
    assert assigned(classes, host(RTX_4090), own) == ("mine", [])
    assert assigned(classes, host(RTX_3090), own) == ("gpu_24gb", [])
    name, (sentence,) = assigned(classes, host(GOOD, driver=False), own)
    assert name == ""
    assert "gpu_96gb and mine before a driver tells" in sentence


def test_a_class_of_the_inventorys_own_for_hosts_without_gpus() -> None:
    own: dict[str, t.Any] = {"mine": {"engine_args": {"dtype": "bfloat16"}}}
    assert assigned(combined(HOST_CLASSES, own), host(), own) == ("mine", [])
    assert assigned(combined(HOST_CLASSES, own), host(RTX_4090), own) == ("gpu_24gb", [])


def test_a_gpu_that_tells_no_memory_is_of_no_class_of_ones_own() -> None:
    own = {"mine": {"count": 1, "memory_mib": {"min": 24000}}}
    name, (sentence,) = assigned(combined(HOST_CLASSES, own), host(("NVIDIA X", None, "9.0")), own)
    assert name == ""
    assert "gpu_24gb" in sentence


@pytest.mark.parametrize("page", ["docs/inventory.md", "roles/gpu_detect/README.md"])
def test_the_class_that_the_documentation_describes_is_for_its_host(page: str) -> None:
    blocks = (CHECKOUT / page).read_text().split("```yaml\n")[1:]
    (block,) = [text for text in blocks if "gpu_detect_host_classes:" in text.partition("```")[0]]
    own = yaml.safe_load(block.partition("```")[0])["gpu_detect_host_classes"]
    classes = combined(HOST_CLASSES, own)
    assert assigned(classes, host(RTX_4090, RTX_5060_TI), own) == ("workstation", [])
    assert classes["workstation"]["engine_args"] == {"gpu_memory_utilization": 0.85}


def test_two_of_the_inventorys_own_that_agree_are_one_too_many() -> None:
    own = {"mine": {"count": 1}, "ours": {"count": 1}}
    name, (sentence,) = assigned(combined(HOST_CLASSES, own), host(RTX_4090), own)
    assert name == ""
    assert "the GPUs agree with mine and ours: set" in sentence


def test_a_wrong_class_of_ones_own_is_told_where_none_agrees() -> None:
    own = {"mine": {"count": 2, "memory": 16311}}
    name, sentences = assigned(combined({}, own), host(RTX_4090), own)
    assert name == ""
    assert "gpu_detect_host_classes['mine'] has 'memory', expected only" in sentences[0]
    assert "Did you mean memory_mib?" in sentences[0]


def test_arguments_for_a_shipped_class_leave_what_it_asks_for() -> None:
    classes = combined(HOST_CLASSES, {"gpu_24gb": {"engine_args": {"gpu_memory_utilization": 0.8}}})
    assert contradictions("gpu_24gb", classes, host(RTX_4090)) == []
    assert "expects 22500 to 24700 MiB" in contradictions("gpu_24gb", classes, host(GOOD))[0]
    assert classes["gpu_24gb"]["engine_args"] == {"gpu_memory_utilization": 0.8}
    assert not any(
        "engine_args" in classes[name] or "limits" in classes[name] for name in SHIPPED if name != "gpu_24gb"
    )


def test_a_class_of_ones_own_takes_the_place_of_a_shipped_one() -> None:
    classes = combined(HOST_CLASSES, {"gpu_24gb": {"count": 2}})
    assert contradictions("gpu_24gb", classes, host(T4, T4)) == []


def test_mixed_gpus_are_told_with_the_class_to_describe() -> None:
    facts = host(RTX_4090, RTX_5060_TI)
    size, told = contradictions("gpu_2x24gb", SHIPPED, facts)
    assert "GPU 1: NVIDIA GeForce RTX 5060 Ti has 16311 MiB of memory, host class gpu_2x24gb expects" in size
    assert told.startswith(
        "The GPUs of this host differ: GPU 0 is NVIDIA GeForce RTX 4090 (24564 MiB, compute capability 8.9) and "
        "GPU 1 is NVIDIA GeForce RTX 5060 Ti (16311 MiB, compute capability 12.0). What is split over different GPUs "
    )
    wanted = 'mixed: {count: 2, memory_mib: {min: 16311, max: 24564}, min_compute_capability: "8.9"}'
    assert wanted in told
    assert "gpus: [0]" in told
    assert assigned(SHIPPED, facts)[1][-1] == told
    own = yaml.safe_load(wanted)
    assert assigned(combined(HOST_CLASSES, own), facts, own) == ("mixed", [])


def test_mixed_gpus_that_agree_with_a_class_are_warned_of() -> None:
    facts = host(RTX_3090, RTX_4090)
    assert contradictions("gpu_2x24gb", SHIPPED, facts) == []
    assert "GPU 0 is NVIDIA GeForce RTX 3090 (24576 MiB, compute capability 8.6) and GPU 1 is" in warning(facts)


@pytest.mark.parametrize(
    "facts", [host(), host(RTX_4090), host(RTX_4090, RTX_4090), host(RTX_4090, (None, None, None))]
)
def test_gpus_that_are_alike_or_tell_nothing_are_not_mixed(facts: Facts) -> None:
    assert warning(facts) == ""


def test_gpus_that_tell_half_of_themselves_may_be_like_the_others() -> None:
    assert warning(host(RTX_4090, ("NVIDIA GeForce RTX 4090", None, "8.9"), (None, 24564, "8.9"))) == ""


def test_gpus_of_one_kind_are_named_together() -> None:
    text = warning(host(RTX_4090, T4, RTX_4090))
    assert "GPU 0, 2 is NVIDIA GeForce RTX 4090 (24564 MiB, compute capability 8.9) and GPU 1 is NVIDIA T4" in text
