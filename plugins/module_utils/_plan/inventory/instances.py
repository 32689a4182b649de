# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance as the inventory states it: its keys, their types, their defaults.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
import typing as t

from ..._findings.checks import KEYS as CHECK_KEYS
from ..._findings.checks import Answer, Check
from ..._findings.checks import read as read_answer
from ..._outside.documents import Json
from ..._settings import renamed, types
from ..._settings.canonical_json import kind
from ..._settings.names import INSTANCE_NAME, canonical, meant
from ..._vllm import written_paths
from ..._vllm.openings import unknown
from ..._vllm.schema import VERSION
from ..._vllm.spellings import BESIDE
from . import container_options, images, live_folder
from .api_key import EMPTY, GIVEN
from .inputs import names
from .sampling import SAMPLED

KEYS = (
    "name", "model", "image", "version", "served_model_name", "revision", "profile", "goal", "engine_args", "bind",
    "port", "gpus", "exclusive_group", "active", "api_key", "env", "sampling", "smoke", "timeouts", "on_failure",
    "fallback", "promotion", "watch", "allow_dangerous", "live_adapters", "memory_limit", "container_user",
    *CHECK_KEYS.values(),
)  # fmt: skip
# Keys that people write here and that belong elsewhere.
ELSEWHERE = {
    "metrics_port": "metrics are served at /metrics on the instance's own port, leave it out",
    "host": "write bind",
    "served_name": "write served_model_name",
    "model_name": "write model, or served_model_name for what clients call it",
    **BESIDE,
}
GOALS = ("throughput", "balanced", "latency")
NAME_LENGTH = 63
# Containers of these names are kept beside an instance's own.
NAME_ENDS = ("-held", "-previous", "-resting")
# One segment of a path or of a hub id starts with no hyphen: it would be read as an option.
MODEL_PATH = re.compile(r"/[^:\x00-\x1f]+")
MODEL_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?")


@dataclasses.dataclass(frozen=True)
class Instance:
    """One vLLM server of a host. `gpus` is "auto", a count, or a list of indices and UUIDs.

    `image` and `version` are empty where the host's hold; see images.Planned.
    `api_key` says whether it has one: the key itself is never planned with. `api_key_refused`: it cannot be used, which
    is told already.
    `checks` are those that it states itself, each with how it ends.
    `live_adapters` is the folder whose adapters are loaded while it runs.
    `promotion` are profiles from the safest up, `begins` is the one of them that the inventory begins at.
    """

    name: str
    model: str
    port: int
    served_model_name: tuple[str, ...]
    image: str = ""
    version: str = ""
    revision: str | None = None
    profile: str = ""
    goal: str = "balanced"
    engine_args: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    bind: str = "127.0.0.1"
    gpus: str | int | tuple[int | str, ...] = "auto"
    exclusive_group: str = ""
    active: bool = True
    api_key: bool = False
    api_key_refused: bool = False
    env: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    sampling: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    smoke: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    timeouts: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    on_failure: str = ""
    fallback: t.Any = None
    promotion: tuple[str, ...] = ()
    begins: str = ""
    watch: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    checks: t.Mapping[Check, Answer] = dataclasses.field(default_factory=dict)
    allow_dangerous: tuple[str, ...] = ()
    live_adapters: str = ""
    memory_limit_mib: int = 0
    container_user: str = ""

    @property
    def owner(self) -> str:
        """Who holds its GPUs: instances of one exclusive group share them."""
        return f"group {self.exclusive_group}" if self.exclusive_group else self.name


class Reader:
    """Reads the keys of one instance and collects what is wrong with them."""

    def __init__(self, given: Json, where: str, errors: list[str]) -> None:
        self.given, self.where, self.errors = given, where, errors

    def at(self, key: str) -> str:
        """Where a message begins that is about this key."""
        return f"{self.where}: {key}"

    def wrong(self, text: str) -> None:
        self.errors.append(f"{self.where}: {text}")

    def text(self, key: str, default: str = "") -> str:
        value = self.given.get(key)
        if types.is_blank(value):
            return default
        if isinstance(value, str):
            return value
        self.wrong(f"{key} is {value!r}: write a text, in quotes.")
        return default

    def required(self, key: str) -> str:
        if types.is_blank(self.given.get(key)):
            self.wrong(f"{key} is {'empty' if key in self.given else 'missing'}: every instance needs one.")
        return self.text(key)

    def number(self, key: str, least: int, most: int) -> int:
        value = self.given.get(key)
        if types.is_blank(value):
            self.wrong(f"{key} is {'empty' if key in self.given else 'missing'}: every instance needs one.")
            return 0
        try:
            found = types.whole(value)
        except types.WrongError:
            found = least - 1
        if least <= found <= most:
            return found
        self.wrong(f"{key} is {value!r}: write a whole number from {least} to {most}.")
        return 0

    def mapping(self, key: str) -> Json:
        return types.stated(types.mapping, self.given.get(key), self.at(key), self.errors, {})

    def switch(self, key: str, default: bool) -> bool:
        return types.stated(types.switch, self.given.get(key), self.at(key), self.errors, default)


