# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the documentation site from docs/ and from what modules, plugins and roles say of themselves.

Usage: ``python -m tools.docsite FOLDER``, with the environment of ``requirements.txt``: `make site`. FOLDER is made
anew: ``source`` is what Sphinx is given, ``html`` the site. A warning, as of a link that leads nowhere, ends it.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

from . import pages

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
PROGRAMS = pathlib.Path(sys.executable).parent
# The section of docs/README.md at whose end the reference is listed.
REFERENCE_IN = "Reference"


def run(folder: pathlib.Path, *command: str | pathlib.Path, **environment: str) -> None:
    """Run a program of this environment in a folder; SystemExit with what it said where it fails."""
    name, *options = map(str, command)
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(PROGRAMS / name), *options],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stdout}")


def write_pages(source: pathlib.Path) -> None:
    """Write the pages of docs/, with links of the site."""
    for path in sorted((CHECKOUT / pages.DOCS).rglob("*.md")):
        page = str(path.relative_to(CHECKOUT))
        if page.startswith((f"{pages.DOCS}/modules/", f"{pages.DOCS}/roles/")):
            continue
        text = path.read_text(encoding="utf-8")
        if page == pages.INDEX:
            modules_and_roles = ("Modules, plugins and roles", f"{pages.REFERENCE}/index")
            text = pages.with_contents(text, {REFERENCE_IN: modules_and_roles})
        elif path.name == "README.md":
            text = pages.with_contents(text)
        place = source / ("index.md" if page == pages.INDEX else path.relative_to(CHECKOUT / pages.DOCS))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(pages.linked(text, page, lambda name: (CHECKOUT / name).is_dir()), encoding="utf-8")


def write_reference(folder: pathlib.Path, source: pathlib.Path) -> None:
    """Write what modules, plugins and roles say, of the collection as it is published."""
    # In a folder without the checkout's ansible.cfg, for which the collection is there already.
    collections = folder / "collections"
    run(folder, "ansible-galaxy", "collection", "build", "--output-path", folder, CHECKOUT)
    (artifact,) = folder.glob("*.tar.gz")
    run(folder, "ansible-galaxy", "collection", "install", "--force", "--collections-path", collections, artifact)
    reference = source / pages.REFERENCE
    reference.mkdir()
    options = ("--use-current", "--squash-hierarchy", "--fail-on-error", "--dest-dir")
    environment = {"ANSIBLE_COLLECTIONS_PATH": str(collections)}
    run(folder, "antsibull-docs", "collection", *options, reference, "gpufleet.vllm", **environment)
    for path in reference.glob("*.rst"):
        path.write_text(pages.without_own_contents(path.read_text(encoding="utf-8")), encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Build the site."""
    (name,) = arguments or ["build/site"]
    folder = pathlib.Path(name).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "source"
    source.mkdir(parents=True)
    write_pages(source)
    write_reference(folder, source)
    for brought in ("conf.py", "site.css", "ansible_words.rst"):
        shutil.copy(HERE / brought, source)
    options = ("--quiet", "--fail-on-warning", "--keep-going", "--builder", "html")
    run(folder, "sphinx-build", *options, source, folder / "html")
    print(f"{folder / 'html'}: {sum(1 for _ in (folder / 'html').rglob('*.html'))} pages")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
