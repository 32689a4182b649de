# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done about the driver of one host: from its facts and the inventory's options to steps, or to refusals.

A pure function. The steps are data; the role carries them out. A host whose driver is right has none.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass, field

from .._gpu.fact import Facts
from .._gpu.surroundings import WSL
from .._outside.documents import Json
from . import choice as choosing
from . import driver_options, files, keepers, packages
from . import host as hosts
from .choice import Choice
from .driver_options import PREFIX, DriverOptions
from .host import Host

CPU = "cpu"
# States in which a driver helps, and those in which the hardware is what is wrong.
INSTALLABLE = ("no_driver", "driver_not_loaded", "driver_without_gpu")


@dataclass
class Plan:
    """Steps that are due, and everything they take; `errors` are refusals, `missing` what an unmanaged host lacks."""

    due: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    details: Json = field(default_factory=dict)
    why: str = ""

    def as_json(self) -> Json:
        return {
            "due": self.due,
            "errors": self.errors,
            "warnings": self.warnings,
            "missing": self.missing,
            "why": self.why,
            **self.details,
        }


def plan(facts: Facts, given: Json, host_class: str = "", control: Json | None = None) -> Plan:
    """The plan of one host. `control`: the control node's `machine`, and whether the host is `local` to it."""
    made = Plan()
    options, host = driver_options.read(given, made.errors), hosts.read(facts)
    if host_class == CPU or not (host.gpus or _under_windows(facts)) or host.state == "gpu_lost":
        return made
    keeper = keepers.keeper(host, options)
    # Where the module is the host's, one that is older than its library waits for a reboot, whoever keeps it.
    upgraded = host.state == "driver_library_mismatch" and host.container is None
    if keeper and not upgraded and (keeper.outside or _somebody_has_to(host, options)):
        return _left_alone(made, host, options, keeper)
    choice = choosing.choose(host, options, made.errors, made.warnings, keepers.origin(host))
    if choice is None:
        return _refused(made, host, options)
    parts = packages.packages(host, choice, options, made.errors)
    contents = files.render(host, choice, options, parts.hold_too)
    digest = _digest(choice, parts, contents, host)
    made.why = choice.why
    made.due = _due(host, choice, options, parts, digest)
    if keeper and "install" in made.due:  # of the role's own once, and another plan now
        made.errors.append(f"Another driver is asked for than the one that is there. {keeper.who}: {keeper.way}.")
    changes = _changes(made, host, choice, parts)
    _other_reasons(made, host, facts, host.serving if changes else [])
    made.details = {
        "branch": choice.branch,
        "open_modules": choice.open_modules,
        "origin": choice.origin,
        "codename": host.codename,
        "repositories": list(parts.repositories),
        "components": list(parts.components),
        "apply": _apply(made.due, host, choice, options, parts, contents, digest) | {"changes": changes},
        "initramfs": host.family == "apt" and "configure" in made.due,
        "kernel": host.boot_kernel,
        "loadable": host.boot_kernel == host.kernel and host.state != "driver_library_mismatch",
        "gpus": len(host.gpus),
        "drain": host.serving if changes else [],
        "stop_seconds": host.stop_seconds if changes else 0,
        "persistence": options.persistence,
        "power_unit": files.POWER_UNIT if options.power_limit_w is not None else "",
        "fabric_manager": bool(host.nvswitches),
        "reboot": _reboot(host, options, control or {}),
    }
    if not made.due:
        made.errors, made.warnings = [], []
    elif not options.manage:
        _look_only(made, host)
    return made


def _under_windows(facts: Facts) -> bool:
    """WSL2 with a GPU, which is on no PCI bus, or with a library that tells nothing of one."""
    return bool(facts["os"].get("container") == WSL and facts["state"] != "no_gpu")


def _somebody_has_to(host: Host, options: DriverOptions) -> bool:
    """Whether a driver of somebody else's would have to be replaced."""
    fits = _fits(host, options)
    if host.state == "healthy":
        return not fits
    return host.state in INSTALLABLE and not (fits and host.boot_module)


def _left_alone(made: Plan, host: Host, options: DriverOptions, keeper: keepers.Keeper) -> Plan:
    """A driver that nothing is done to: it will do, or who keeps it has to act."""
    lacking = keepers.lacking(host, options, _fits(host, options))
    if lacking:
        # Another driver would help no card that the image is not made for.
        made.errors += choosing.dropped(host, options) or [f"{lacking} {keeper.who}: {keeper.way}."]
    stated = [
        f"{PREFIX}{name}"
        for name, value in (("power_limit_w", options.power_limit_w), ("module_options", options.module_options))
        if value
    ]
    if stated:
        made.errors.append(
            f"{keeper.who}, so {' and '.join(stated)} cannot be set from here: set it there, and leave it out for this "
            "host."
        )
    unheld = sorted(name for name, held in host.packages.items() if not held)
    if unheld and options.hold and host.family == "apt" and not lacking:
        made.warnings.append(
            f"An upgrade would part {', '.join(unheld)} from the kernel module, which is not this host's: run "
            f"`apt-mark hold {' '.join(unheld)}`."
        )
    if made.errors and not options.manage:
        made.missing, made.errors = made.errors, []
    return made


def _refused(made: Plan, host: Host, options: DriverOptions) -> Plan:
    """Nothing fits. A driver that works and that nobody asked to change is not an error."""
    if host.state == "healthy" and options.branch is None:
        made.errors, made.warnings = [], []
    elif not options.manage:
        made.missing, made.errors = [host.advice or "The driver is not the one that is asked for.", *made.errors], []
    return made


