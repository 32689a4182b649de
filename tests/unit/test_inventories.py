# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host class that the role knows has group vars to start from, and a group of an inventory is such a class."""

from __future__ import annotations

import pathlib

import pytest
import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
INVENTORIES = CHECKOUT / "inventories"
SHARED = INVENTORIES / "host_classes"
KNOWN = yaml.safe_load((CHECKOUT / "roles" / "gpu_detect" / "vars" / "main" / "host_classes.yml").read_text())
CLASSES = sorted(set(KNOWN["__gpu_detect_host_classes"]) - {"cpu"})
GROUPS = [
    (environment, group)
    for environment in ("staging", "production")
    for group in yaml.safe_load((INVENTORIES / environment / "hosts.yml").read_text())["gpu_hosts"]["children"]
]


def test_every_class_has_group_vars() -> None:
    assert sorted(path.stem for path in SHARED.glob("*.yml")) == CLASSES


@pytest.mark.parametrize("name", CLASSES)
def test_group_vars_are_of_the_class_that_they_are_called_by(name: str) -> None:
    assert yaml.safe_load((SHARED / f"{name}.yml").read_text())["gpu_detect_host_class"] == name


@pytest.mark.parametrize(("environment", "group"), GROUPS)
def test_a_group_has_the_vars_of_its_class_and_servers(environment: str, group: str) -> None:
    folder = INVENTORIES / environment / "group_vars" / group
    assert (folder / "host_class.yml").resolve() == SHARED / f"{group}.yml"
    assert yaml.safe_load((folder / "instances.yml").read_text())["vllm_server_instances"]


@pytest.mark.parametrize("name", CLASSES)
def test_the_lab_has_its_hardware(name: str) -> None:
    assert (CHECKOUT / "lab" / "gpu" / "hosts" / f"{name}.ini").is_file()
