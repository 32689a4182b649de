# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything of ours is found, and nothing else goes."""

from __future__ import annotations

import json
import os
import pathlib
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._client.written import LIST
from ansible_collections.gpufleet.vllm.plugins.module_utils._docker.container import LABEL_INSTANCE
from ansible_collections.gpufleet.vllm.plugins.module_utils._images import brought
from ansible_collections.gpufleet.vllm.plugins.module_utils._remove.looking import NotNow
from ansible_collections.gpufleet.vllm.plugins.module_utils._state import units
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._remove.host import Host

STATE, CACHES, ETC = "/var/lib/gpufleet", "/var/cache/gpufleet", "/etc/gpufleet"
UNITS = "/etc/systemd/system"
TRANSIENT = "/run/systemd/transient"


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    """A host from which a rollout has removed the servers, with things of a neighbour's everywhere."""
    made = Host(tmp_path)
    for name in units.INSTALLED:
        made.write(f"{UNITS}/{name}")
    for target, name in units.WANTED.items():
        made.at(f"{UNITS}/{target}.wants").mkdir(parents=True)
        made.at(f"{UNITS}/{target}.wants/{name}").symlink_to(f"{UNITS}/{name}")
    made.write(units.PROGRAM)
    for path in ("assistant/stages.jsonl", "assistant/api-keys/f.yaml", "kept_files/0", "fingerprint.secret"):
        made.write(f"{STATE}/{path}")
    made.write("/run/gpufleet/requests/assistant/r")
    for path in ("hub/models--a--b/blobs/c", "vllm/old", "vllm-by-instance/assistant/c", "vllm-by-instance/b.1000/c"):
        made.write(f"{CACHES}/{path}")
    made.write(f"{ETC}/assistant/client.json")
    made.write(f"{ETC}/gateway/haproxy.cfg", "backend a\n    server here:assistant 127.0.0.1:8000 check\n")
    for name in ("keys", "since"):
        made.write(f"{ETC}/gateway/{name}.map", "secret")
    made.write(f"{UNITS}/gpufleet-gateway.service")
    made.write(f"{ETC}/clients/chat.key", "sk-1")
    made.write(f"{ETC}/clients/{LIST}", json.dumps({"schema": 1, "files": ["chat.key"]}))
    return made


THEIRS = (
    f"{UNITS}/theirs.service",
    f"{UNITS}/multi-user.target.wants/theirs.service",
    "/usr/local/lib/theirs",
    "/etc/docker/daemon.json",
    "/var/cache/theirs",
    f"{CACHES}/theirs/model",
    f"{CACHES}/vllm-by-instance/.theirs/x",
    f"{ETC}/theirs/client.yaml",
    f"{ETC}/assistant/notes",
    f"{ETC}/gateway/site.pem",
    f"{ETC}/clients/theirs.json",
    "/run/theirs/x",
)


def test_all_of_ours_goes_and_a_second_time_nothing(host: Host) -> None:
    hub = f"{CACHES}/hub/models--a--b/blobs/c"
    before = host.paths()
    due = host.look().due
    assert host.paths() == before and host.docker.daemon.ran == []
    assert all(one.size > 0 for one in due)
    gone, left = host.remove()
    assert (len(gone), left) == (len(due), [])
    assert host.paths() == [hub]
    assert not host.at(ETC).exists() and not host.at("/run/gpufleet").exists()
    assert host.look().due == [] and host.remove() == ([], [])


def test_nothing_of_a_neighbour_goes(host: Host) -> None:
    for path in THEIRS:
        host.write(path, "{}")
    told = [one.what for one in host.look().stays]
    for name in ("theirs", "assistant/notes", "gateway/site.pem", "clients/theirs.json"):
        assert f"{ETC}/{name}" in told
    host.remove(models=True)
    assert host.paths() == sorted(THEIRS)


def test_a_client_elsewhere_goes_with_what_python_made_of_it(host: Host) -> None:
    package = "/srv/app/gpufleet_client"
    for name in ("client.py", "__pycache__/client.cpython-311.pyc"):
        host.write(f"{package}/{name}")
    host.write("/srv/app/theirs.py")
    host.write(f"/srv/app/{LIST}", json.dumps({"schema": 1, "files": ["gpufleet_client/client.py", "../theirs"]}))
    assert host.remove(client_dir="/srv/app")[1] == []
    assert not host.at(package).exists() and host.at("/srv/app/theirs.py").exists()


def test_what_the_door_is_in_front_of_is_said(host: Host) -> None:
    text = "".join(f"    server h{at}:a 10.0.0.{at}:8000 check\n" for at in range(7))
    host.write(f"{ETC}/gateway/haproxy.cfg", f"backend a\n{text}")
    door = next(one for one in host.look().due if one.kind == "door")
    assert door.because.endswith("10.0.0.4:8000 and 2 more")


