# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of Docker that the role's variables ask for, in the words of daemon.json.

What an inventory states is demanded. Where it states nothing, a default of ours holds, which yields to what a host has.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

from .._docker.shapes import mapping
from .._outside.documents import Json
from .._settings import secret_values
from .._settings.masking import masked
from . import daemon_json
from .daemon_json import VARIABLES

# What is asked for where nothing is stated; docs/prepare.md and the role's argument specification say so too.
DEFAULTS: t.Final[Json] = {"live_restore": True, "log_max_size": "50m", "log_max_files": 3, "nofile": 1048576}
ORDER = tuple(VARIABLES)
# Log drivers that write the files which max-size and max-file are about. Docker does not start with them for another.
ROTATED = ("json-file", "local")


class Host(t.NamedTuple):
    """What a default depends on: settings of others and those of ours that are in the file, how many open files can be
    given, and whether it is a node of a swarm."""

    theirs: Json
    kept: Json
    nofile_most: int | None = None
    swarm: bool = False


BARE: t.Final = Host({}, {})


class Wanted(t.NamedTuple):
    """What is demanded, and what is only our default where nobody says otherwise."""

    stated: Json
    defaults: Json

    @property
    def all(self) -> Json:
        together = daemon_json.combined(self.defaults, self.stated)
        keys = [*(key for key in ORDER if key in together), *(key for key in together if key not in ORDER)]
        return {key: together[key] for key in keys}


def states(asked: Json, name: str) -> bool:
    """Whether the inventory says anything of an option."""
    return asked[name] not in (None, "")


def wanted(asked: Json, gpus: bool, host: Host = BARE) -> Wanted:
    """daemon.json as far as it is ours."""
    options = dict(asked["daemon_options"] or {})
    stated, defaults = _logging(asked, host, options)
    for name, setting in (("live_restore", _live_restore), ("nofile", _nofile)):
        if states(asked, name):
            stated.update(setting(asked[name]))
        else:
            defaults.update(setting(_default(name, host)))
    if states(asked, "data_root"):
        stated["data-root"] = asked["data_root"]
    if asked["insecure_registries"]:
        stated["insecure-registries"] = list(asked["insecure_registries"])
    if asked["registry_mirrors"]:
        stated["registry-mirrors"] = list(asked["registry_mirrors"])
    if states(asked, "cgroup_driver"):
        stated["exec-opts"] = [f"native.cgroupdriver={asked['cgroup_driver']}"]
    if gpus:
        # On by default from 28.2 on, and harmless there.
        options["features"] = {**options.get("features", {}), "cdi": True}
    stated = {**stated, **options}
    # A setting that the inventory states as an option of the daemon is no default of ours any more, and one that takes
    # over somebody else's is asked for by name.
    defaults = daemon_json.yielding(defaults, daemon_json.combined(host.theirs, stated))
    taken = daemon_json.named(defaults, asked["take_over"] or [])
    return Wanted(daemon_json.combined(taken, stated), defaults)


def _default(name: str, host: Host) -> t.Any:
    if name == "live_restore" and host.swarm:
        # Docker takes it by a reload, and does not start with it at the next boot.
        return False
    if name == "nofile" and host.nofile_most is not None:
        return min(DEFAULTS[name], host.nofile_most)
    return DEFAULTS[name]


def _live_restore(on: bool) -> Json:
    return {"live-restore": True} if on else {}


def _nofile(limit: int) -> Json:
    return {"default-ulimits": {"nofile": {"Name": "nofile", "Hard": limit, "Soft": limit}}} if limit else {}