def read(
    given: t.Any, position: int, defaults: Json, errors: list[str], arguments: t.Container[str] = ()
) -> Instance | None:
    """The instance, or None where it cannot be told which one is meant. What is wrong is added to `errors`.

    ARGUMENTS: engine arguments of any release, which people write beside `engine_args` too.
    """
    if not isinstance(given, dict):
        # Never the value: somebody's API key may be in it.
        errors.append(f"instance {position}: it is of type {kind(given)}, write a mapping with name, model and port.")
        return None
    where = f"instance {given.get('name') or position}"
    reader = Reader({**defaults, **given}, where, errors)
    _known_keys(given, reader, arguments)
    name = _name(reader)
    instance = Instance(
        name=name,
        model=_model(reader),
        port=reader.number("port", 1, 65535),
        served_model_name=_served(reader, name),
        image=_image(reader),
        version=_version(reader),
        revision=_revision(reader),
        profile=reader.text("profile"),
        goal=_goal(reader),
        engine_args=reader.mapping("engine_args"),
        bind=_address(reader),
        gpus=_gpus(reader),
        exclusive_group=reader.text("exclusive_group"),
        active=reader.switch("active", True),
        api_key=reader.given.get("api_key") is not None,
        api_key_refused=_api_key_refused(reader),
        env=reader.mapping("env"),
        sampling=reader.mapping("sampling"),
        smoke=reader.mapping("smoke"),
        timeouts=reader.mapping("timeouts"),
        on_failure=reader.text("on_failure"),
        fallback=None if types.is_blank(given.get("fallback")) else given.get("fallback") or None,
        promotion=names(reader.at("promotion"), reader.given.get("promotion"), errors),
        watch=reader.mapping("watch"),
        checks=_checks(reader),
        allow_dangerous=_allowed(reader),
        live_adapters=_live_adapters(reader),
        memory_limit_mib=container_options.memory_limit(
            reader.given.get("memory_limit"), reader.at("memory_limit"), errors
        ),
        container_user=container_options.user(reader.given.get("container_user"), reader.at("container_user"), errors),
    )
    return instance if name else None


def _known_keys(given: Json, reader: Reader, arguments: t.Container[str]) -> None:
    """Refuses what is no key of an instance."""
    for key in given:
        if key in renamed.INSTANCE_KEYS:
            reader.wrong(f"there is no key {key}: {renamed.told(renamed.INSTANCE_KEYS[key])}.")
        elif key not in KEYS:
            reader.wrong(f"there is no key {key}.{_elsewhere(str(key), arguments)}")


def _elsewhere(key: str, arguments: t.Container[str]) -> str:
    """Where a key belongs that is none of an instance."""
    text = ELSEWHERE.get(key, "")
    if key in SAMPLED and key != "seed":
        text = "write it under sampling"
    elif not text and canonical(key) in arguments:
        text = "it is an engine argument: write it under engine_args"
    return f" {text[0].upper()}{text[1:]}." if text else meant(key, KEYS)


def _name(reader: Reader) -> str:
    name = reader.required("name")
    if name and not INSTANCE_NAME.fullmatch(name):
        reader.wrong(
            f"the name '{name}' is not usable: write small letters, digits and hyphens, a letter or digit first."
        )
    if len(name) > NAME_LENGTH or name.endswith(NAME_ENDS):
        reader.wrong(
            f"the name '{name}' is not usable: write at most {NAME_LENGTH} characters that do not end in "
            f"{', '.join(NAME_ENDS[:-1])} or {NAME_ENDS[-1]}."
        )
    return name