def test_folders_that_a_rollout_has_emptied_go_too(host: Host) -> None:
    host.remove()
    host.at(ETC).mkdir()
    assert host.remove() == ([], []) and not host.at(ETC).exists()


def test_what_watches_the_servers_goes_and_what_it_has_recorded_stays(host: Host) -> None:
    for name in ("prometheus.yml", "rules.yml", "prometheus.env", "node-exporter.env", "targets-vllm.json", "theirs"):
        host.write(f"{ETC}/monitoring/{name}")
    for unit in ("gpufleet-prometheus.service", "gpufleet-node-exporter.service"):
        host.write(f"{UNITS}/{unit}")
        host.write(f"{UNITS}/multi-user.target.wants/{unit}")
    host.write("/var/lib/gpufleet-prometheus/wal")
    stays = [one.what for one in host.look().stays]
    assert "/var/lib/gpufleet-prometheus" in stays and f"{ETC}/monitoring/theirs" in stays
    host.remove()
    left = [path for path in host.paths() if "monitoring" in path or "prometheus" in path or "node-exporter" in path]
    assert left == [f"{ETC}/monitoring/theirs", "/var/lib/gpufleet-prometheus/wal"]


def test_a_package_that_may_have_been_there_before_stays(host: Host) -> None:
    host.write("/usr/sbin/haproxy")
    assert [one.what for one in host.look().stays if one.kind == "package"] == ["haproxy"]


def test_models_go_where_that_is_asked_for_and_they_are_ours(host: Host) -> None:
    assert any("-e vllm_remove_models=true" in one.because for one in host.look().stays)
    host.write("/data/hub/m")
    found = host.look(models=True, hub_dir="/data/hub")
    assert any(one.what == "/data/hub" and "by hand" in one.because for one in found.stays)
    host.remove(models=True)
    assert host.paths() == ["/data/hub/m"] and not host.at(CACHES).exists()


def test_models_below_the_state_are_kept(host: Host) -> None:
    host.write(f"{STATE}/hub/m")
    host.remove(hub_dir=f"{STATE}/hub")
    assert host.paths() == [f"{CACHES}/hub/models--a--b/blobs/c", f"{STATE}/hub/m"]


def test_caches_elsewhere_go_by_their_instances(host: Host) -> None:
    host.write("/data/c/theirs")
    host.write("/data/c-by-instance/a/x")
    host.remove(cache_dir="/data/c")
    assert "/data/c/theirs" in host.paths() and not host.at("/data/c-by-instance").exists()
    assert any("docker volume rm" in one.because for one in host.look(cache_dir="vllm-cache").stays)


def test_servers_have_to_be_gone_and_are_listed(host: Host) -> None:
    host.serves()
    found = host.look()
    assert found.instances == ["assistant"]
    assert [(one.what, one.size) for one in found.due if one.kind == "container"] == [("vllm-assistant", 7)]
    before = host.paths()
    with pytest.raises(NotNow, match=r"^assistant, vllm-assistant is still there: a rollout drains"):
        host.remove()
    assert host.paths() == before


def test_a_container_is_ours_by_its_id_and_never_by_a_label_alone(host: Host) -> None:
    host.serves()
    host.has("copycat", "o1", LABEL_INSTANCE)
    host.has("vllm-other", "o2")
    found = host.look()
    assert [one.what for one in found.due if one.kind == "container"] == ["vllm-assistant"]
    assert [one.what for one in found.stays if one.kind == "container"] == ["copycat"]


def test_what_a_killed_rollout_left_of_a_known_instance_is_ours(host: Host) -> None:
    host.serves()
    host.has("vllm-assistant-held", "c2", LABEL_INSTANCE)
    assert [one.what for one in host.look().due if one.kind == "container"] == ["vllm-assistant", "vllm-assistant-held"]


def test_a_folder_that_a_container_of_others_has_stays(host: Host) -> None:
    host.has("theirs", "o1", source=f"{CACHES}/vllm")
    host.remove()
    assert f"{CACHES}/vllm/old" in host.paths()


@pytest.mark.parametrize(
    ("unit", "told"),
    [
        ("gpufleet-rollout@assistant.service", "gpufleet-rollout@assistant.service is running: run it again"),
        ("gpufleet-fetch@k.service", "gpufleet-fetch@k.service brings a model: wait for it"),
        ("gpufleet-share.service", "other hosts read models from this one: wait for gpufleet-share.service to end"),
    ],
)
def test_while_something_is_under_way_nothing_goes(host: Host, unit: str, told: str) -> None:
    host.write(f"{TRANSIENT}/{unit}")
    before = host.paths()
    with pytest.raises(NotNow, match=told):
        host.remove()
    assert host.paths() == before