def _logging(asked: Json, host: Host, options: Json) -> tuple[Json, Json]:
    """What is demanded of the files of logs, and what is our default."""
    size, files = asked["log_max_size"], asked["log_max_files"]
    names = {"max-size": (size, DEFAULTS["log_max_size"]), "max-file": (files, DEFAULTS["log_max_files"])}
    demanded = {name: str(value) for name, (value, _default) in names.items() if value not in (None, "")}
    if str(size) == "0":
        return {}, {}
    driver = options.get("log-driver", host.theirs.get("log-driver"))
    limits = {**mapping(host.theirs.get("log-opts")), **mapping(options.get("log-opts"))}
    rest = {name: str(default) for name, (_value, default) in names.items() if name not in demanded}
    ours = {} if driver in ROTATED else {"log-driver": "json-file"}
    if not demanded:
        defaults = {**ours, "log-opts": rest}
        if driver in (None, "json-file") and "max-size" not in limits:
            return {}, defaults
        # Somebody else decides on logs here; what is ours of them stays, as long as Docker starts with it.
        return {}, daemon_json.present(host.kept, defaults) if driver in (None, *ROTATED) else {}
    return {**ours, "log-opts": demanded}, {"log-opts": rest} if rest else {}


def mistakes(asked: Json, gpus: bool, host: Host = BARE) -> list[str]:
    """What is wrong with the variables, a sentence each."""
    options = asked["daemon_options"] or {}
    wrong = [
        f"container_runtime_daemon_options has {key}, which {variable} sets: remove it from one of the two."
        for key, variable in VARIABLES.items()
        if key in options and _is_set(asked, variable)
    ]
    for name, value in asked.items():
        wrong += secret_values.errors(f"container_runtime_{name}", value)
    wrong += _wrong_numbers(asked, host)
    if host.swarm and (asked["live_restore"] is True or options.get("live-restore") is True):
        wrong.append(
            "live-restore is asked for, and this host is a node of a swarm, where Docker does not start with it at its "
            "next boot: set container_runtime_live_restore to false for this host."
        )
    if states(asked, "data_root") and not str(asked["data_root"]).startswith("/"):
        wrong.append(f"container_runtime_data_root is {asked['data_root']!r}, expected an absolute path: correct it.")
    wrong += _wrong_registries(asked)
    features = options.get("features", {})
    if not isinstance(features, dict):
        wrong.append("container_runtime_daemon_options has features, expected a mapping: correct it.")
    elif gpus and features.get("cdi", True) is not True:
        wrong.append("container_runtime_daemon_options switches features.cdi off, which the GPUs need: remove it.")
    return wrong


def _wrong_numbers(asked: Json, host: Host) -> list[str]:
    """Sizes and counts: of logs, and of open files."""
    wrong = []
    size, files, nofile = asked["log_max_size"], asked["log_max_files"], asked["nofile"]
    if states(asked, "log_max_size") and not re.fullmatch(r"\d+[kmg]|0", str(size)):
        wrong.append(
            f"container_runtime_log_max_size is {str(size)!r}, expected a number with k, m or g, or 0: correct it."
        )
    if states(asked, "log_max_files") and files < 1:
        wrong.append(f"container_runtime_log_max_files is {files}, expected at least 1: correct it.")
    if states(asked, "nofile") and nofile < 0:
        wrong.append(f"container_runtime_nofile is {nofile}, expected 0 or more: correct it.")
    if states(asked, "nofile") and host.nofile_most is not None and nofile > host.nofile_most:
        wrong.append(
            f"container_runtime_nofile is {nofile}, and this host cannot go beyond {host.nofile_most}: no container "
            f"would start. Set it to {host.nofile_most} at most, or to 0."
        )
    return wrong


def _wrong_registries(asked: Json) -> list[str]:
    """Addresses of mirrors and of registries without TLS."""
    wrong = [
        f"container_runtime_registry_mirrors has {masked(str(mirror))!r}, expected http:// or https:// in front: "
        "correct it."
        for mirror in asked["registry_mirrors"] or []
        if not str(mirror).startswith(("http://", "https://"))
    ]
    wrong += [
        f"container_runtime_insecure_registries has {masked(registry)!r}, expected host or host:port: correct it."
        for registry in asked["insecure_registries"] or []
        if not registry or "://" in str(registry)
    ]
    return wrong


def _is_set(asked: Json, variable: str) -> bool:
    value = asked[variable.replace("container_runtime_", "")]
    return bool(value) and str(value) != "0"
