# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be typed: up, down, engine, registry, images, audio, bare, host, control, status."""

from __future__ import annotations

import argparse
import concurrent.futures
import shutil
import sys

from lab import audio_image, control, engine, host_image, processor, registry, seed, store, vllm_image
from lab.gpu import edge
from lab.tools import LABEL, WORK, LabError, run, succeeds


def _images(_arguments: argparse.Namespace) -> None:
    processor.here()
    at = registry.start()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for job in [pool.submit(host_image.build), pool.submit(vllm_image.build, at)]:
            job.result()
    edge.build_library()
    seed.build(at)


def _engine(_arguments: argparse.Namespace) -> None:
    engine.install()
    engine.start()


def _registry(arguments: argparse.Namespace) -> None:
    _engine(arguments)
    print(registry.start())


def _up(arguments: argparse.Namespace) -> None:
    processor.here()  # before anything is installed
    _engine(arguments)
    _images(arguments)
    _status(arguments)


def _audio(arguments: argparse.Namespace) -> None:
    _engine(arguments)
    print(audio_image.build(registry.start()))


def _bare(arguments: argparse.Namespace) -> None:
    _engine(arguments)
    print(host_image.build_bare(arguments.suite))


def _host(arguments: argparse.Namespace) -> None:
    if arguments.remove:
        edge.remove(arguments.name)
        store.unmount(arguments.name)
    else:
        if arguments.memory:
            seed.sow(store.mount(arguments.name))
        print(edge.write(arguments.name, arguments.description, registry.address()))


def _control(arguments: argparse.Namespace) -> None:
    _engine(arguments)
    status = control.run_in(arguments.command, arguments.shared_engine)
    if status:
        raise LabError(f"`{arguments.command}` failed in the container with status {status}: its words are above")


def _status(_arguments: argparse.Namespace) -> None:
    if not succeeds("docker", "info"):
        print("engine    not running; `lab/lab up` starts it")
        return
    at = registry.address()
    print(f"registry  {at}/{vllm_image.NAME}:{vllm_image.VERSION}")
    print(f"models    {vllm_image.models_directory()}")
    print(f"host      {host_image.IMAGE}")
    running = run("docker", "ps", "--filter", f"label={LABEL}=host", "--format", "{{.Names}}").split()
    print(f"running   {' '.join(sorted(running)) or 'no host'}")


def _down(arguments: argparse.Namespace) -> None:
    if succeeds("docker", "info"):
        engine.remove_hosts()
        if arguments.purge:
            images = run("docker", "images", "--quiet", "--filter", f"label={LABEL}=image").split()
            if images:
                run("docker", "rmi", "--force", *sorted(set(images)))
        registry.stop()
    engine.stop()
    store.unmount_all()
    if arguments.purge:
        shutil.rmtree(WORK, ignore_errors=True)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="lab/lab", description="Real hosts and a real vLLM for tests, without a GPU.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run_it, text in (
        ("up", _up, "start the engine and the registry, and make the images that are missing or out of date"),
        ("engine", _engine, "install and start the Docker engine only"),
        ("registry", _registry, "start the registry and print its address"),
        ("images", _images, "make the images that are missing or out of date"),
        ("audio", _audio, "make the vLLM that reads sounds, on top of the one that is there, and print its name"),
        ("status", _status, "say what is there"),
    ):
        commands.add_parser(name, help=text, description=text).set_defaults(run=run_it)
    bare = commands.add_parser("bare", help="make the image of a host with no container engine, and print its name")
    bare.add_argument("suite", choices=host_image.BARE_SUITES, help="the release of Debian")
    bare.set_defaults(run=_bare)
    host = commands.add_parser("host", help="write or remove the simulated hardware of a host")
    host.add_argument("name", help="the host's name in the inventory")
    host.add_argument("--description", default="cpu", help="a file of lab/gpu/hosts, without its suffix")
    host.add_argument("--memory", action="store_true", help="keep the host's /var/lib/docker in memory")
    host.add_argument("--remove", action="store_true", help="remove it instead")
    host.set_defaults(run=_host)
    text = "run a shell command in a clean clone of the last commit, on a control node in a container (Debian 13)"
    node = commands.add_parser("control", help=text, description=text)
    node.add_argument("command", help="what to run, such as 'make demo'")
    node.add_argument("--shared-engine", action="store_true", help="with this machine's Docker engine and hosts")
    node.set_defaults(run=_control)
    down = commands.add_parser("down", help="remove the hosts, and stop what the lab started")
    down.add_argument("--purge", action="store_true", help="remove images, registry content and models too")
    down.set_defaults(run=_down)
    arguments = parser.parse_args(words)
    try:
        arguments.run(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0
