# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's hardware against its class."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
import yaml

from ansible_collections.gpufleet.vllm.plugins.module_utils._gpu.host_class import assigned, contradictions

CHECKOUT = pathlib.Path(__file__).parents[5]
SHIPPED: dict[str, t.Any] = yaml.safe_load((CHECKOUT / "roles/gpu_detect/vars/main/host_classes.yml").read_text())[
    "__gpu_detect_host_classes"
]
L40S = ("NVIDIA L40S", 46068, "8.9")
CARDS: dict[str, list[tuple[str, int, str]]] = {
    "gpu_12gb": [("NVIDIA GeForce RTX 3060", 12288, "8.6")],
    "gpu_16gb": [("NVIDIA GeForce RTX 5060 Ti", 16311, "12.0")],
    "gpu_96gb": [("NVIDIA H100 NVL", 95830, "9.0")],
    "gpu_4x48gb": [L40S] * 4,
    "cpu": [],
}


def on_bus(slot: str, vendor: str = "NVIDIA", driver: str | None = "nvidia") -> dict[str, t.Any]:
    return {"slot": slot, "vendor_name": vendor, "device": "0x2503", "driver": driver}


def host(
    *cards: tuple[str | None, int | None, str | None],
    others: t.Sequence[dict[str, t.Any]] = (),
    driver: bool = True,
    state: str = "healthy",
) -> dict[str, t.Any]:
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


@pytest.mark.parametrize("name", sorted(SHIPPED))
@pytest.mark.parametrize("driver", [True, False])
def test_each_shipped_class_accepts_its_own_host(name: str, driver: bool) -> None:
    assert contradictions(name, SHIPPED, host(*CARDS[name], driver=driver)) == []


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
            ],
            id="everything at once",
        ),
        pytest.param("large", host(GOOD), ["expects at least 40000 MiB"], id="open range upwards"),
        pytest.param("small", host(GOOD), ["expects at most 8200 MiB"], id="open range downwards"),
        pytest.param("large", host(L40S, L40S, L40S), [], id="any count"),
        pytest.param(
            "small",
            host(L40S, GOOD, L40S),
            ["GPU 0, 2: NVIDIA L40S has 46068 MiB", "GPU 1: NVIDIA GeForce RTX 3060 has 12288 MiB"],
            id="GPUs that differ alike are named together",
        ),
        pytest.param("amd", host(others=[on_bus("0000:03:00.0", "AMD", "amdgpu")]), [], id="a class of another vendor"),
        pytest.param("amd", host(GOOD), ["expects 1 AMD GPU, found none, besides NVIDIA"], id="and a host without it"),
    ],
)
def test_contradictions(name: str, facts: dict[str, t.Any], sentences: list[str]) -> None:
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
        pytest.param("gpu_4x48gb", host(L40S, driver=False), "gpu_12gb, gpu_16gb, gpu_96gb", id="several, no driver"),
        pytest.param("gpu_12gb", host(), "cpu", id="a host without GPU"),
        pytest.param("gpu_12gb", host(others=[on_bus("0000:03:00.0", "AMD")]), "cpu", id="a host with an AMD card"),
    ],
)
def test_the_classes_that_the_hardware_agrees_with_are_named(wrong: str, facts: dict[str, t.Any], named: str) -> None:
    found = contradictions(wrong, SHIPPED, facts)
    assert found
    for sentence in found:
        assert f"move the host to the group of a class it agrees with ({named})" in sentence


def test_no_class_agrees_with_a_card_that_none_has() -> None:
    (sentence,) = contradictions("gpu_12gb", SHIPPED, host(("NVIDIA GeForce RTX 5090", 32607, "12.0")))
    assert "move the host to the group of its class, correct the hardware" in sentence


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_class_that_fits_is_assigned(name: str) -> None:
    assert assigned(SHIPPED, host(*CARDS[name])) == (name, [])


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        pytest.param(
            host(GOOD, driver=False),
            "agree with gpu_12gb and gpu_16gb and gpu_96gb before a driver tells",
            id="no driver",
        ),
        pytest.param(
            host(("NVIDIA GeForce RTX 5090", 32607, "12.0")), "agrees with no class of cpu, gpu_12gb", id="none"
        ),
    ],
)
def test_where_no_class_can_be_assigned(facts: dict[str, t.Any], words: str) -> None:
    name, (sentence,) = assigned(SHIPPED, facts)
    assert name == ""
    assert words in sentence
    assert "set gpu_detect_host_class" in sentence
