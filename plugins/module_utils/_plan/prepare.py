# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One instance resolved: its arguments with their origin, its environment, and what to heed.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._docker.release import Release
from .._findings.checks import Doubt
from .._findings.findings import Findings
from .._outside.documents import Json
from .._settings.names import listed, meant, nearest
from .._state.deadlines import TIMEOUTS
from .._state.observed import Kept
from .._vllm import live_adapters
from .._vllm.schema import Schema, version_key
from . import profile_smoke
from .arguments import auto_profile, environment, layers, limits
from .arguments.layers import Layer, Resolved
from .arguments.translate import translate
from .checks import dangers, formats, instance_checks
from .inventory import rollout_settings, sampling
from .inventory.inputs import Inputs
from .inventory.instances import Instance
from .memory import catalogue
from .memory.catalogue import Model
from .model.positions import longest

# In vLLM from 0.18.0.
DRAIN = "shutdown_timeout"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An instance before GPUs are assigned to it. `doubts` are settled once it is known what serves.

    `meant` are arguments whose names are refused, by the names that were probably meant: what follows is judged with
    them, so that one mistake is told once. `demands` is the smoke test as it is stated, whatever the model is.
    """

    instance: Instance
    arguments: tuple[Resolved, ...]
    variables: t.Mapping[str, str]
    sampling: Json
    warnings: tuple[str, ...]
    model: Model
    schema: Schema
    meant: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    drafter: Model | None = None
    demands: Json = dataclasses.field(default_factory=dict)

    def values(self) -> Json:
        """Arguments that are set, by name."""
        return {**self.meant, **{argument.name: argument.value for argument in self.arguments if argument.set}}


def prepare(
    instance: Instance, inputs: Inputs, schema: Schema, errors: list[str], gpus: int = 0, above: Layer | None = None
) -> Prepared:
    """What is wrong is added to `errors`, each sentence with its place. GPUS: how many the instance can count on.

    ABOVE: a layer above all others, as a profile of a promotion is.
    """
    findings = Findings(inputs.unknown_arguments, where=f"instance {instance.name}")
    model = catalogue.look_up(instance.model, inputs.models, inputs.catalogue)
    instance, moved = _environment(instance, inputs, schema, findings)
    chosen = _chosen(instance, model, gpus, inputs, findings)
    given = [*_layers(instance, inputs, schema, findings, moved.engine_args, chosen), *([above] if above else [])]
    found = _bounded(_drained(given, instance, inputs, schema), inputs, schema, model, findings)
    found, allowed = dangers.judge(found, moved.variables, instance, inputs, schema, findings)
    guessed = _meant(found, schema, findings)
    values = {**guessed, **{argument.name: argument.value for argument in found if argument.set}}
    demanded = profile_smoke.demanded(instance, inputs, targeted(instance, inputs), values, model)
    instance = demanded.instance
    smoke = rollout_settings.merged(instance, inputs.settings, [])["smoke"]
    case = instance_checks.Case(instance, values, moved.variables, model, schema, smoke)
    _judge(case, demanded, inputs, findings)
    told = _sampling(instance, inputs, moved.sampling, _length(instance, values, inputs, model), findings)
    notes = [chosen.why, *instance_checks.notes(case, allowed), sampling.left_to_the_model(told, values)]
    errors += findings.errors
    return Prepared(
        instance=instance,
        arguments=tuple(found),
        variables=moved.variables,
        meant=guessed,
        sampling=told,
        warnings=tuple(dict.fromkeys(findings.warnings)),
        model=model,
        schema=schema,
        drafter=catalogue.drafter(values, inputs.models, inputs.catalogue),
        doubts=tuple(findings.doubts),
        notes=tuple(filter(None, notes)),
        demands=demanded.stated,
    )


def _bounded(
    given: t.Sequence[Layer], inputs: Inputs, schema: Schema, model: Model, findings: Findings
) -> list[Resolved]:
    """Layers on top of each other, of known names and values, within the limits of the host's class."""
    found = layers.check(layers.resolve(given, schema), schema, findings, model.config)
    length = longest(model.config)
    return limits.hold(found, inputs.class_limits, inputs.host_class, schema, length, findings)


def _judge(case: instance_checks.Case, demanded: profile_smoke.Demanded, inputs: Inputs, findings: Findings) -> None:
    """What its checks find, each sentence with its place."""
    where = findings.where
    findings.doubts += [
        doubt._replace(text=f"{where}{demanded.place(doubt.text)}: {doubt.text}")
        for doubt in instance_checks.doubts(case, inputs)
    ]
    unread = formats.problem(case.model, case.values, case.schema)
    if unread:
        findings.unknown_value("quantization", f"{where}: {unread}")
    findings.errors += [f"{where}{demanded.place(text)}: {text}" for text in instance_checks.errors(case, inputs)]
    cautions = [*demanded.left_out, *instance_checks.cautions(case, inputs)]
    findings.warnings += [f"{where}: {text}" for text in cautions]


def _meant(found: t.Sequence[Resolved], schema: Schema, findings: Findings) -> Json:
    """Values of names that the release does not have, by the nearest name that it has."""
    if findings.unknown == "warn":
        return {}
    guesses = {one.name: nearest(one.name, schema.arguments) for one in found if one.name not in schema.arguments}
    return {guess: one.value for one in found if one.set and (guess := guesses.get(one.name))}