def _due(host: Host, choice: Choice, options: DriverOptions, parts: packages.Packages, digest: str) -> list[str]:
    """install, configure, hold, start: in this order, none where the host is right."""
    stamp = host.prepared
    ours = stamp is not None
    changed = stamp is not None and (stamp["digest"] != digest or not stamp["intact"])
    if host.state == "driver_library_mismatch":
        return ["start"]
    fits = _fits(host, options)
    asleep = host.state == "driver_not_loaded" and fits and not ours
    due = []
    if (
        changed
        or (host.state == "healthy" and not fits)
        or (host.state in INSTALLABLE and not (fits and (ours or host.boot_module)))
    ):
        due += ["install", "configure"]
    elif ours and choice.dkms and not host.boot_module:
        due += ["install"]
    elif asleep or (not ours and (options.power_limit_w is not None or options.module_options)):
        due += ["configure"]
    unheld = [name for name, held in host.packages.items() if not held]
    if options.hold and host.family == "apt" and (unheld or "install" in due):
        due += ["hold"]
    return [*due, *(["start"] if due or host.state != "healthy" else [])]


def _fits(host: Host, options: DriverOptions) -> bool:
    """Whether the driver that is there will do: the branch asked for, else one that cards and image can use."""
    version = host.driver_version
    if not version:
        return False
    if options.branch is not None:
        return version[0] == options.branch
    if host.open_modules is False and not choosing.runs_closed(host):
        return False
    return not choosing.too_old(host, options, version)


def _apply(
    due: t.Collection[str],
    host: Host,
    choice: Choice,
    options: DriverOptions,
    parts: packages.Packages,
    contents: Json,
    digest: str,
) -> Json:
    """The parameters of nvidia_driver_install. A driver of somebody else's is held, and nothing besides."""
    install, ours = "install" in due, bool({"install", "configure"} & set(due))
    held = {path: text for path, text in contents.items() if path == files.UNATTENDED}
    return {
        "manager": host.family,
        "preparations": [list(command) for command in parts.preparations] if install else [],
        "first": list(parts.first) if install else [],
        "locks": list(parts.locks) if install else [],
        "headers": list(parts.headers) if install and choice.dkms else [],
        "packages": list(parts.packages) if install else [],
        "files": contents if ours else held,
        "digest": digest if ours else "",
        "dkms": choice.dkms and install,
        "kernel": host.boot_kernel,
        "hold": options.hold,
        "hold_too": list(parts.hold_too),
    }


def _changes(made: Plan, host: Host, choice: Choice, parts: packages.Packages) -> bool:
    """Whether the driver itself changes, and not only a header or a file: servers are stopped first then."""
    here = host.driver_version[:1] == (choice.branch,) and set(parts.packages) <= set(host.packages)
    return "install" in made.due and not here


def _other_reasons(made: Plan, host: Host, facts: Facts, drained: t.Collection[str]) -> None:
    """What stands in the way whatever was chosen."""
    ours = {f"vllm-{name}" for name in drained}
    endangered = [name for name in facts["engine"]["legacy_gpu_containers"] if name not in ours]
    if endangered and {"install", "configure"} & set(made.due):
        made.errors.append(
            f"The containers {', '.join(endangered)} have their GPUs through NVIDIA's legacy hook, and systemd is "
            "reloaded for the "
            "driver's daemons, which takes the GPUs away: stop them first, or recreate them with CDI."
        )
    if "install" in made.due and host.changing:
        made.errors.append(
            f"A rollout of {', '.join(host.changing)} is under way, and the driver would change under it: run this "
            "again when it "
            "has ended."
        )
    if not facts["systemd"] and made.due:
        made.errors.append("The host does not run systemd, which keeps the driver's daemons: use a host that does.")


def _reboot(host: Host, options: DriverOptions, control: Json) -> Json:
    """Whether the host may be rebooted, and what to say where it may not."""
    if control.get("local") or (host.machine is not None and host.machine == control.get("machine")):
        return {
            "allowed": False,
            "because": "it is the control node of this play: reboot it by hand, and run this again.",
        }
    if not options.reboot:
        return {
            "allowed": False,
            "because": f"{PREFIX}reboot is false: set it to true, or reboot the host, and run this again.",
        }
    return {"allowed": True, "because": ""}


def _look_only(made: Plan, host: Host) -> None:
    """What is missing on a host that is not ours to change."""
    if "install" in made.due:
        there = ".".join(map(str, host.driver_version)) or "none"
        made.missing.append(
            f"{host.advice or 'The driver is not the one that is asked for.'} Found driver {there}, right would be "
            f"{made.why}."
        )
    elif "start" in made.due and host.state != "healthy":
        made.missing.append(host.advice)
    elif "configure" in made.due:
        made.missing.append("The power limit or the module's options are not ours to set.")
    if "hold" in made.due and host.packages:
        made.missing.append(
            "The driver's packages are not held: an automatic upgrade can take the GPUs from running containers."
        )
    made.missing += made.errors
    made.errors, made.due = [], []


def _digest(choice: Choice, parts: packages.Packages, contents: t.Mapping[str, str], host: Host) -> str:
    """Of everything that the inventory decides; not of the kernel, which changes with upgrades of its own."""
    said = parts.as_json()
    said["headers"] = []
    said["packages"] = [name for name in parts.packages if not name.endswith(host.boot_kernel)]
    whole = {
        "branch": choice.branch,
        "open": choice.open_modules,
        "origin": choice.origin,
        "files": dict(contents),
        **said,
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
