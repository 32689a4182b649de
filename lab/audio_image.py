# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's vLLM once more, with what reads a sound: one layer on top, and another tag.

Of vLLM's extra `audio` it has the one package that a WAV takes. What that needs itself is in the image already.
"""

from __future__ import annotations

import shutil

from lab import oci, packages, vllm_image
from lab.tools import INPUTS_LABEL, LabError, digest, say, work_directory

TAG = f"{vllm_image.VERSION}-audio"
PACKAGE = "soundfile==0.14.0"


def build(registry: str) -> str:
    """Make the image and push it, unless that of the same inputs is there, and return its name."""
    repository = oci.Repository(registry, vllm_image.NAME)
    name = f"{registry}/{vllm_image.NAME}:{TAG}"
    below = repository.labels(vllm_image.VERSION).get(INPUTS_LABEL)
    if below is None:
        raise LabError(f"{registry} has no {vllm_image.NAME}:{vllm_image.VERSION} to build on; `lab/lab up` makes it")
    inputs = digest(below, PACKAGE)
    if repository.labels(TAG).get(INPUTS_LABEL) == inputs:
        return name
    say(f"building {vllm_image.NAME}:{TAG}")
    directory = work_directory("build", "audio")
    shutil.rmtree(directory)
    packages.install(work_directory("build", "audio", "root", "opt", "vllm"), PACKAGE, alone=True)
    layer = oci.pack(work_directory("build", "audio", "root"), directory / "audio.tar.zst")
    repository.extend(vllm_image.VERSION, TAG, layer, {INPUTS_LABEL: inputs})
    shutil.rmtree(directory)
    return name
