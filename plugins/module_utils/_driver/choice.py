# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which driver a host gets: branch, kind of kernel modules, origin of the packages.

The long-term branch and the open modules, unless a card, an image or the inventory needs something else; and a
refusal that says what to change where nothing fits.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from .branches import BRANCHES, LONG_TERM, PREFERRED, Version, made_for, oldest_for
from .cards import Card, card_of, first_driver
from .driver_options import PREFIX, DriverOptions
from .host import ARCHITECTURES, SUPPORTED, Gpu, Host

# What the archive of a distribution holds: versions by branch. Ubuntu's are updated within their branch.
ARCHIVES: t.Final[dict[str, dict[int, Version]]] = {
    "debian12": {535: (535, 261, 3)},
    "debian13": {550: (550, 163, 1)},
    "ubuntu22.04": {580: (580,), 595: (595,)},
    "ubuntu24.04": {580: (580,), 595: (595,)},
    "ubuntu26.04": {580: (580,), 595: (595,)},
}
# Archives whose modules are built and signed by the distribution: no DKMS, and right under Secure Boot.
SIGNED = ("ubuntu22.04", "ubuntu24.04", "ubuntu26.04")
NEWEST: t.Final[Version] = (9999,)


@dataclass(frozen=True)
class Choice:
    """What to install. `dkms`: the modules are built on the host. `why` is one sentence for people."""

    branch: int
    open_modules: bool
    origin: str
    dkms: bool
    why: str


def choose(
    host: Host, options: DriverOptions, errors: list[str], warnings: list[str], there: str | None = None
) -> Choice | None:
    """The choice; None with `errors` where there is none. `there`: the origin of packages that somebody put there."""
    before = len(errors)
    if host.system not in SUPPORTED:
        errors.append(
            f"The host runs {host.distribution} {host.version}, and the driver can be installed on Debian 12 and 13, "
            "Ubuntu "
            f"22.04, 24.04 and 26.04, and Enterprise Linux 9 and 10: install it by hand and set {PREFIX}manage: false."
        )
    if host.architecture not in ARCHITECTURES:
        errors.append(
            f"The host's architecture is {host.architecture}, and drivers exist for {' and '.join(ARCHITECTURES)}."
        )
    open_modules = _modules(host, options, errors)
    errors += dropped(host, options)
    if len(errors) > before:
        return None
    origin = _origin(host, options, there)
    if origin == "distribution" and host.system not in ARCHIVES:
        errors.append(
            f"{PREFIX}origin is distribution, and Enterprise Linux has no driver in its own repositories: set it to "
            "nvidia."
        )
        return None
    branch = _branch(host, options, origin, open_modules, errors, warnings)
    dkms = not (origin == "distribution" and host.system in SIGNED)
    _secure_boot(host, dkms, errors)
    if host.nvswitches and origin == "distribution" and host.system.startswith("debian"):
        errors.append(
            f"The host has {host.nvswitches} NVSwitches, which take Fabric Manager, and Debian's archive has none: set "
            f"{PREFIX}origin: nvidia."
        )
    if branch is None or len(errors) > before:
        return None
    kind = "open" if open_modules else "proprietary"
    return Choice(
        branch, open_modules, origin, dkms, f"branch {branch} with {kind} modules, {_reason(host, options, branch)}"
    )


def _reason(host: Host, options: DriverOptions, branch: int) -> str:
    about = BRANCHES[branch]
    status = f"{about.status}{f' until {about.ends}' if about.ends else ''}"
    if options.branch:
        return f"as {PREFIX}branch says ({status})"
    if branch == LONG_TERM:
        return f"NVIDIA's {status}"
    return f"the first one that fits ({status})"


def _modules(host: Host, options: DriverOptions, errors: list[str]) -> bool:
    """Whether the open modules: always, unless a card cannot."""
    closed = [gpu for gpu in host.gpus if not _knows(gpu, "open_modules")]
    opened = [gpu for gpu in host.gpus if not _knows(gpu, "closed_modules")]
    if closed and opened:
        errors.append(
            f"{_named(closed)} take the proprietary kernel modules and {_named(opened)} the open ones, and a host has "
            "one kind: "
            "move one of the cards to another host, or bind it to vfio-pci."
        )
    elif closed and options.modules == "open":
        errors.append(f"{PREFIX}modules is open, and {_named(closed)} work with proprietary only: set it to auto.")
    elif opened and options.modules == "proprietary":
        errors.append(f"{PREFIX}modules is proprietary, and {_named(opened)} work with open only: set it to auto.")
    return not closed and options.modules != "proprietary"