def test_where_a_state_is_not_known_nothing_goes(host: Host) -> None:
    host.write(f"{STATE}/assistant/state.json", "{")
    with pytest.raises(NotNow, match="the state of assistant is not known"):
        host.look()


def test_servers_of_a_docker_that_does_not_answer_are_not_forgotten(host: Host) -> None:
    host.serves()
    host.docker.away = True
    with pytest.raises(NotNow, match="start Docker, then run this again"):
        host.look()


def test_rules_that_a_killed_rollout_left_go(host: Host) -> None:
    host.ports.entrance.close("assistant", "0.0.0.0", 8000)
    assert any(one.what == "rules for assistant" for one in host.look().due)
    host.remove()
    assert host.tables.ours() == [] and all(len(rules) == 2 for rules in host.tables.rules.values())


def test_images_go_where_that_is_asked_for_and_nobody_else_has_them(host: Host) -> None:
    record: dict[str, t.Any] = {
        f"sha256:{name}": {"names": [f"vllm/vllm-openai:{name}"], "by": "registry", "at": time.time()}
        for name in ("free", "used", "renamed")
    }
    for image_id, one in record.items():
        host.docker.has({"Id": image_id, "Size": 5, "RepoTags": list(one["names"])}, *one["names"])
    host.docker.known["sha256:renamed"]["RepoTags"].append("theirs:1")
    host.docker.has({"Id": "sha256:theirs", "Size": 5, "RepoTags": ["theirs:2"]}, "theirs:2")
    host.write(f"{STATE}/{brought.FILE}", json.dumps(record))
    host.has("theirs", "o1")
    host.docker.rows[-1]["ImageID"] = "sha256:used"
    assert sum("-e vllm_remove_images=true" in one.because for one in host.look().stays) == 3
    host.remove(images=True)
    assert [one for one in host.docker.done if one.startswith("remove")] == ["remove vllm/vllm-openai:free"]


def test_what_belongs_to_packages_stays_and_is_named(host: Host) -> None:
    ours, theirs = "/etc/modprobe.d/gpufleet-nvidia.conf", "/etc/apt/sources.list.d/theirs.sources"
    host.write(ours, "# Written by gpufleet.vllm, which overwrites it.\n")
    host.write(theirs, "URIs: x\n")
    host.remove()
    assert {ours, theirs} < set(host.paths())
    assert [one.what for one in host.look().stays if "package" in one.because] == [ours]


@pytest.mark.parametrize(
    ("listed", "key"),
    [
        ("/etc/apt/sources.list.d/docker.sources", "/etc/apt/keyrings/docker.gpg"),
        ("/etc/yum.repos.d/docker.repo", "/etc/pki/rpm-gpg/RPM-GPG-KEY-docker"),
    ],
)
def test_the_key_of_a_repository_of_ours_is_named_with_it(host: Host, listed: str, key: str) -> None:
    """It cannot say whose it is, so the repository does."""
    host.write(key, "a key")
    host.write(listed, "URIs: x\n")
    assert [one.what for one in host.look().stays if "package" in one.because] == []
    host.write(listed, "# Written by gpufleet.vllm, which overwrites it.\n")
    assert [one.what for one in host.look().stays if "package" in one.because] == [listed, key]


def test_a_unit_that_does_not_stop_keeps_its_files(host: Host) -> None:
    host.said = "Job canceled"
    gone, left = host.remove()
    assert len(left) == 2 and all("cannot be stopped: Job canceled" in one for one in left)
    assert host.at(f"{UNITS}/{units.WATCH_TIMER}").exists() and not host.at(units.PROGRAM).exists() and gone
    host.said = "Failed to stop x: Unit x not loaded."
    assert host.remove()[1] == []


def test_one_that_is_cut_off_anywhere_goes_on(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time one more thing is removed before the end comes."""
    steps, unlink = 0, os.unlink

    class Cut(Exception):
        pass

    def one_more(path: str, **named: t.Any) -> None:
        nonlocal steps
        steps += 1
        if steps > 1:
            steps = 0
            raise Cut
        unlink(path, **named)

    monkeypatch.setattr(os, "unlink", one_more)
    for _round in range(60):
        try:
            host.remove()
            break
        except Cut:
            continue
    monkeypatch.undo()
    assert host.remove()[1] == [] and host.paths() == [f"{CACHES}/hub/models--a--b/blobs/c"]
