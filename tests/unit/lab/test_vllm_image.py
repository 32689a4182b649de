# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib
import re

import pytest

from lab import tools, vllm_image


def test_what_is_changed_of_vllm_is_changed(tmp_path: pathlib.Path) -> None:
    for path, found, _instead in vllm_image.CHANGED:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"before\n{found}\nafter\n")
    vllm_image._change(tmp_path, vllm_image.CHANGED)
    for path, _found, instead in vllm_image.CHANGED:
        assert (tmp_path / path).read_text() == f"before\n{instead}\nafter\n"


@pytest.mark.parametrize("times", [0, 2])
def test_another_vllm_is_not_changed_in_silence(tmp_path: pathlib.Path, times: int) -> None:
    path, found, _instead = vllm_image.CHANGED[0]
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(found * times)
    with pytest.raises(tools.LabError, match=f"{path} of vLLM .* {times} times and not once"):
        vllm_image._change(tmp_path, vllm_image.CHANGED)


def test_hosts_are_told_the_release_that_the_lab_makes() -> None:
    """Scenarios, the demo and the lab's page run what lab/vllm_image.py makes."""
    checkout = pathlib.Path(__file__).resolve().parents[3]
    version, tagged = vllm_image.VERSION, re.compile(rf"/{vllm_image.NAME}:\d")
    files = [path for folder in ("inventories", "molecule") for path in (checkout / folder).rglob("*.yml")]
    wanted = {
        path: [f'/{vllm_image.NAME}:{version}"', f"vllm_server_version: {version}\n"]
        for path in files
        if tagged.search(path.read_text())
    }
    assert len(wanted) >= 3, "nobody runs the lab's image any more"
    wanted[checkout / "lab" / "README.md"] = [f"| vLLM {version}, its CPU build", f"| with vLLM {version} |"]
    missing = [
        f"{path.relative_to(checkout)}: {line!r}"
        for path, lines in wanted.items()
        for line in lines
        if line not in path.read_text()
    ]
    assert missing == [], f"lab/vllm_image.py makes {version}; these are to say it too: {missing}"


def test_each_tiny_model_is_made_in_one_of_three_ways(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its file a folder counts as missing, and the image is made anew."""
    monkeypatch.setattr(vllm_image, "models_directory", lambda: tmp_path)
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(vllm_image, "run", lambda *words: ran.append(tuple(str(word) for word in words)))
    (tmp_path / "tiny-ranks").mkdir()
    vllm_image._write_models(tmp_path / "site")
    assert not (tmp_path / "tiny-ranks").exists() and not vllm_image._have_models()
    scripts = [words[words.index("python3") + 1 :] for words in ran if "python3" in words]
    assert scripts[0] == ("/lab/tiny_model.py", "/models/tiny-64", "64")
    assert scripts[-2:] == [("/lab/tiny_kinds.py", "/models"), ("/lab/tiny_media.py", "/models")]
    for name, file in {**dict.fromkeys(vllm_image.MODELS, "config.json"), **vllm_image.KINDS}.items():
        assert not vllm_image._have_models()
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    assert vllm_image._have_models()


def test_what_is_written_is_what_is_looked_for() -> None:
    written = "".join((tools.LAB / "vllm" / name).read_text() for name in ("tiny_kinds.py", "tiny_media.py"))
    assert all(f'to / "{name}"' in written or f'("{name}", ' in written for name in vllm_image.KINDS)