def dropped(host: Host, options: DriverOptions) -> list[str]:
    """Cards that vLLM has dropped get no driver: nothing could be served on them. A sentence for each."""
    errors = []
    least = options.capability or (7, 0)
    for gpu in host.gpus:
        card = card_of(gpu.device)
        if card is None or card.capability >= least:
            continue
        has, needs = (".".join(map(str, pair)) for pair in (card.capability, least))
        what = f"the image {options.image} is" if options.capability else "no image from vLLM 0.8.5 on is"
        fix = "plan an older image, or " if options.capability and card.capability >= (7, 0) else ""
        errors.append(
            f"{_named([gpu])} has compute capability {has} and {what} compiled for less than {needs}: {fix}fit a newer "
            "card, or give the host the class cpu."
        )
    return errors


def last_branch(host: Host) -> int | None:
    """The newest branch that drives every card of the host; None where there is no last one yet."""
    cards = (card_of(gpu.device) for gpu in host.gpus)
    return min((card.last_branch for card in cards if card and card.last_branch), default=None)


def _origin(host: Host, options: DriverOptions, there: str | None) -> str:
    """That of the packages which are there, else the distribution where its packages are signed, else NVIDIA."""
    if options.origin != "auto":
        return options.origin
    if there:
        return there
    offered = ARCHIVES.get(host.system, {})
    fits = options.branch in offered if options.branch else not _too_old(LONG_TERM, options)
    return "distribution" if host.system in SIGNED and fits and not options.repository_url else "nvidia"


def _branch(
    host: Host, options: DriverOptions, origin: str, open_modules: bool, errors: list[str], warnings: list[str]
) -> int | None:
    offered = ARCHIVES[host.system] if origin == "distribution" else dict.fromkeys(BRANCHES, NEWEST)
    where = "" if origin == "nvidia" else f"the archive of {host.distribution} {host.version} has"
    if options.branch and options.branch not in offered:
        errors.append(
            f"{PREFIX}branch is {options.branch} and {where} {_listed(offered)} only: set {PREFIX}origin: nvidia, or "
            "another branch."
        )
        return None
    candidates = [options.branch] if options.branch else [one for one in PREFERRED if one in offered] or list(offered)
    if not options.branch and host.theirs:  # somebody's packages stay with their branch where it will do
        candidates = [one for one in host.driver_version[:1] if one in offered] + candidates
    tried: list[list[str]] = []
    for made in (True, False):  # first a branch that the image's CUDA was made for, then one that runs it at all
        for branch in candidates:
            wrong = _unfit(host, options, branch, offered[branch], open_modules)
            tried.append(wrong)
            if wrong or (made and not options.branch and _behind(branch, options)):
                continue
            if _behind(branch, options):
                warnings.append(
                    f"The image brings CUDA {options.cuda}, made for driver {made_for(options.cuda or '')} or newer, "
                    f"and gets {branch}: kernels that are compiled at start may fail."
                )
            return branch
    fix = f"set {PREFIX}origin: nvidia" if origin == "distribution" else f'set {PREFIX}branch: "" to have it chosen'
    if origin == "nvidia" and not options.branch:
        fix = "plan an image for an older CUDA, or move the card to another host"
    errors.append(f"No driver fits: {'; '.join(dict.fromkeys(tried[0]))}: {fix}.")
    return None


