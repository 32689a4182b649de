# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is shipped about vLLM's arguments, against the parser inside the lab's image: no GPU, no network."""

from __future__ import annotations

import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import typing as t
import uuid

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._vllm import schema
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import schema_files
from ansible_collections.gpufleet.vllm.tests.integration import lab_image, random_plans
from lab.vllm_image import NAME, VERSION

Json = dict[str, t.Any]
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
FILES = CHECKOUT / "roles" / "vllm_server" / "files"
REPOSITORY = f"{NAME}:{VERSION}"
PLANS = 300
# One process brings the image, and takes it away again.
pytestmark = pytest.mark.xdist_group("image")


def _docker(*words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], input=given, capture_output=True, text=True, check=False, timeout=900)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[str]:
    """The lab's image in this machine's engine: there already, or brought for these tests and removed after them."""
    if _docker("image", "inspect", REPOSITORY).returncode == 0:
        yield REPOSITORY
        return
    folder = tmp_path_factory.mktemp("image")
    brought = f"gpufleet-test-{REPOSITORY}"
    try:
        lab_image.bring(NAME, VERSION, brought, folder)
    except lab_image.NotThereError as error:
        pytest.fail(f"there is no {REPOSITORY}: {error}; `make lab` brings it")
    finally:
        shutil.rmtree(folder)
    yield brought
    _docker("rmi", brought)


def _python(image: str, script: pathlib.Path, given: str) -> t.Any:
    """SCRIPT inside the image, given as an argument so that stdin is free for data."""
    name = f"plan-{uuid.uuid4().hex[:8]}"
    flags = ["--rm", "--interactive", "--name", name, "--network", "none", "--entrypoint", "python3"]
    ended = _docker("run", *flags, image, "-c", script.read_text(), given=given)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def shipped() -> schema.Schema:
    history, _readings = schema_files.load(str(FILES / "engine_args"))
    return schema.resolve(VERSION, history, {})


@pytest.fixture(scope="module")
def read(image: str) -> schema.Schema:
    reading = _python(image, FILES / "read_engine_args.py", "")
    assert reading["version"].startswith(VERSION)
    history, _readings = schema_files.load(str(FILES / "engine_args"))
    return schema.resolve(VERSION, history, {VERSION: reading})


def _by_name(known: schema.Schema, key: str) -> dict[str, t.Any]:
    return {name: getattr(argument, key) for name, argument in known.arguments.items()}


def test_names(read: schema.Schema, shipped: schema.Schema) -> None:
    assert set(read.arguments) == set(shipped.arguments)
    for names in ("reasoning_parsers", "tool_parsers", "quantization_methods", "environment"):
        assert getattr(read, names) == getattr(shipped, names), names


@pytest.mark.parametrize("key", ["type", "many"])
def test_types_and_booleans(read: schema.Schema, shipped: schema.Schema, key: str) -> None:
    assert _by_name(read, key) == _by_name(shipped, key)


def test_choices(read: schema.Schema, shipped: schema.Schema) -> None:
    """Where other values pass too the parser keeps no list, or the one of its own platform."""
    for name, argument in shipped.arguments.items():
        found = {str(choice) for choice in read.arguments[name].choices}
        known = {str(choice) for choice in argument.choices}
        assert found <= known if argument.open else found == known, name


def test_aliases(read: schema.Schema, shipped: schema.Schema) -> None:
    for name, argument in shipped.arguments.items():
        assert sorted(read.arguments[name].aliases) == sorted(argument.aliases), name


def test_rendered_plans_parse_back(image: str, shipped: schema.Schema) -> None:
    chance = random.Random(20261120)
    plans = [random_plans.plan(shipped, chance) for _plan in range(PLANS)]
    asked = [{"words": plan["words"], "names": list(plan["planned"])} for plan in plans]
    answers = _python(image, CHECKOUT / "tests/integration/files/parse_plans.py", json.dumps(asked))
    assert len(answers) == PLANS
    wrong = [
        (name, value, answer.get(name, answer.get("error")), plan["words"])
        for plan, answer in zip(plans, answers, strict=True)
        for name, value in plan["planned"].items()
        if not _same(value, answer.get(name, answer.get("error")))
    ]
    assert wrong == []
    covered = {name for plan in plans for name in plan["planned"]}
    assert len(covered) > 0.95 * (len(shipped.arguments) - len(random_plans.LEFT_OUT))


def _same(planned: t.Any, parsed: t.Any) -> bool:
    """What the parser makes an object of has more fields than were given; lists of text stay text."""
    if isinstance(planned, dict) and isinstance(parsed, dict):
        return all(name in parsed and _same(value, parsed[name]) for name, value in planned.items())
    return bool(planned == parsed)


def _playbook(image: str, folder: pathlib.Path, version: str = VERSION) -> subprocess.CompletedProcess[str]:
    inventory = folder / "hosts.ini"
    inventory.write_text(
        "[gpu_hosts]\none\ntwo\n[gpu_hosts:vars]\nansible_connection=local\nansible_become=false\n"
        f"ansible_python_interpreter={sys.executable}\nvllm_server_image={image}\nvllm_server_version='{version}'\n"
        f"vllm_server_engine_args_dir={folder / 'read'}\n"
    )
    (folder / "read").mkdir(exist_ok=True)
    command = [str(pathlib.Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory)]
    return subprocess.run(
        [*command, "playbooks/engine_args.yml"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )


def test_playbook_asks_an_image_once(image: str, shipped: schema.Schema, tmp_path: pathlib.Path) -> None:
    first = _playbook(image, tmp_path)
    assert first.returncode == 0, first.stdout
    history, readings = schema_files.load(str(FILES / "engine_args"), str(tmp_path / "read"))
    found = schema.resolve(VERSION, history, readings)
    assert set(found.arguments) == set(shipped.arguments)
    assert found.image_id.startswith("sha256:")
    assert len(re.findall(r"^(?:ok|changed): \[\w+\]", first.stdout.split("Ask the image's own parser")[1], re.M)) >= 1
    second = _playbook(image, tmp_path)
    assert second.returncode == 0, second.stdout
    asked = second.stdout.split("Ask the image's own parser")[1].split("TASK")[0]
    assert "skipping: [one]" in asked
    assert "two" not in asked
    assert "changed=0" in second.stdout


def test_playbook_refuses_another_release(image: str, tmp_path: pathlib.Path) -> None:
    ended = _playbook(image, tmp_path, "0.31.0")
    assert ended.returncode != 0
    assert f"holds vLLM {VERSION}" in ended.stdout
    assert not (tmp_path / "read" / "0.31.0.json").exists()
