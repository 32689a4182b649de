# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers outside of containers, as /proc has them."""

from __future__ import annotations

import pathlib

from ansible_collections.gpufleet.vllm.plugins.module_utils._adopt import processes
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._adopt.adopting import adopted

UNIT = "0::/system.slice/llm.service\n"
SESSION = "0::/user.slice/user-0.slice/session-1.scope\n"
OF_DOCKER = "0::/system.slice/docker-0123.scope\n"
SERVE = ("/opt/vllm/bin/python3", "/opt/vllm/bin/vllm", "serve", "Qwen/Qwen3-8B", "--port", "7000")


def process(
    root: pathlib.Path, pid: int, *words: str, parent: int = 1, cgroup: str = SESSION, environ: tuple[str, ...] = ()
) -> None:
    folder = root / "proc" / str(pid)
    folder.mkdir(parents=True)
    (folder / "cmdline").write_text("".join(f"{word}\0" for word in words))
    (folder / "environ").write_text("".join(f"{one}\0" for one in environ))
    (folder / "cgroup").write_text(cgroup)
    (folder / "status").write_text(f"Name:\tx\nPPid:\t{parent}\n")


def test_a_unit_of_systemd(tmp_path: pathlib.Path) -> None:
    told = ("HOME=/srv/llm", "CUDA_VISIBLE_DEVICES=0,1", "VLLM_API_KEY=topsecret", "VLLM_LOGGING_LEVEL=DEBUG", "LANG=C")
    process(tmp_path, 10, *SERVE, cgroup=UNIT, environ=told)
    process(tmp_path, 11, *SERVE, parent=10, cgroup=UNIT)
    (served,), others = processes.look(str(tmp_path))
    assert (served["what"], served["stop"], others) == (
        "service llm.service",
        "systemctl disable --now llm.service",
        [],
    )
    assert "topsecret" not in str(served)
    made = adopted({**served, "version": "0.26.0"})
    assert made.instance == {
        "name": "llm",
        "model": "Qwen/Qwen3-8B",
        "served_model_name": "Qwen/Qwen3-8B",
        "version": "0.26.0",
        "bind": "0.0.0.0",
        "port": 7000,
        "gpus": [0, 1],
        "api_key": "{{ vault_vllm_api_key_llm }}",
        "env": {"VLLM_LOGGING_LEVEL": "DEBUG"},
    }
    assert made.variables == {"vllm_server_hub_dir": "/srv/llm/.cache/huggingface/hub"}
    assert "It runs without a container: choose an image that holds vLLM 0.26.0." in made.remarks


def test_a_shell_and_what_it_starts_are_one(tmp_path: pathlib.Path) -> None:
    process(tmp_path, 10, "bash", "-c", "vllm serve m --port 7000")
    process(tmp_path, 11, *SERVE, parent=10)
    (served,), _others = processes.look(str(tmp_path))
    assert (served["what"], served["stop"], served["words"][0]) == ("process 10", "kill 10", "m")


def test_what_runs_in_a_container_is_dockers_to_tell(tmp_path: pathlib.Path) -> None:
    process(tmp_path, 10, *SERVE, cgroup=OF_DOCKER)
    assert processes.look(str(tmp_path)) == ([], [])


def test_other_engines(tmp_path: pathlib.Path) -> None:
    process(tmp_path, 10, "/usr/bin/ollama", "serve")
    process(tmp_path, 11, "/usr/bin/ollama", "runner", "--model", "/blobs/sha256-1", cgroup=OF_DOCKER)
    process(tmp_path, 12, "python3", "-m", "sglang.launch_server", "--model-path=Qwen/Qwen3-8B")
    process(tmp_path, 13, "vim", "ollama.md")
    served, others = processes.look(str(tmp_path))
    assert served == []
    assert [(one["program"], one["pid"], one["models"]) for one in others] == [
        ("ollama", 10, []),
        ("ollama", 11, ["/blobs/sha256-1"]),
        ("sglang.launch_server", 12, ["Qwen/Qwen3-8B"]),
    ]


def test_a_process_that_is_gone_or_nobodys_to_read(tmp_path: pathlib.Path) -> None:
    process(tmp_path, 10, *SERVE)
    for name in ("environ", "cgroup", "status"):
        (tmp_path / "proc" / "10" / name).unlink()
    (tmp_path / "proc" / "11").mkdir()
    (served,), _others = processes.look(str(tmp_path))
    assert (served["variables"], served["name"]) == ({}, "")
    assert processes.look(str(tmp_path / "nowhere")) == ([], [])
