# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of the checkout in which modules are changed, and processes that run tests in it.

The checkout itself is never touched, so a run that is interrupted leaves no mutant behind. A process that has pytest,
hypothesis and Ansible in it already is forked for each mutant; nothing of the collection is imported before the fork.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
import typing as t

import pytest

from .rooms import BUILD, CHECKOUT

TREE: t.Final = BUILD / "tree"
# What makes a process of tests slow to start.
HEAVY: t.Final = (
    *("hypothesis", "hypothesis.strategies", "yaml", "jinja2", "unittest.mock", "xml.dom.minidom", "http.server"),
    *("ansible.template", "ansible.parsing.yaml.objects", "ansible.plugins.action", "ansible.playbook.play"),
)
# hypothesis, which is imported before pytest's plugins are, is nothing whose assertions are to be explained.
OPTIONS: t.Final = (
    *("-p", "no:xdist", "--quiet"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)
MEMORY: t.Final = 4 * 2**30


def copy() -> None:
    """Copy what git knows or would add. The copy has bytecode of its own, made while tests are recorded."""
    shutil.rmtree(TREE, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = CHECKOUT / name, TREE / name
        if source.is_symlink() or source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)


def preload() -> None:
    """Import what every child needs, once."""
    for name in HEAVY:
        importlib.import_module(name)


@contextlib.contextmanager
def changed(module: str, code: str) -> t.Iterator[None]:
    """The copy with one module changed. Bytecode is told apart by seconds and size only, so there must be none."""
    path = TREE / module
    before = path.read_text()
    for old in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        old.unlink()
    path.write_text(code)
    try:
        yield
    finally:
        path.write_text(before)


def in_child(arguments: t.Sequence[str], plugin: object, said: pathlib.Path) -> t.NoReturn:
    """Run tests, in a process that ends with pytest's exit status."""
    status = 3
    try:
        os.setsid()
        os.chdir(TREE)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        status = int(pytest.main([*OPTIONS, *arguments], [plugin]))
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def wait(child: int, seconds: float) -> int | None:
    """A child's exit status; None where it took longer and was ended, with whatever it had started."""
    end = time.monotonic() + seconds
    status = None
    try:
        while status is None and time.monotonic() < end:
            done, how = os.waitpid(child, os.WNOHANG)
            if done:
                status = os.waitstatus_to_exitcode(how)
            else:
                time.sleep(0.02)
    finally:
        # Also where somebody interrupts the run: the child is in a session of its own.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if status is None:
            os.waitpid(child, 0)
    return status


def run(arguments: t.Sequence[str], plugin: object, said: pathlib.Path, seconds: float, bytecode: bool = False) -> int:
    """Fork, run tests, and give pytest's exit status; -1 where they took too long, -2 where a signal ended them."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        sys.dont_write_bytecode = not bytecode
        in_child(arguments, plugin, said)
    status = wait(child, seconds)
    if status is None:
        return -1
    return status if status >= 0 else -2
