# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory asks of the driver, checked.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from .._outside.documents import Json
from .._settings import secret_values, types
from .._vllm.images import OLDEST_DRIVER, compiled_for, cuda_of
from .._vllm.schema import UnknownVersionError
from .branches import BRANCHES, oldest_for

ORIGINS = ("auto", "nvidia", "distribution")
MODULES = ("auto", "open", "proprietary")
CUDA = re.compile(r"\d+\.\d+")
PREFIX = "nvidia_driver_"
_OPTION = re.compile(r"\w+")
_OPTION_VALUE = re.compile(r"[\w.,:;/=-]+")
# What is planned, in no variable of this role.
OF_IMAGES = ("image", "version", "images")


@dataclass(frozen=True)
class DriverOptions:
    """The role's variables. Of the planned images, the one that asks most of the driver: `image`, with its `cuda`.

    `capability` is the oldest that all of them are compiled for.
    """

    manage: bool = True
    branch: int | None = None
    origin: str = "auto"
    modules: str = "auto"
    cuda: str | None = None
    image: str = ""
    capability: tuple[int, int] | None = None
    repository_url: str = ""
    key: str = ""
    key_url: str = ""
    fingerprint: str = ""
    dkms_url: str = ""
    reboot: bool = False
    hold: bool = True
    persistence: bool = True
    power_limit_w: int | None = None
    module_options: tuple[tuple[str, str], ...] = ()


def read(given: Json, errors: list[str]) -> DriverOptions:
    """The options; what is wrong with them goes to `errors`, a sentence each."""
    for name, value in given.items():
        errors += secret_values.errors(f"{PREFIX}{name}" if name not in OF_IMAGES else name, value)
    image, brought, capability = _of_images(given)
    cuda = str(given.get("cuda") or "") or brought
    if cuda is not None and not CUDA.fullmatch(cuda):
        errors.append(f"{PREFIX}cuda is {cuda!r}, expected a release such as 13.0: correct it.")
        cuda = None
    elif given.get("cuda") and cuda is not None and oldest_for(cuda) is None:
        families = ", ".join(f"{family}.x" for family in sorted(OLDEST_DRIVER))
        errors.append(
            f"{PREFIX}cuda is {cuda!r}, and no driver is known here for it, only for {families}: correct it, or leave "
            f"it out and state {PREFIX}branch."
        )
        cuda = None
    return DriverOptions(
        manage=_switch("manage", given, errors, unset=True),
        branch=_branch(given.get("branch"), errors),
        origin=_choice("origin", given.get("origin"), ORIGINS, errors),
        modules=_choice("modules", given.get("modules"), MODULES, errors),
        cuda=cuda,
        image=image,
        capability=capability,
        **{
            name: str(given.get(name) or "") for name in ("repository_url", "key", "key_url", "fingerprint", "dkms_url")
        },
        reboot=_switch("reboot", given, errors, unset=False),
        hold=_switch("hold", given, errors, unset=True),
        persistence=_switch("persistence", given, errors, unset=True),
        power_limit_w=_watts(given.get("power_limit_w"), errors),
        module_options=_options(given.get("module_options") or {}, errors),
    )


def _of_images(given: Json) -> tuple[str, str | None, tuple[int, int] | None]:
    """The image with the newest CUDA, that CUDA, and the oldest capability that every image is compiled for.

    Older CUDAs run on a driver that takes the newest one.
    """
    listed = given.get("images") or [{key: given.get(key) for key in ("image", "version")}]
    found: list[tuple[tuple[int, ...], str, str | None, tuple[int, int] | None]] = []
    for one in (each for each in listed if isinstance(each, dict)):
        image, version = str(one.get("image") or ""), str(one.get("version") or "")
        try:
            cuda, compiled = (cuda_of(image, version), compiled_for(version)) if image and version else (None, None)
        except UnknownVersionError:
            cuda, compiled = None, None  # the planner says so, with all that is wrong with an instance
        found.append((tuple(int(part) for part in (cuda or "").split(".") if part), image, cuda, compiled))
    if not found:
        return "", None, None
    _numbers, image, cuda, _compiled = max(found, key=lambda one: one[0])
    return image, cuda, max((one[3] for one in found if one[3]), default=None)


def _switch(name: str, given: Json, errors: list[str], *, unset: bool) -> bool:
    """Never by Python's truth, in which the text "false" is true."""
    return types.stated(types.switch, given.get(name), f"{PREFIX}{name}", errors, unset)


def _branch(value: t.Any, errors: list[str]) -> int | None:
    text = str(value if value is not None else "").strip()
    if not text:
        return None
    if text.isdecimal() and int(text) in BRANCHES:
        return int(text)
    known = ", ".join(map(str, BRANCHES))
    errors.append(
        f"{PREFIX}branch is {text!r}, which is no branch of the driver that is known here: use one of {known}."
    )
    return None


def _choice(name: str, value: t.Any, choices: tuple[str, ...], errors: list[str]) -> str:
    text = str(value or choices[0])
    if text not in choices:
        errors.append(f"{PREFIX}{name} is {text!r}, expected one of {', '.join(choices)}: correct it.")
        return choices[0]
    return text


def _watts(value: t.Any, errors: list[str]) -> int | None:
    text = str(value if value is not None else "").strip()
    if text in ("", "0"):
        return None
    if text.isdecimal():
        return int(text)
    errors.append(f"{PREFIX}power_limit_w is {text!r}, expected a whole number of watts: correct it.")
    return None


def _options(value: t.Any, errors: list[str]) -> tuple[tuple[str, str], ...]:
    stated = value.items() if isinstance(value, dict) else ()
    pairs = {str(name): str(text) for name, text in stated if not types.is_blank(text)}
    wrong = [
        name
        for name, text in pairs.items()
        # The module takes numbers for switches, and True for nothing at all.
        if isinstance(value[name], bool) or not (_OPTION.fullmatch(name) and _OPTION_VALUE.fullmatch(text))
    ]
    if wrong or not isinstance(value, dict):
        errors.append(
            f"{PREFIX}module_options is {value!r}, expected names of parameters of the module nvidia with their "
            "values, "
            "such as NVreg_EnableGpuFirmware: 1 (1 and 0, not true and false): correct it."
        )
    return tuple(sorted((name, text) for name, text in pairs.items() if name not in wrong))