def _drained(given: list[Layer], instance: Instance, inputs: Inputs, schema: Schema) -> list[Layer]:
    """An engine that can end by itself what it has taken, does so for as long as `timeouts.drain` states."""
    stated = rollout_settings.merged(instance, inputs.settings, [])["timeouts"]
    seconds = stated.get("drain", TIMEOUTS["drain"])
    if not seconds or DRAIN not in schema.arguments:
        return given
    return [Layer("timeouts.drain", {DRAIN: seconds}, f"instance {instance.name}, timeouts.drain"), *given]


def _chosen(instance: Instance, model: Model, gpus: int, inputs: Inputs, findings: Findings) -> auto_profile.Choice:
    """What `profile: auto` amounts to; nothing where a profile is named. A profile of one's own may be called auto."""
    wanted = inputs.target_profile if targeted(instance, inputs) else instance.profile
    if wanted != auto_profile.AUTO or wanted in inputs.profiles:
        return auto_profile.NOTHING
    return auto_profile.choose(instance, model, gpus, inputs.facts, inputs.profiles, inputs.class_limits, findings)


def targeted(instance: Instance, inputs: Inputs) -> bool:
    """A profile of its promotion is its profile already."""
    meant_for_it = inputs.target_instance in ("", instance.name)
    return bool(inputs.target_profile) and meant_for_it and inputs.target_profile not in instance.promotion


def _layers(
    instance: Instance,
    inputs: Inputs,
    schema: Schema,
    findings: Findings,
    moved: t.Mapping[str, t.Any],
    chosen: auto_profile.Choice,
) -> list[Layer]:
    """Lowest first. A target profile takes the place of the instance's own and stands above all."""
    mine, aimed = findings.where, targeted(instance, inputs)
    given = [Layer(f"class {inputs.host_class}", inputs.class_engine_args)]
    if instance.profile and not aimed:
        origin = _origin(instance.profile, chosen)
        given.append(Layer(origin, _engine_args(instance.profile, chosen, inputs, findings), f"{mine}, {origin}"))
    given.append(Layer("environment", inputs.environment_engine_args))
    given.append(Layer("instance", instance.engine_args, mine))
    if aimed:
        given.append(Layer("target", _engine_args(inputs.target_profile, chosen, inputs, findings), f"{mine}, target"))
    found = []
    for layer in given:
        values = translate(layer.where, layer.values, schema, findings)
        if layer.origin == "instance":
            values = _with_moved(values, moved, findings)
        found.append(dataclasses.replace(layer, values=values))
    return found


def _origin(profile: str, chosen: auto_profile.Choice) -> str:
    return f"profile auto ({chosen.profile})" if chosen.profile else f"profile {profile}"


def _engine_args(name: str, chosen: auto_profile.Choice, inputs: Inputs, findings: Findings) -> Json:
    if name in inputs.profiles:
        return t.cast(Json, inputs.profiles[name]["engine_args"])
    if name != auto_profile.AUTO:
        guess = meant(name, inputs.profiles) or f" There are {listed(sorted({*inputs.profiles, auto_profile.AUTO}))}."
        findings.error(f"{findings.where}: there is no profile {name}.{guess}")
    return chosen.engine_args


def _with_moved(layer: Json, moved: t.Mapping[str, t.Any], findings: Findings) -> Json:
    """Arguments that stood among the variables belong to the instance."""
    for name, value in moved.items():
        if layer.get(name, value) != value:
            findings.error(
                f"{findings.where}: {name} is given in engine_args and, differently, in env; keep the one in "
                "engine_args."
            )
    return {**moved, **layer}


def _environment(
    instance: Instance, inputs: Inputs, schema: Schema, findings: Findings
) -> tuple[Instance, environment.Environment]:
    given = {**(inputs.settings.get("env") or {}), **instance.env}
    if instance.live_adapters and given.get(live_adapters.VARIABLE) is None:
        given = {**given, live_adapters.VARIABLE: "1"}
    found = environment.read(given, findings.where, schema, findings)
    if found.gpus and instance.gpus not in ("auto", found.gpus):
        findings.error(f"{findings.where}: gpus and env.CUDA_VISIBLE_DEVICES name different GPUs; keep gpus.")
    elif found.gpus:
        instance = dataclasses.replace(instance, gpus=found.gpus)
    return instance, found


def _length(instance: Instance, values: Json, inputs: Inputs, model: Model) -> int | None:
    """Tokens of one request: planned, else those that were verified, else what the model was made for."""
    planned = values.get("max_model_len")
    if isinstance(planned, int) and not isinstance(planned, bool):
        return planned
    current: Kept = (inputs.observed.get(instance.name) or {}).get("current") or {}
    running: Release = current.get("release") or {}
    verified = (current.get("verified") or {}).get("max_model_len")
    same = (running.get("model") or {}).get("id") == instance.model
    if same and running.get("arguments", {}).get("max_model_len") == planned and isinstance(verified, int):
        return verified
    return None if planned is not None or values.get("hf_overrides") else longest(model.config)


def _sampling(
    instance: Instance, inputs: Inputs, moved: t.Mapping[str, t.Any], length: int | None, findings: Findings
) -> Json:
    """What stood among the variables, then profile, then instance, then target; None unsets."""
    aimed = targeted(instance, inputs)
    chosen = inputs.target_profile if aimed else instance.profile
    profile = inputs.profiles.get(chosen, {}).get("sampling", {})
    stated = {**instance.sampling, **profile} if aimed else {**profile, **instance.sampling}
    merged = {**moved, **stated}
    at = version_key(inputs.version)
    findings.errors += [f"{findings.where}: {text}" for text in sampling.problems(merged, at, length)]
    return {name: value for name, value in sorted(merged.items()) if value is not None}