def _unfit(host: Host, options: DriverOptions, branch: int, version: Version, open_modules: bool) -> list[str]:
    """What keeps this version of the branch from the host's cards and the image."""
    newest = min(version, (branch, 9999))
    wrong = []
    for gpu in host.gpus:
        needed, card = first_driver(gpu.device), card_of(gpu.device)
        if needed is not None and newest < needed:
            has = dotted(version) if version != NEWEST else str(branch)
            wrong.append(f"{_named([gpu])} takes driver {dotted(needed)} or newer, found {has}")
        if card and card.last_branch and branch > card.last_branch:
            wrong.append(f"{_named([gpu])} is driven up to branch {card.last_branch}, and not by {branch}")
    if _too_old(branch, options):
        wrong.append(
            f"the image brings CUDA {options.cuda}, which takes branch {oldest_for(options.cuda or '')} or newer, "
            f"found {branch}"
        )
    if not open_modules and not BRANCHES[branch].closed_modules:
        wrong.append(f"branch {branch} has no proprietary modules any more")
    return wrong


def runs_closed(host: Host) -> bool:
    """Whether all cards run with the proprietary modules."""
    return all(_knows(gpu, "closed_modules") for gpu in host.gpus)


def too_old(host: Host, options: DriverOptions, version: Version) -> bool:
    """Whether a driver that is there is too old for a card, or for the image's CUDA."""
    return _too_old(version[0], options) or version < (first(host) or ())


def first(host: Host) -> Version | None:
    """The oldest driver that is known to drive all cards."""
    return max((needed for gpu in host.gpus for needed in (first_driver(gpu.device),) if needed), default=None)


def unfit(host: Host, options: DriverOptions, version: Version) -> list[str]:
    """What keeps a driver that is there from the host's cards and the image."""
    wrong = [
        f"{_named([gpu])} takes driver {dotted(needed)} or newer"
        for gpu in host.gpus
        for needed in (first_driver(gpu.device),)
        if needed is not None and version < needed
    ]
    if _too_old(version[0], options):
        oldest = oldest_for(options.cuda or "")
        wrong.append(f"{_image(options)} brings CUDA {options.cuda}, which takes {oldest} or newer")
    return wrong


def archive_has(host: Host, options: DriverOptions) -> bool:
    """Whether the archive of the distribution has a driver that cards, image and inventory can use."""
    offered = ARCHIVES.get(host.system, {})
    branches = [options.branch] if options.branch else list(offered)
    return any(
        branch in offered and not _unfit(host, options, branch, offered[branch], open_modules=True)
        for branch in branches
    )


def _image(options: DriverOptions) -> str:
    return f"the image {options.image}" if options.image else "the image"


def _too_old(branch: int, options: DriverOptions) -> bool:
    return options.cuda is not None and branch < (oldest_for(options.cuda) or 0)


def _behind(branch: int, options: DriverOptions) -> bool:
    return options.cuda is not None and branch < (made_for(options.cuda) or 0)


def _secure_boot(host: Host, dkms: bool, errors: list[str]) -> None:
    if not (host.secure_boot and dkms) or host.key_enrolled:
        return
    enrol = "mokutil --import /var/lib/dkms/mok.pub, confirmed at the console at the next boot"
    ways = [f"enrol the key that DKMS signs with ({enrol})"]
    if host.system in SIGNED:
        ways.insert(0, f"set {PREFIX}origin: distribution, whose modules are signed")
    if host.system.startswith("el"):
        ways.append(f"install a kmod that your distribution signs and set {PREFIX}manage: false")
    errors.append(
        "Secure Boot is on, and modules that are built on the host are not trusted by its firmware: "
        f"{', or '.join(ways)}, or switch Secure Boot off in the firmware."
    )


def _knows(gpu: Gpu, what: str) -> bool:
    card: Card | None = card_of(gpu.device)
    return card is None or bool(getattr(card, what))


def _named(gpus: t.Sequence[Gpu]) -> str:
    each = (f"GPU {gpu.slot} (10de:{gpu.device[2:]}{_architecture(gpu)})" for gpu in gpus)
    return ", ".join(each)


def _architecture(gpu: Gpu) -> str:
    card = card_of(gpu.device)
    return f", {card.architecture}" if card else ""


def dotted(version: Version) -> str:
    """A version as NVIDIA writes it."""
    return ".".join(f"{part:02d}" if index else str(part) for index, part in enumerate(version))


def _listed(offered: t.Iterable[int]) -> str:
    return " and ".join(map(str, offered))
