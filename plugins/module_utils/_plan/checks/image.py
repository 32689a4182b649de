# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image against the host: its CUDA and the driver, the GPUs' compute capability and what it was compiled for.

Known for images of vllm/vllm-openai by vLLM's release (their Dockerfile); of other images nothing is known before the
pull, and nothing is said.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from ..._findings.findings import Findings
from ..._gpu.fact import Facts
from ..._settings.names import listed
from ..._vllm.images import (
    COMPILED_FOR,
    OFFICIAL,
    OLDEST_DRIVER,
    SHIPPED_DRIVER,
    cuda_of,
    parse_capability,
    row,
    tag_release,
)
from ..._vllm.schema import VERSION, version_key

Numbers = tuple[int, ...]

COMPATIBILITY = "VLLM_ENABLE_CUDA_COMPATIBILITY"


def tagged(image: str, version: str, findings: Findings) -> None:
    """The version is stated, not read from the image: an official tag that says another one is a slip."""
    tag, stated = tag_release(image), VERSION.fullmatch(version.strip())
    if not tag or stated is None or version_key(tag) == version_key(version):
        return
    found = f"The image {image} is of vLLM {tag} by its tag and the version is {version}: make the two agree."
    # A build of somebody else's may carry a tag of its own making.
    (findings.warn if stated[4] or stated[5] else findings.error)(found)


def states_release(image: str) -> bool:
    """Whether the image's own tag says which release it is, so that the stated version is more than a guess."""
    return bool(tag_release(image))


def check(image: str, version: str, facts: Facts, variables: t.Mapping[str, str], findings: Findings) -> None:
    """What keeps the image from running on this host, and what may."""
    match = OFFICIAL.search(image)
    if match is None:
        return
    # A digest alone may be of a build for another CUDA than the release's usual one.
    certain = match["tag"] is not None
    _driver(cuda_of(image, version), facts, variables, findings, certain)
    _compiled(version, facts, findings, certain)


def _driver(cuda: str | None, facts: Facts, variables: t.Mapping[str, str], findings: Findings, certain: bool) -> None:
    driver = (facts.get("driver") or {}).get("version")
    if cuda is None or not driver:
        return
    has = _numbers(driver)
    family = int(cuda.split(".", maxsplit=1)[0])
    oldest = OLDEST_DRIVER.get(family)
    if oldest is not None and has < (oldest,):
        text = f"The image brings CUDA {cuda}, which takes driver {oldest} or newer; the host has {driver}"
        if variables.get(COMPATIBILITY, "0") not in ("0", ""):
            findings.warn(f"{text}. {COMPATIBILITY} helps on data-centre GPUs only.")
        elif certain:
            findings.doubt(
                "capability", f"{text}: install a newer driver, or use an image for an older CUDA.", here=True
            )
        else:
            findings.warn(f"{text}, if it is the release's usual build: the pulled image has the last word.")
        return
    shipped = SHIPPED_DRIVER.get(cuda)
    if shipped is not None and has < shipped:
        findings.warn(
            f"The image brings CUDA {cuda}, made for driver {'.'.join(map(str, shipped))} or newer; the host has "
            f"{driver}: NVIDIA's container toolkit or a kernel compiled at start may refuse it."
        )


def _compiled(version: str, facts: Facts, findings: Findings, certain: bool) -> None:
    built = row(COMPILED_FOR, version)
    if built is None:
        return
    for text in sorted({str(gpu["compute_capability"]) for gpu in facts["gpus"] if gpu.get("compute_capability")}):
        capability = parse_capability(text)
        if capability is None or _runs(capability, built):
            continue
        found = (
            f"The image of vLLM {version} is not compiled for compute capability {text}, only for {listed(built)}: "
            "use a newer image."
        )
        if certain:
            findings.doubt("capability", found)
        else:
            findings.warn(found)


def _runs(capability: tuple[int, int], built: t.Sequence[str]) -> bool:
    """Code for a capability runs on the same major one and any later minor one."""
    pairs = [parse_capability(one) for one in built]
    return any(pair is not None and pair[0] == capability[0] and pair[1] <= capability[1] for pair in pairs)


def _numbers(version: str) -> Numbers:
    return tuple(int(part) for part in re.findall(r"\d+", version))
