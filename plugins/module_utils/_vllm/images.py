# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Official images of vLLM by release: their CUDA, the drivers that it takes, the GPUs that they are compiled for.

Source: the Dockerfile of each release. Nothing is known of other images before they are pulled.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import functools
import re
import typing as t

from .schema import VERSION, Version, of_release, version_key

Numbers = tuple[int, ...]

OFFICIAL = re.compile(r"(?:^|/)vllm/vllm-openai(?:-nonroot)?(?::(?P<tag>[\w.-]+))?(?:@sha256:[0-9a-f]+)?$")

# Folders that an image has files of its own in.
OF_IMAGE = ("/vllm-workspace/", "/usr/", "/opt/", "/app/", "/workspace/", "/etc/ssl/", "/dev/", "/tmp/")

TAG_VERSION = re.compile(r"(?:^|/)vllm-openai(?:-[a-z]+)*:v(?P<numbers>\d+\.\d+\.\d+)(?![\d])")
TAG_CUDA = re.compile(r"-cu(\d\d)(\d)\b")


# First release of each row; None where the releases between two rows were not read.
CUDA: tuple[tuple[Version, str | None], ...] = (
    ((0, 28, 0), "13.0"),
    ((0, 20, 0), "13.0"),
    ((0, 11, 1), "12.9"),
    ((0, 9, 2), "12.8"),
    ((0, 8, 6), None),
    ((0, 6, 6), "12.4"),
)


# Driver that came with a CUDA release: with an older one kernels that are compiled on the host may fail.
SHIPPED_DRIVER: dict[str, Numbers] = {
    "12.8": (570, 26),
    "12.9": (575, 51, 3),
    "13.0": (580, 65, 6),
    "13.1": (590, 44, 1),
    "13.2": (595,),
    "13.3": (610,),
    "13.4": (615,),
}


# Oldest driver that runs a CUDA family at all.
OLDEST_DRIVER: dict[int, int] = {12: 525, 13: 580}


COMPILED_FOR: tuple[tuple[Version, tuple[str, ...] | None], ...] = (
    ((0, 20, 0), ("7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "11.0", "12.0")),
    ((0, 9, 2), ("7.0", "7.5", "8.0", "8.9", "9.0", "10.0", "12.0")),
    ((0, 8, 6), None),
    ((0, 0, 0), ("7.0", "7.5", "8.0", "8.6", "8.9", "9.0")),
)


def tag_release(image: str) -> str:
    """The release that an official tag says, `0.32.0`; '' where it says none."""
    match = TAG_VERSION.search(image)
    return match["numbers"] if match is not None else ""


def at(image: str, version: str) -> str:
    """The image of another release: its tag follows where it says one, and a digest of the other build goes."""
    match, stated = TAG_VERSION.search(image), VERSION.fullmatch(version.strip())
    numbers = ".".join(stated.group(1, 2, 3)) if stated is not None else ""
    if match is None or numbers in ("", match["numbers"]):
        return image
    start, end = match.span("numbers")
    return re.sub(r"@sha256:[0-9a-f]+$", "", image[:start] + numbers + image[end:])


def cuda_of(image: str, version: str) -> str | None:
    """CUDA release inside the image, `12.9`; None where nobody knows."""
    match = OFFICIAL.search(image)
    if match is None:
        return None
    tagged = TAG_CUDA.search(match["tag"] or "")
    if tagged is not None:
        return f"{tagged[1]}.{tagged[2]}"
    return t.cast("str | None", row(CUDA, version))


def compiled_for(version: str) -> tuple[int, int] | None:
    """The oldest compute capability that an image of this release is compiled for; None where nobody knows."""
    built = row(COMPILED_FOR, version)
    known = [parse_capability(one) for one in built or ()]
    return min((pair for pair in known if pair is not None), default=None)


def row(rows: t.Sequence[tuple[Version, t.Any]], version: str) -> t.Any:
    return of_release(rows, version_key(version))


@functools.lru_cache(maxsize=64)
def parse_capability(text: str | None) -> tuple[int, int] | None:
    """(major, minor) of a compute capability such as 8.6; None when it is unknown."""
    match = re.match(r"(\d+)\.(\d+)$", (text or "").strip())
    return (int(match.group(1)), int(match.group(2))) if match else None
