# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the recipe for a machine with a GPU can be seen without one."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import struct
import subprocess

import pytest

from lab.hardware import fatbin, models, weights, wheels

FOLDER = pathlib.Path(models.__file__).parent


@pytest.mark.parametrize("script", sorted(path.name for path in FOLDER.glob("*.sh")))
def test_every_script_is_one_that_bash_reads(script: str) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    subprocess.run([bash, "-n", str(FOLDER / script)], check=True)


def test_every_case_has_its_model() -> None:
    cases = json.loads((FOLDER / "cases.json").read_text())
    assert {case["model"] for case in cases} <= set(models.MODELS)
    assert len({case["name"] for case in cases}) == len(cases)


def test_every_step_that_is_named_is_there() -> None:
    text = (FOLDER / "steps.sh").read_text()
    there = set(re.findall(r"^    (\w+)\)", text, re.MULTILINE))
    named = re.search(r"\$\{\*:-([a-z ]+)\}", text)
    assert named is not None
    assert set(named[1].split()) <= there
    told = re.findall(r"run\.sh ([a-z ]+)", (FOLDER / "README.md").read_text())
    assert {step for steps in told for step in steps.split()} <= there


def test_a_tokenizer_has_a_word_for_every_number() -> None:
    made = models.tokenizer("qwen", 151936)
    assert sorted(made["model"]["vocab"].values()) == list(range(151936))
    assert made["model"]["vocab"]["<|im_end|>"] == 151645


def test_weights_of_zeros(tmp_path: pathlib.Path) -> None:
    config = models.qwen25(64, 128, 2, 4, 2, vocab_size=256)
    (tmp_path / "config.json").write_text(json.dumps(config))
    weights.write(tmp_path)
    file = tmp_path / "model.safetensors"
    length = struct.unpack("<Q", file.read_bytes()[:8])[0]
    header = json.loads(file.read_bytes()[8 : 8 + length])
    assert header["lm_head.weight"]["shape"] == [256, 64]
    ends = [one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"]
    assert file.stat().st_size == 8 + length + max(ends)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("vllm/a.py", "vllm/a.py"),
        ("x-1.data/purelib/x/a.py", "x/a.py"),
        ("x-1.data/scripts/x", None),
        ("x/tests/a.py", None),
        ("lark/tests/a.py", "lark/tests/a.py"),
        ("x/a.pyi", None),
        ("x/", None),
    ],
)
def test_what_of_a_wheel_is_kept(name: str, place: str | None) -> None:
    assert wheels.wanted(name) == place


def entry(kind: int, architecture: int, body: bytes) -> bytes:
    header = struct.pack("<HHIQIIHHI", kind, 0x101, 64, len(body), 0, 0, 0, 0, architecture)
    return header + bytes(64 - len(header)) + body


def library(*entries: bytes) -> bytearray:
    """An ELF file with one section of device code, as far as it is looked at."""
    body = b"".join(entries)
    code = fatbin.MAGIC + struct.pack("<HHQ", 1, 16, len(body)) + body
    names = b"\0.nv_fatbin\0.shstrtab\0"
    at, table = 64, 64 + len(code) + len(names)

    def section(name: int, place: int, size: int) -> bytes:
        return struct.pack("<IIQQQQIIQQ", name, 1, 0, 0, place, size, 0, 0, 0, 0)

    head = bytearray(64)
    struct.pack_into("<Q", head, 0x28, table)
    struct.pack_into("<HHH", head, 0x3A, 64, 3, 2)
    sections = bytes(64) + section(1, at, len(code)) + section(12, at + len(code), len(names))
    return bytearray(bytes(head) + code + names + sections)


def test_only_one_architecture_is_kept_and_nothing_moves() -> None:
    own, other, text = (fatbin.CUBIN, 90, b"A" * 64), (fatbin.CUBIN, 80, b"B" * 64), (fatbin.PTX, 90, b"C" * 64)
    whole = library(entry(*other), entry(*own), entry(*text))
    length = len(whole)
    assert fatbin.trim(whole, keep_ptx=False) == 2 * 128
    ((place, header, held),) = fatbin.containers(whole)
    (kept,) = fatbin.entries(whole, place + header, place + header + held)
    assert (kept.architecture, kept.kind, len(whole)) == (90, fatbin.CUBIN, length)
    assert (b"A" in whole, b"B" * 9 in whole, b"C" * 9 in whole) == (True, False, False)


def test_text_is_kept_where_there_is_no_code_of_its_own() -> None:
    whole = library(entry(fatbin.CUBIN, 80, b"B" * 64), entry(fatbin.PTX, 80, b"C" * 64))
    fatbin.trim(whole, keep_ptx=True)
    assert (b"B" * 9 in whole, b"C" * 9 in whole) == (False, True)


def test_a_container_of_others_keeps_a_header_that_fits_nothing() -> None:
    whole = library(entry(fatbin.CUBIN, 80, b"B" * 64))
    fatbin.trim(whole, keep_ptx=False)
    ((place, header, held),) = fatbin.containers(whole)
    (kept,) = fatbin.entries(whole, place + header, place + header + held)
    assert (kept.architecture, b"B" * 9 in whole) == (80, False)
