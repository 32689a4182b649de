# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of jobs on a base that can be had everywhere: Debian, as the lab has it for hosts without an engine.

Of execution-environment.yml all but the base and its Python: the same ansible-core, ansible-runner and packages, and
what bindep.txt names for Debian. The base is also a host that jobs reach by SSH.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import typing as t

import yaml

from ansible_collections.gpufleet.vllm.tests.awx import layout
from ansible_collections.gpufleet.vllm.tests.awx.configuration import CHECKOUT, Json

SUITE = "bookworm"
BASE = f"gpufleet-lab-host:bare-{SUITE}"
IMAGE = f"gpufleet-lab-execution:{SUITE}"
LABEL = "gpufleet.vllm.lab"
RUNNER = pathlib.PurePosixPath("/runner")
PYTHON = "/usr/bin/python3"
AUTHORITIES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
# The index that pip is set up for here, where the environment says it: build arguments, which an image does not keep.
INDEX = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_DEFAULT_TIMEOUT")
TOLD = tuple(f"ARG {name}" for name in INDEX)
# pip comes from Debian, whose Python takes packages of others only where it is told to. The authorities are those that
# the index of this machine may need.
BEFORE = (
    *TOLD,
    "ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore DEBIAN_FRONTEND=noninteractive",
    "COPY _build/authorities/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt",
    "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-pip",
)
# A server of SSH that takes the job's key, and nothing else.
HOST = " && ".join(
    (
        "mkdir -p /run/sshd /root/.ssh",
        "install -m 0600 /job_key.pub /root/.ssh/authorized_keys",
        "ssh-keygen -q -A",
        "exec /usr/sbin/sshd -D",
    )
)


def docker(*words: str) -> str:
    """What a command of Docker's says. Raises AssertionError with the end of it where it fails."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"docker {' '.join(words[:3])}: {(done.stdout + done.stderr)[-3000:]}"
    return done.stdout.strip()


def definition() -> Json:
    """execution-environment.yml on Debian."""
    found: Json = yaml.safe_load((CHECKOUT / "execution-environment.yml").read_text())
    found["images"] = {"base_image": {"name": BASE}}
    found["dependencies"]["python_interpreter"] = {"package_system": "python3", "python_path": PYTHON}
    for kind in ("python", "system"):
        found["dependencies"][kind] = str(CHECKOUT / found["dependencies"][kind])
    # ansible-builder's own way to pip is one that Debian has switched off.
    found["options"] = {"package_manager_path": "/usr/bin/apt-get", "skip_pip_install": True}
    found["additional_build_files"] = [{"src": str(AUTHORITIES), "dest": "authorities"}]
    found["additional_build_steps"] = {
        "prepend_base": list(BEFORE),
        **{stage: [*TOLD, "RUN apt-get update -qq"] for stage in ("prepend_builder", "prepend_final")},
    }
    return found


def build(tools: pathlib.Path, folder: pathlib.Path) -> None:
    """Make the image, by ansible-builder and Docker, whatever is there of it already."""
    subprocess.run([str(CHECKOUT / "lab" / "lab"), "bare", SUITE], check=True, capture_output=True)
    written, context = folder / "execution-environment.yml", folder / "context"
    written.write_text(yaml.safe_dump(definition()))
    command = [str(tools / "bin" / "ansible-builder"), "create", "-f", str(written), "--context", str(context)]
    subprocess.run(command, check=True, capture_output=True)
    recipe = next(path for path in (context / "Containerfile", context / "Dockerfile") if path.exists())
    arguments = [word for name in INDEX for word in ("--build-arg", name)]
    labelled = ("--label", f"{LABEL}=image", "--tag", IMAGE)
    docker("build", "--quiet", *labelled, *arguments, "--file", str(recipe), str(context))


class Hosts:
    """Hosts that a job reaches by SSH, until the `with` ends: what `docker run` started is removed."""

    def __init__(self, folder: pathlib.Path, names: t.Sequence[str]) -> None:
        self.key = folder / "job_key"
        self._names = {name: f"gpufleet-lab-job-{os.getpid()}-{name}" for name in names}

    def __enter__(self) -> t.Self:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        for name, container in self._names.items():
            docker(
                *("run", "--detach", "--rm", "--name", container, "--hostname", name, "--label", f"{LABEL}=job"),
                *("--volume", f"{self.key}.pub:/job_key.pub:ro", BASE, "sh", "-c", HOST),
            )
        return self

    def __exit__(self, *_error: object) -> None:
        for container in self._names.values():
            subprocess.run(["docker", "rm", "--force", container], check=False, capture_output=True)

    def variables(self, **stated: t.Any) -> dict[str, Json]:
        """What an inventory has of each."""
        where = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return {
            name: {
                **layout.STATED,
                "ansible_host": docker("inspect", "--format", where, container),
                "ansible_user": "root",
                **stated,
            }
            for name, container in self._names.items()
        }


def job(folder: pathlib.Path, collections: pathlib.Path, hosts: Hosts, playbook: str, **stated: t.Any) -> layout.Job:
    """Run a playbook in the image as AWX does: as root, in the project, with all that the job has below /runner."""
    layout.lay_out(folder, hosts.variables(**stated), PYTHON, RUNNER)
    # As a credential of the type Machine: ansible-runner gives it to an agent, and shows it nowhere.
    (folder / "env" / "ssh_key").write_text(hosts.key.read_text())
    shutil.copytree(collections, folder / "requirements_collections", symlinks=True)
    subprocess.run(
        [
            *("docker", "run", "--rm", "--user", "root", "--label", f"{LABEL}=job"),
            *("--volume", f"{folder}:{RUNNER}", "--volume", f"{CHECKOUT}:{RUNNER}/project:ro"),
            *("--workdir", f"{RUNNER}/project", "--env", f"ANSIBLE_COLLECTIONS_PATH={RUNNER}/requirements_collections"),
            *("--env", "ANSIBLE_HOST_KEY_CHECKING=False", IMAGE),
            *("ansible-runner", "run", str(RUNNER), "-p", playbook, "--ident", layout.IDENT, "-q"),
        ],
        check=False,
        capture_output=True,
    )
    return layout.kept(folder)
