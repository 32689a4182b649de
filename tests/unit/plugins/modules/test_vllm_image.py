# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that bring images and remove what nobody needs: what they say, and that check mode does nothing."""

from __future__ import annotations

import functools
import json
import pathlib
import typing as t

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.gpufleet.vllm.plugins.module_utils._images import brought, fetching, sources
from ansible_collections.gpufleet.vllm.plugins.module_utils._images.registry import Layers
from ansible_collections.gpufleet.vllm.plugins.module_utils._prune import needed
from ansible_collections.gpufleet.vllm.plugins.modules import vllm_image, vllm_prune
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._prune.test_images import Host

Json = dict[str, t.Any]
IMAGE = "vllm/vllm-openai:v1"
ONE: Json = {"Id": "sha256:1", "Size": 2**20, "RepoTags": [IMAGE], "RepoDigests": []}


class Ended(Exception):
    """exit_json or fail_json, with the result."""

    def __init__(self, result: Json) -> None:
        super().__init__(result)
        self.result = result


@pytest.fixture
def host(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Both modules on this host, with a state of its own."""
    found = Host()

    def ended(_module: t.Any, **result: t.Any) -> None:
        raise Ended(result)

    def own_fetching(*args: t.Any, **named: t.Any) -> fetching.Fetching:
        """Without a login, and without asking a registry."""
        return fetching.Fetching(*args, **{**named, "config": str(tmp_path / "none"), "registry": None})

    for module in (vllm_image, vllm_prune):
        monkeypatch.setattr(module, "STATE_DIR", str(tmp_path / "state"))
        monkeypatch.setattr(module, "Docker", lambda: found)
    for name in ("exit_json", "fail_json"):
        monkeypatch.setattr(AnsibleModule, name, ended)
    monkeypatch.setattr(vllm_image, "Fetching", own_fetching)
    own = functools.partial(needed.of_host, run_dir=str(tmp_path / "run"), transient=str(tmp_path / "transient"))
    monkeypatch.setattr(needed, "of_host", own)
    return found


def run(module: t.Any, check: bool = False, **args: t.Any) -> Json:
    with patch_module_args({**args, "_ansible_check_mode": check}), pytest.raises(Ended) as end:
        module.main()
    return end.value.result


def test_an_image_is_brought_once(host: Host) -> None:
    host.offered = {IMAGE: ONE}
    told = run(vllm_image, check=True, image=IMAGE)
    assert (told["changed"], told["by"], told["msg"]) == (True, "registry", f"{IMAGE} would be pulled.")
    assert host.done == []
    told = run(vllm_image, image=IMAGE)
    assert told["changed"] and told["id"] == "sha256:1" and told["msg"] == f"{IMAGE} was pulled as {IMAGE}."
    for check in (True, False):
        told = run(vllm_image, check=check, image=IMAGE)
        assert not told["changed"] and told["msg"] == f"{IMAGE} is there."


def test_where_it_would_come_from(host: Host, tmp_path: pathlib.Path) -> None:
    stated = sources.read({"mirrors": {"docker.io": "m.example.com"}, "archives": {"a:1": "/a.tar"}}, [])
    sources.keep(stated, str(tmp_path / "state"))
    assert run(vllm_image, check=True, image=IMAGE)["origin"] == f"m.example.com/{IMAGE}"
    assert run(vllm_image, check=True, image="a:1")["msg"] == "a:1 would be loaded from /a.tar."
    assert run(vllm_image, check=True, image="a:1", archive="/b.tar")["origin"] == "/b.tar"


def test_what_stands_in_the_way_is_told(host: Host) -> None:
    told = run(vllm_image, image=IMAGE)
    assert told["failure"]["failure_class"] == "image.not_there" and told["failure"]["advice"] in told["msg"]
    assert "write sha256: and 64 digits" in run(vllm_image, image=IMAGE, archive="/a", image_id="x")["msg"]
    assert "image needs a name" in run(vllm_image, image=" ")["msg"]


def test_what_nobody_needs_is_removed(host: Host, tmp_path: pathlib.Path) -> None:
    host.offered = {IMAGE: ONE}
    run(vllm_image, image=IMAGE)
    told = run(vllm_prune)
    assert not told["changed"] and told["kept"][0]["because"].startswith("it came 0.0 days ago")
    record = tmp_path / "state" / brought.FILE
    listed = brought.known(str(tmp_path / "state"))
    record.write_text(record.read_text().replace(str(listed["sha256:1"]["at"]), "1.0"))
    assert not run(vllm_prune, images=[IMAGE])["changed"]
    told = run(vllm_prune, check=True)
    assert told["changed"] and told["msg"] == f"1.0 MiB would be removed: {IMAGE}." and told["bytes"] == 2**20
    assert told["diff"] == {"before": f"image {IMAGE}: 1.0 MiB, no release needs it\n", "after": ""}
    assert [one for one in host.done if one.startswith("remove")] == []
    assert run(vllm_prune)["msg"] == f"1.0 MiB was removed: {IMAGE}." and host.done[-1] == f"remove {IMAGE}"
    assert brought.known(str(tmp_path / "state")) == {} and not run(vllm_prune)["changed"]
    record.write_text(json.dumps({"sha256:1": {"names": [IMAGE], "by": "registry", "at": 1.0}}))
    host.has(ONE, IMAGE)
    host.keeps = {IMAGE}
    told = run(vllm_prune, what=["images", "models", "caches"])
    assert not told["changed"] and "Docker keeps it" in told["kept"][0]["because"]


def test_where_it_cannot_be_told_nothing_is_removed(host: Host, tmp_path: pathlib.Path) -> None:
    (tmp_path / "state" / "assistant").mkdir(parents=True)
    (tmp_path / "state" / "assistant" / "state.json").write_text("{")
    assert run(vllm_prune)["msg"].startswith("Nothing was removed: the state of assistant is not known")


class Registries:
    """What a registry says: 3 MiB of one layer, to whoever comes with the login."""

    asked: t.ClassVar[list[t.Any]] = []

    def __init__(self, name: t.Any, login: t.Any, _plain: bool) -> None:
        self.asked.append((name.registry, login and login.password))

    def layers(self) -> Layers:
        return Layers({"sha256:layer": 3 * 2**20})


def test_a_check_run_says_how_much_with_what_the_inventory_states(
    host: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [4]

    def own(*args: t.Any, **named: t.Any) -> fetching.Fetching:
        config = str(tmp_path / "none")
        registry: t.Any = Registries
        docker, clock, note, beat = args[:4]
        own_names = {**named, "config": config, "registry": registry}
        return fetching.Fetching(docker, clock, note, beat, lambda _path: free[0], **own_names)

    monkeypatch.setattr(vllm_image, "Fetching", own)
    logins = json.dumps({"docker.io": {"username": "u", "password": "hidden-word"}})
    told = run(vllm_image, check=True, image=IMAGE, logins=logins)
    assert told["msg"] == f"{IMAGE} would be pulled, 3.0 MiB of layers that are not here."
    assert told["missing_bytes"] == 3 * 2**20 and Registries.asked[-1] == ("docker.io", "hidden-word")
    assert not (tmp_path / "state").exists()
    assert "hidden-word" not in repr(told)
    told = run(vllm_image, check=True, image=IMAGE, archives={IMAGE: "/srv/a.tar"})
    assert told["msg"] == f"{IMAGE} would be loaded from /srv/a.tar."
    free[0] = 2
    told = run(vllm_image, check=True, image=IMAGE)
    assert told["failure"]["failure_class"] == "disk.full" and "3 MiB of it are missing" in told["msg"]
    assert host.done == []
