# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact in an empty folder with the newest ansible-core: what docs/start.md says, command by command."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess

import pytest

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "start.md"
# This machine in the place of the page's host, with nothing done as another user.
HERE = "-e ansible_connection=local -e ansible_become=false"


def section(title: str) -> str:
    return PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def commands(title: str) -> str:
    """The first block of commands of a section."""
    return str(re.findall(r"```shell\n(.*?)```", section(title), re.DOTALL)[0])


class User:
    """Somebody who has nothing, types what the page says, and has the collection as a file."""

    def __init__(self, folder: pathlib.Path, python: str, artifact: pathlib.Path) -> None:
        self.folder, self.artifact = folder, artifact
        # The programs of the environment that tests are run in are not theirs.
        outside = [part for part in os.environ["PATH"].split(os.pathsep) if not part.endswith(".venv/bin")]
        bare = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
        (folder / "bin").mkdir()
        self.environment = bare | {"HOME": str(folder / "home"), "ANSIBLE_NOCOLOR": "1"}
        self.environment["PATH"] = os.pathsep.join([str(folder / "bin"), *outside])
        (folder / "home").mkdir()
        if (own := pathlib.Path.home() / ".config" / "pip").is_dir():
            (folder / "home" / ".config").mkdir()
            (folder / "home" / ".config" / "pip").symlink_to(own)
        (folder / "work").mkdir()
        found = subprocess.run(
            [python, "-c", "import sys; print(sys.executable)"], check=True, capture_output=True, text=True
        )
        (folder / "bin" / "python3").symlink_to(found.stdout.strip())

    def types(self, script: str) -> subprocess.CompletedProcess[str]:
        script = script.replace("ansible-galaxy collection install gpufleet.vllm", f"{INSTALL} {self.artifact}")
        enter = "set -e\n[ ! -e venv/bin/activate ] || . venv/bin/activate\n"
        return subprocess.run(
            ["bash", "-c", enter + script],
            cwd=self.folder / "work",
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


INSTALL = "ansible-galaxy collection install"


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config, artifact: pathlib.Path) -> User:
    made = User(tmp_path_factory.mktemp("user"), str(pytestconfig.getoption("--python-of-users")), artifact)
    done = made.types(commands("Install"))
    assert done.returncode == 0 and "was installed successfully" in done.stdout, done.stdout + done.stderr
    described = made.types(commands("Describe one host"))
    assert described.returncode == 0, described.stderr
    return made


def test_the_collection_is_the_one_that_was_installed(user: User) -> None:
    done = user.types("ansible --version; ansible-galaxy collection list --format yaml")
    assert f"{user.folder}/home/.ansible/collections/ansible_collections" in done.stdout
    assert done.stdout.count("gpufleet.vllm") == 1


@pytest.mark.parametrize("playbook", ["site", "plan"])
def test_its_playbooks_are_found_by_name(user: User, playbook: str) -> None:
    done = user.types(f"ansible-playbook gpufleet.vllm.{playbook} --list-tasks --list-hosts")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gpu-1" in done.stdout and "WARNING" not in done.stdout + done.stderr


def test_a_host_is_looked_at_and_what_it_lacks_is_told(user: User) -> None:
    """This machine has no GPU of 12 GB, so that the plan is refused, with a page and nothing touched."""
    done = user.types(f"{commands('Plan, serve, ask').splitlines()[0]} {HERE}")
    assert "gpufleet.vllm.plan" in commands("Plan, serve, ask").splitlines()[0]
    assert done.returncode == 2, done.stdout + done.stderr
    assert "gpu_12gb" in done.stdout and "changed=0" in done.stdout, done.stdout
    assert "gpu-1" in (user.folder / "work" / "plan.html").read_text()


def test_a_wrong_setting_is_told_before_the_host_is_asked(user: User) -> None:
    done = user.types(f"ansible-playbook gpufleet.vllm.site {HERE} -e vllm_server_imgae=x")
    assert done.returncode == 2 and "Did you mean vllm_server_image?" in done.stdout, done.stdout
