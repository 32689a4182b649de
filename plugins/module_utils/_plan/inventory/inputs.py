# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the planner is given about one host, as plain JSON.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..._findings import checks
from ..._findings.findings import UnknownArguments
from ..._gpu.fact import Facts
from ..._outside.concealing import concealed
from ..._outside.documents import Json
from ..._settings import model_sources, secret_values, types
from ..._settings.canonical_json import plain
from ..._settings.names import canonical, meant
from ..._state.observed import Observed
from ..._vllm import openings
from . import images
from .api_key import withheld
from .sampling import SAMPLED

PROFILE_KEYS = ("description", "engine_args", "sampling", "smoke")


# What people call the arguments of the plan that are variables of roles.
VARIABLES: t.Final = {
    "host_class": "gpu_detect_host_class",
    **{
        name: f"vllm_server_{name}"
        for name in (
            *("image", "version", "instances", "class_engine_args", "class_limits", "environment_engine_args"),
            *("profiles", "retry", "remove_unlisted", "promotion", "unknown_arguments", "active"),
        )
    },
}
# Files of our own, and what a model's files say.
NO_TEXTS_OF_PEOPLE = ("advisories", "catalogue", "files", "fingerprints", "models")

# vLLM's workers share memory; Docker's own 64 MiB make it exit.
SHM_MIB = 2048
UNITS = {"": 1, "m": 1, "g": 1024}
IPC = ("private", "host")


class Keys(t.Protocol):
    """The part of an instance that is used here."""

    @property
    def name(self) -> str: ...

    @property
    def image(self) -> str: ...

    @property
    def version(self) -> str: ...


@dataclasses.dataclass(frozen=True)
class Inputs:
    """The arguments of vllm_plan.

    `history` and `readings` are the schemas that its directory holds, `catalogue` and `advisories` the files' content,
    `fingerprints` tell API keys apart, by instance; `files` are what was found at the paths that arguments name.
    `promotion` is that of instances which state none; `promoted` are profiles that take the place of where they stand;
    with `promote` the target instance says which one is promoted. `apply_hardening` restarts what serves with older
    container settings. `target_version` is that of the target instance; where there is none, `version` has it already.
    """

    instances: list[t.Any]
    image: str
    version: str
    host_class: str
    facts: Facts
    history: Json
    readings: t.Mapping[str, Json] = dataclasses.field(default_factory=dict)
    class_engine_args: Json = dataclasses.field(default_factory=dict)
    class_limits: Json = dataclasses.field(default_factory=dict)
    environment_engine_args: Json = dataclasses.field(default_factory=dict)
    profiles: Json = dataclasses.field(default_factory=dict)
    models: Json = dataclasses.field(default_factory=dict)
    files: Json = dataclasses.field(default_factory=dict)
    settings: Json = dataclasses.field(default_factory=dict)
    catalogue: Json = dataclasses.field(default_factory=dict)
    advisories: Json = dataclasses.field(default_factory=dict)
    unknown_arguments: UnknownArguments = "refuse"
    retry: bool = False
    remove_unlisted: bool = False
    fingerprints: Json = dataclasses.field(default_factory=dict)
    target_instance: str = ""
    target_profile: str = ""
    target_version: str = ""
    stated_version: str = ""
    promotion: tuple[str, ...] = ()
    promoted: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    promote: bool = False
    apply_hardening: bool = False
    active: tuple[str, ...] = ()

    def of(self, instance: Keys) -> Inputs:
        """The same host as one instance has it: with its own image and version."""
        host = images.Planned(self.image, self.version)
        planned = images.own(instance.image, instance.version, host)
        if self.target_instance == instance.name:
            planned = images.moved(planned, self.target_version)
        elif self.target_instance and not self.promote and planned == host:
            planned = self._serves(instance.name) or host
        return dataclasses.replace(self, image=planned.image, version=planned.version)

    def _serves(self, name: str) -> images.Planned | None:
        """What the verified release of an instance has."""
        release = ((self.observed.get(name) or {}).get("current") or {}).get("release")
        return images.Planned(release["image"], release["version"]) if release else None

    @property
    def image_id(self) -> str | None:
        """The id behind the image's name on the host, where it is there."""
        found = (self.facts.get("images") or {}).get(self.image)
        return found.get("id") if found else None

    @property
    def observed(self) -> dict[str, Observed]:
        """What the host shows of its instances, by name."""
        seen = t.cast("t.Sequence[Observed]", self.facts.get("instances") or [])
        return {one["name"]: one for one in seen}


