# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX and ansible-builder read of the checkout: its own collection, and the image for jobs."""

from __future__ import annotations

import pathlib
import re
import typing as t

import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
PIN = re.compile(r"^([\w.-]+)==([\w.]+)", re.MULTILINE)


def loaded(name: str) -> t.Any:
    return yaml.safe_load((CHECKOUT / name).read_text())


def test_a_sync_installs_the_checkout_itself() -> None:
    assert loaded("collections/requirements.yml") == {"collections": [{"name": ".", "type": "dir"}]}


def test_the_image_of_jobs_has_what_the_collection_says_it_needs() -> None:
    named = loaded("meta/execution-environment.yml")["dependencies"]
    for path in named.values():
        assert (CHECKOUT / path).is_file()
    used = loaded("execution-environment.yml")["dependencies"]
    assert {kind: used[kind] for kind in named} == named


def test_it_has_the_versions_that_everything_else_has() -> None:
    ours = dict(PIN.findall((CHECKOUT / "requirements.txt").read_text()))
    here = dict(PIN.findall((CHECKOUT / "meta" / "ee-requirements.txt").read_text()))
    assert here and here.items() <= ours.items()
    core = loaded("execution-environment.yml")["dependencies"]["ansible_core"]["package_pip"]
    assert f"{core};" in (CHECKOUT / "requirements.txt").read_text()


def test_the_configuration_of_the_root_is_one_that_awx_can_use() -> None:
    """Only that of the root is read; callbacks come with the collection, a folder of them would be passed over."""
    lines = [line.partition("=")[0].strip() for line in (CHECKOUT / "ansible.cfg").read_text().splitlines()]
    assert "callbacks_enabled" in lines
    assert not {"callback_plugins", "vault_password_file", "stdout_callback"} & set(lines)
