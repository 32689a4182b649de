# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How well the planner foresees whether real configurations start: a line a case, then one JSON object with totals.

    plan_cases.py --cases FILE               all of them
    plan_cases.py --cases FILE --only F01    one, with everything that the planner says

FILE has one JSON object a line: `id`, `vllm_version`, `instances`, `gpus` (as the facts hold them), `models` (name to
`config`, `weights_bytes` and, where the files are not whole, `problems`), and optionally `options` (`image`,
`settings`) and `kind`. How `expected` judges is in plan_judging.py; a case without one is shown and not counted.
"""

from __future__ import annotations

import argparse
import collections
import json
import pathlib
import sys
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / ".collections"))

import yaml  # noqa: E402

from ansible_collections.gpufleet.vllm.plugins.module_utils._plan import planner  # noqa: E402
from ansible_collections.gpufleet.vllm.plugins.module_utils._plan.inventory import inputs  # noqa: E402
from ansible_collections.gpufleet.vllm.plugins.plugin_utils import data_files, schema_files  # noqa: E402
from ansible_collections.gpufleet.vllm.tests.bench.plan_judging import (  # noqa: E402
    Answer,
    BadCaseError,
    Verdict,
    judge,
)

Json = dict[str, t.Any]
ROLE = CHECKOUT / "roles" / "vllm_server"
HISTORY, READINGS = schema_files.load(str(ROLE / "files" / "engine_args"))
PROFILES = yaml.safe_load((ROLE / "vars" / "main" / "profiles.yml").read_text())["__vllm_server_profiles"]
CATALOGUE = data_files.read(str(ROLE / "files" / "models.json"), "catalogue")
NEEDED = ("id", "vllm_version", "instances", "gpus", "models")
NO_KIND = "other"


def load(path: pathlib.Path) -> list[Json]:
    """The cases of a JSON lines file. Raises BadCaseError."""
    cases = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            case = json.loads(line)
        except ValueError as error:
            raise BadCaseError(f"line {number} is no JSON: {error}.") from error
        missing = [key for key in NEEDED if not isinstance(case, dict) or key not in case]
        if missing:
            raise BadCaseError(f"line {number} has no {', '.join(missing)}.")
        cases.append(case)
    return cases


def task(case: Json) -> Json:
    """The case as arguments of gpufleet.vllm.vllm_plan, on a host that lacks nothing else."""
    options = case.get("options") or {}
    instances = [
        {"name": f"case{number}", "port": 8000 + number, **instance}
        for number, instance in enumerate(case["instances"])
    ]
    return {
        "instances": instances,
        "image": options.get("image") or f"docker.io/vllm/vllm-openai:v{case['vllm_version']}",
        "version": case["vllm_version"],
        "host_class": "gpu_field",
        "facts": _facts(case["gpus"]),
        "models": {name: _model(seen) for name, seen in case["models"].items()},
        "profiles": PROFILES,
        "catalogue": CATALOGUE,
        "settings": options.get("settings") or {},
    }


def _facts(gpus: t.Sequence[Json]) -> Json:
    engine = {"name": "docker", "version": "28.5.1", "running": True, "cdi": True, "nvidia_runtime": False}
    return {
        "state": "healthy" if gpus else "no_gpu",
        "advice": "",
        "gpus": list(gpus),
        "engine": {**engine, "problem": ""},
        "systemd": True,
        "listening": [],
        "images": {},
        "instances": [],
    }


def _model(seen: Json) -> Json:
    size = seen.get("weights_bytes")
    rest = {key: value for key, value in seen.items() if key != "weights_bytes"}
    return {"notes": [], "problems": [], **rest, "weights": {"bytes": size} if size else None}


def answer(case: Json) -> Answer:
    """What the planner says."""
    errors: list[str] = []
    found = planner.plan_host(inputs.read(task(case), HISTORY, READINGS, errors), errors)
    plans = found.plans or found.drafts
    overruled = [one["text"] for plan in plans for one in plan["overruled"]]
    return Answer(
        errors=(*found.errors, *overruled),
        verdicts=tuple(_verdict(plan["memory"]) for plan in plans),
        warnings=tuple(dict.fromkeys([*found.warnings, *(text for plan in plans for text in plan["warnings"])])),
        notes=tuple(text for plan in plans for text in plan["notes"]),
    )


def _verdict(memory: Json | None) -> Verdict:
    if memory is None:
        return Verdict(None)
    ranks, kv = memory["gpus"], memory["kv"]
    gib = ranks[0]["kv_cache_gib"] if ranks else kv["gib"]
    reasons = tuple(reason["text"] for reason in memory["reasons"])
    return Verdict(memory["verdict"], reasons, None if gib is None else gib["expected"], kv["tokens"])


def judged(case: Json) -> Json:
    """One case: what was said, what was seen, and how that is judged; the word is None where nothing is expected."""
    said = answer(case)
    expected = case.get("expected")
    try:
        word, why = judge(expected, said) if expected else (None, "")
    except BadCaseError as error:
        raise BadCaseError(f"case {case['id']}: {error}") from error
    return {
        "id": case["id"],
        "kind": case.get("kind") or NO_KIND,
        "judged": word,
        "why": why,
        "verdicts": [one.word for one in said.verdicts],
        "kv_gib": said.verdicts[0].kv_gib if said.verdicts else None,
        "tokens": said.verdicts[0].tokens if said.verdicts else None,
        "expected": {key: expected[key] for key in ("starts", "kv_gib", "tokens")} if expected else None,
        "errors": list(said.errors),
        "said": said,
    }


def totals(found: t.Sequence[Json]) -> Json:
    """Counts by word, and by kind; `refused_that_start` are the worst mistakes."""
    counted = [one for one in found if one["judged"]]
    kinds: dict[str, collections.Counter[str]] = {}
    for one in counted:
        kinds.setdefault(one["kind"], collections.Counter())[one["judged"]] += 1
    return {
        "cases": len(found),
        "judged": len(counted),
        "not_judged": [one["id"] for one in found if not one["judged"]],
        **_words(collections.Counter(one["judged"] for one in counted)),
        "refused_that_start": [one["id"] for one in counted if one["expected"]["starts"] and one["judged"] == "wrong"],
        "kinds": {kind: _words(words) for kind, words in sorted(kinds.items())},
    }


def _words(counter: collections.Counter[str]) -> dict[str, int]:
    return {word: counter[word] for word in ("right", "vague", "wrong")}


def _line(one: Json) -> str:
    seen = one["expected"] or {}
    outcome = ("starts" if seen["starts"] else "fails") if seen else "-"
    kv = "-" if one["kv_gib"] is None else f"{one['kv_gib']:.2f}"
    text = (
        f"{one['id']:6s} {one['judged'] or 'not judged':10s} {outcome:6s} {','.join(map(str, one['verdicts'])):12s} "
        f"kv {kv} seen {seen.get('kv_gib') or '-'}, tokens {one['tokens'] or '-'} seen {seen.get('tokens') or '-'}, "
        f"errors {len(one['errors'])}"
    )
    return f"{text}: {one['why']}" if one["why"] else text


def _all_of_it(one: Json) -> str:
    said: Answer = one["said"]
    texts = [f"error: {text}" for text in said.errors]
    texts += [f"reason: {text}" for verdict in said.verdicts for text in verdict.reasons]
    texts += [f"warning: {text}" for text in said.warnings]
    return "\n".join(f"       {text}" for text in [*texts, *(f"note: {text}" for text in said.notes)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=pathlib.Path, required=True)
    parser.add_argument("--only", nargs="+", metavar="ID", help="these cases, with everything that is said of them")
    options = parser.parse_args()
    try:
        cases = load(options.cases)
        found = [judged(case) for case in cases if not options.only or case["id"] in options.only]
    except (OSError, BadCaseError) as error:
        parser.error(f"{options.cases}: {error}")
    for one in found:
        sys.stdout.write(_line(one) + "\n" + (_all_of_it(one) + "\n" if options.only else ""))
    sys.stdout.write(json.dumps(totals(found), indent=1) + "\n")


if __name__ == "__main__":
    main()