def read(args: t.Mapping[str, t.Any], history: Json, readings: t.Mapping[str, Json], errors: list[str]) -> Inputs:
    """Inputs from a task's arguments; what is wrong with them is added to `errors`."""
    given = {
        key: plain(withheld(value) if key == "instances" else value, VARIABLES.get(key, key), errors)
        for key, value in args.items()
    }
    given = {key: value if key in NO_TEXTS_OF_PEOPLE else _open(key, value, errors) for key, value in given.items()}
    given = {**given, **_of_the_first(given)}
    target = _mapping(given, "target", errors)
    stated = _text(given, "version", errors)
    aimed, instance = str(target.get("version") or ""), str(target.get("instance") or "")
    version = (stated or aimed) if instance else (aimed or stated)
    _must_be_stated(given, version, errors)
    return Inputs(
        instances=_instances(given, errors),
        image=_text(given, "image", []),
        version=version,
        host_class=_text(given, "host_class", []),
        facts=t.cast(Facts, _mapping(given, "facts", errors)),
        history=history,
        readings=readings,
        class_engine_args=_mapping(given, "class_engine_args", errors),
        class_limits={canonical(name): limit for name, limit in _mapping(given, "class_limits", errors).items()},
        environment_engine_args=_mapping(given, "environment_engine_args", errors),
        profiles=_profiles(given, history.get("arguments", ()), errors),
        models={**_models_of(_mapping(given, "files", [])), **_mapping(given, "models", errors)},
        files=_mapping(given, "files", errors),
        settings=_settings(given, errors),
        catalogue=_mapping(_mapping(given, "catalogue", errors), "models", errors),
        advisories=_mapping(given, "advisories", errors),
        unknown_arguments=_choice(given, errors),
        retry=switch(given.get("retry"), "vllm_server_retry", errors),
        remove_unlisted=switch(given.get("remove_unlisted"), "vllm_server_remove_unlisted", errors),
        apply_hardening=switch(given.get("apply_hardening"), "vllm_server_apply_hardening", errors),
        fingerprints=_mapping(given, "fingerprints", errors),
        target_instance=instance,
        target_version=aimed if instance else "",
        target_profile=str(target.get("profile") or ""),
        stated_version=stated,
        promotion=names("vllm_server_promotion", given.get("promotion"), errors),
        active=names("vllm_server_active", given.get("active"), errors),
    )


def _of_the_first(given: Json) -> Json:
    """Those of a host that states neither, where each instance states both, as after playbooks/adopt.yml."""
    instances = given.get("instances")
    keys = ("image", "version")
    if not isinstance(instances, list) or not instances or not all(_missing(given, key) for key in keys):
        return {}
    each = all(isinstance(one, dict) and all(one.get(key) for key in keys) for one in instances)
    return {key: instances[0][key] for key in keys} if each else {}


def _must_be_stated(given: Json, version: str, errors: list[str]) -> None:
    """What nothing can be planned without. VERSION: as the inventory or a target states it."""
    for key, text in (("image", "the image that runs"), ("host_class", "the host's class, such as gpu_12gb or cpu")):
        if _missing(given, key):
            errors.append(f"{VARIABLES.get(key, key)} is empty: state {text}.")
        stated_text = _text(given, key, errors)
        wrong = images.problem(stated_text) if key == "image" and stated_text else ""
        errors += [f"{VARIABLES[key]} {wrong}"] if wrong else []
    if not version and _missing(given, "version"):
        errors.append(
            "vllm_server_version is empty: state the vLLM release that the image was built from, such as 0.32.0."
        )


def _models_of(files: Json) -> Json:
    """Drafters and other models among the files that arguments name, as vllm_model would have told of them."""
    return {path: fact["model"] for path, fact in files.items() if isinstance(fact, dict) and fact.get("model")}


def _open(key: str, value: t.Any, errors: list[str]) -> t.Any:
    """The value without secrets, which are refused: so no message, plan or diff can have one."""
    if key != "facts":  # which may tell of releases from before they were refused
        errors += secret_values.errors(key, value)
    found = concealed(value)
    if key == "instances" and isinstance(value, list):
        # Their api_key is a word that says whether there is one.
        has_one = (isinstance(had, dict) and "api_key" in had for had in value)
        return [{**one, "api_key": had["api_key"]} if has else one for has, had, one in zip(has_one, value, found)]
    return found


def names(where: str, value: t.Any, errors: list[str]) -> tuple[str, ...]:
    """A list of names, also as the text with commas that a survey sends."""
    if types.is_blank(value):
        return ()
    found = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if isinstance(found, list) and all(isinstance(name, str) and name for name in found):
        return tuple(found)
    errors.append(f"{where} is {value!r}: write a list of names, none of them empty.")
    return ()


def mib(size: int | str) -> int:
    """MiB of `2048`, `512m` or `2g`; 0 for what is no size."""
    match = re.fullmatch(r"(\d+)\s*([mg]?)(?:i?b)?", str(size).strip().lower())
    return int(match[1]) * UNITS[match[2]] if match else 0


def switch(value: t.Any, key: str, errors: list[str]) -> bool:
    """A boolean, also as the text that `-e key=false` sends; nothing is False."""
    return types.stated(types.switch, value, key, errors, False)


# Docker takes a word without a slash for a volume of that name, in which caches lie as well.
FOLDERS: t.Final = {"hub_dir": r"/[^:]*", "cache_dir": r"/[^:]*|[A-Za-z0-9][\w.-]+"}