def _model(reader: Reader) -> str:
    model = reader.required("model").strip()
    if model and not MODEL_PATH.fullmatch(model) and not MODEL_ID.fullmatch(model):
        reader.wrong(
            f"model is '{model}': write a path on the host that starts with / and has no colon, or a hub's id such as "
            "Qwen/Qwen3-8B."
        )
    return model


def _image(reader: Reader) -> str:
    image = reader.text("image").strip()
    wrong = images.problem(image) if image else ""
    if wrong:
        reader.wrong(f"image {wrong}")
    return "" if wrong else image


def _revision(reader: Reader) -> str | None:
    stated = reader.text("revision").strip()
    wrong = written_paths.revision(stated)
    if wrong:
        reader.wrong(f"revision {wrong}")
    return None if wrong else stated or None


def _version(reader: Reader) -> str:
    version = reader.text("version").strip()
    if version and not VERSION.fullmatch(version):
        reader.wrong(f"version is '{version}': write the vLLM release that its image holds, such as 0.32.0.")
        return ""
    return version


def _served(reader: Reader, name: str) -> tuple[str, ...]:
    value = reader.given.get("served_model_name")
    if types.is_blank(value) or value == []:
        return (name,)
    names = value if isinstance(value, list) else [value]
    if all(isinstance(item, str) and item and not item.startswith("-") for item in names):
        return tuple(names)
    reader.wrong(f"served_model_name is {value!r}: write a list of texts, none of them empty or with a hyphen first.")
    return (name,)


def _api_key_refused(reader: Reader) -> bool:
    """Reads the word that stands in the key's place, and never tells a value."""
    word = reader.given.get("api_key")
    if word == EMPTY:
        reader.wrong("api_key is empty: state one, or leave it out to serve without a key.")
    elif word not in (None, GIVEN):
        reader.wrong(
            "api_key is not usable (it is not shown): write a text of 16 characters or more, or a list of them, of "
            "letters, digits and ._~+/-, no hyphen first."
        )
    return word not in (None, GIVEN)


def _goal(reader: Reader) -> str:
    goal = reader.text("goal", "balanced")
    if goal not in GOALS:
        reader.wrong(f"goal is '{goal}': write {', '.join(GOALS[:-1])} or {GOALS[-1]}.{meant(goal, GOALS)}")
        return "balanced"
    return goal


def _checks(reader: Reader) -> dict[Check, Answer]:
    """Those that the instance states itself."""
    found: dict[Check, Answer] = {}
    for check, key in CHECK_KEYS.items():
        answer = read_answer(reader.given.get(key), reader.at(key), reader.errors)
        if answer:
            found[check] = answer
    return found


def _allowed(reader: Reader) -> tuple[str, ...]:
    """Names of what it may have although that opens something."""
    found = names(reader.at("allow_dangerous"), reader.given.get("allow_dangerous"), reader.errors)
    for text in unknown("allow_dangerous", found):
        reader.wrong(text)
    return found


def _live_adapters(reader: Reader) -> str:
    folder = reader.text("live_adapters").strip()
    wrong = live_folder.problem(folder) if folder else ""
    if wrong:
        reader.wrong(f"live_adapters is '{folder}'{wrong}")
    return "" if wrong else folder.rstrip("/")


def _address(reader: Reader) -> str:
    bind = reader.text("bind", "127.0.0.1")
    try:
        return str(ipaddress.ip_address(bind))
    except ValueError:
        reader.wrong(f"bind is '{bind}': {_better(bind)}.")
        return "127.0.0.1"


def _better(bind: str) -> str:
    """What to write in place of what is no address."""
    bare = bind.strip().removeprefix("[").partition("]")[0]
    try:
        return f"write the address alone, {ipaddress.ip_address(bare)}"
    except ValueError:
        return "write an address of the host such as 127.0.0.1 or 0.0.0.0, not a name"


def _gpus(reader: Reader) -> str | int | tuple[int | str, ...]:
    value = reader.given.get("gpus")
    if types.is_blank(value) or value == "auto":
        return "auto"
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    whole = (
        isinstance(value, list)
        and value
        and all(isinstance(item, (int, str)) and not isinstance(item, bool) and item != "" for item in value)
    )
    if not whole:
        reader.wrong(f"gpus is {value!r}: write auto, a count above 0, or a list of indices or UUIDs.")
        return "auto"
    return tuple(
        int(item) if isinstance(item, str) and item.isdecimal() else item for item in t.cast(list[t.Any], value)
    )