def _settings(given: Json, errors: list[str]) -> Json:
    settings = dict(_mapping(given, "settings", errors))
    for key, name in (("shm_size_mib", "vllm_server_shm_size_mib"), ("shm_size", "settings.shm_size")):
        if not types.is_blank(settings.get(key)) and mib(settings[key]) == 0:
            size = ", or a size such as 2g" if key == "shm_size" else ""
            errors.append(f"{name} is {settings[key]!r}: write MiB as a number above 0{size}.")
    for key, shape in FOLDERS.items():
        if not types.is_blank(settings.get(key)) and not re.fullmatch(shape, str(settings[key])):
            errors.append(f"vllm_server_{key} is {settings[key]!r}: write an absolute path on the host.")
    if (settings.get("ipc") or "private") not in IPC:
        errors.append(f"vllm_server_ipc is {settings['ipc']!r}: write private or host.")
    for key in ("smoke", "timeouts", "watch"):
        settings[key] = _mapping(settings, key, errors, "vllm_server_")
    for key in ("env", "defaults"):
        settings[key] = _mapping(settings, key, errors, "settings.")
    settings["accept_advisories"] = switch(settings.get("accept_advisories"), "vllm_server_accept_advisories", errors)
    settings["hub_offline"] = switch(settings.get("hub_offline"), "vllm_server_hub_offline", errors)
    settings["fallback_shorter"] = switch(settings.get("fallback_shorter"), "vllm_server_fallback_shorter", errors)
    asked = settings.get("ask_parser")
    settings["ask_parser"] = True if types.is_blank(asked) else switch(asked, "vllm_server_ask_parser", errors)
    steps = settings.get("fallback_steps")
    if not types.is_blank(steps):
        settings["fallback_steps"] = _count(steps, "vllm_server_fallback_steps", errors)
    for key in checks.KEYS.values():
        settings[key] = checks.read(settings.get(key), f"vllm_server_{key}", errors)
    settings["model_sources"] = model_sources.read(settings.get("model_sources"), errors)
    settings["allow_trust_remote_code"] = models_allowed(settings.get("allow_trust_remote_code"), errors)
    settings["allow_dangerous"] = names(openings.ALLOW, settings.get("allow_dangerous"), errors)
    errors += openings.unknown(openings.ALLOW, settings["allow_dangerous"])
    return settings


def _count(value: t.Any, key: str, errors: list[str]) -> int:
    """A whole number of 0 or more, also as the digits that a survey sends."""
    try:
        found = types.whole(value)
    except types.WrongError:
        found = -1
    if found < 0:
        errors.append(f"{key} is {value!r}: write a whole number of 0 or more.")
    return max(found, 0)


def models_allowed(value: t.Any, errors: list[str]) -> bool | list[str]:
    """Some models, all or none. A text that is no switch has their names."""
    wrong: list[str] = []
    found: bool | list[str] = switch(value, "", wrong)
    if not wrong:
        return found
    try:
        models = types.items(value)
    except types.WrongError:
        models = [value]
    if all(isinstance(item, str) for item in models):
        return [item.strip() for item in models]
    errors.append(f"vllm_server_allow_trust_remote_code is {value!r}: write a list of models, or true or false.")
    return False


def _missing(given: Json, key: str) -> bool:
    return types.is_blank(given.get(key))


def _text(given: Json, key: str, errors: list[str]) -> str:
    value = given.get(key)
    if value is None or isinstance(value, str):
        return (value or "").strip()
    errors.append(f"{VARIABLES.get(key, key)} is {value!r}: put it in quotes, YAML reads it as a number.")
    return ""


def _mapping(given: Json, key: str, errors: list[str], where: str = "") -> Json:
    name = f"{where or VARIABLES.get(key, key)[: -len(key)]}{key}"
    return types.stated(types.mapping, given.get(key), name, errors, {})


def _instances(given: Json, errors: list[str]) -> list[t.Any]:
    value = given.get("instances")
    if types.is_blank(value):
        return []
    if not isinstance(value, list):
        errors.append("vllm_server_instances is no list: write one mapping for each vLLM server.")
        return []
    return value


def _profiles(given: Json, arguments: t.Container[str], errors: list[str]) -> Json:
    profiles = _mapping(given, "profiles", errors)
    found = {}
    for name, profile in profiles.items():
        if not isinstance(profile, dict):
            errors.append(f"profile {name}: it is {profile!r}, write a mapping with engine_args.")
            continue
        for key in profile:
            if key not in PROFILE_KEYS:
                errors.append(f"profile {name}: there is no key {key}.{_meant(key, arguments)}")
        inner: list[str] = []
        found[name] = {key: _mapping(profile, key, inner) for key in PROFILE_KEYS[1:]}
        errors += [f"profile {name}: {text}" for text in inner]
    return found


def _meant(key: str, arguments: t.Container[str]) -> str:
    """Where a key of a profile belongs that is none."""
    if key in SAMPLED:
        return " Write it under sampling."
    if canonical(key) in arguments:
        return " It is an engine argument: write it under engine_args."
    return meant(key, PROFILE_KEYS)


def _choice(given: Json, errors: list[str]) -> UnknownArguments:
    value = given.get("unknown_arguments") or "refuse"
    if value not in ("refuse", "warn"):
        errors.append(f"vllm_server_unknown_arguments is {value!r}: write refuse or warn.")
    return "warn" if value == "warn" else "refuse"
