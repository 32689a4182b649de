# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what repeats the host classes: their group vars in inventories/host_classes, the table in docs/inventory.md.

Their source is the role's own list. `tools.reference` calls this.
"""

from __future__ import annotations

import pathlib
import textwrap
import typing as t

import yaml

Json = dict[str, t.Any]
SOURCE: t.Final = "roles/gpu_detect/vars/main/host_classes.yml"
FOLDER: t.Final = "inventories/host_classes"
TABLE_PAGE: t.Final = "docs/inventory.md"
BEGIN: t.Final = f"<!-- Written by `make docs` from {SOURCE}: change it there. -->"
END: t.Final = "<!-- As far as here. -->"
MAKERS: t.Final = ("NVIDIA GeForce ", "NVIDIA ")
MIB_A_GIB: t.Final = 1024


def read(checkout: pathlib.Path) -> dict[str, Json]:
    """Return the classes that the role brings, by name."""
    found: dict[str, Json] = yaml.safe_load((checkout / SOURCE).read_text(encoding="utf-8"))[
        "__gpu_detect_host_classes"
    ]
    return found


def short(card: str) -> str:
    """Return the name of a card without its maker."""
    for maker in MAKERS:
        card = card.removeprefix(maker)
    return card


def group_vars(name: str, described: Json) -> str:
    """Return the group vars of a class, with the sums that its share of the memory comes to."""
    cards = "; ".join(
        f"{short(card)} {seen['memory_mib']} MiB and compute capability {seen['compute_capability']}"
        for card, seen in described["cards"].items()
    )
    about = [
        f"Written by `make docs` from {SOURCE}. In a copy of yours it is yours to change.",
        f"What a host with {described['about']} is, in every environment. NVML reports: {cards}.",
        described.get("advice", ""),
    ]
    lines = ["---", *(line for text in about if text for line in _comment(text)), f"gpu_detect_host_class: {name}"]
    lines += ["", "vllm_server_class_engine_args:", *_block(described["engine_args"], _shares(described))]
    lines += ["", "vllm_server_class_limits:", *_block(described["limits"])]
    return "\n".join(lines) + "\n"


def _comment(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, 120, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _block(values: Json, comment: str = "") -> list[str]:
    dumped = yaml.safe_dump(values, sort_keys=False).splitlines()
    return [*(_comment(comment, "  ") if comment else ()), *(f"  {line}" for line in dumped)]


def _shares(described: Json) -> str:
    """Return how much of each card vLLM gets."""
    share = described["engine_args"]["gpu_memory_utilization"]
    sums: dict[str, list[str]] = {}
    for card, seen in described["cards"].items():
        total = seen["memory_mib"] / MIB_A_GIB
        sums.setdefault(f"{total * share:.1f} of {total:.1f} GiB", []).append(short(card))
    each = " of each GPU" if described["count"] > 1 else ""
    if len(sums) == 1:
        return f"{next(iter(sums))}{each}"
    return "; ".join(f"{text}{each} ({', '.join(cards)})" for text, cards in sums.items())


def table(classes: t.Mapping[str, Json]) -> list[str]:
    """Return the classes as a table of Markdown."""
    lines = ["| group | hardware | such as | to begin with |", "|---|---|---|---|"]
    for name, described in classes.items():
        cards = ", ".join(short(card) for card in described.get("cards", {}))
        lines.append(f"| `{name}` | {described['about']} | {cards} | {_example(described)} |")
    return lines


def _example(described: Json) -> str:
    found = described.get("example")
    if not found:
        return ""
    arguments = found["engine_args"]
    split = "".join(f", `{key}` {value}" for key, value in arguments.items() if key.endswith("_parallel_size"))
    return f"{found['model']}, {arguments['max_num_seqs']} requests of {arguments['max_model_len']} tokens{split}"


def with_table(page: str, classes: t.Mapping[str, Json]) -> str:
    """Return the page with the table of the classes in its place."""
    before, begin, rest = page.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{TABLE_PAGE} has no table of host classes: put `{BEGIN}` and `{END}` where it belongs.")
    return before + "\n".join([begin, "", *table(classes), "", end]) + after


def files(checkout: pathlib.Path) -> dict[str, str]:
    """Return the text of every file that repeats the classes, by its path in the checkout."""
    classes = read(checkout)
    made = {f"{FOLDER}/{name}.yml": group_vars(name, one) for name, one in classes.items() if "engine_args" in one}
    made[TABLE_PAGE] = with_table((checkout / TABLE_PAGE).read_text(encoding="utf-8"), classes)
    return made


def written(checkout: pathlib.Path) -> dict[str, str]:
    """Return what stands in those files now."""
    paths = [*(checkout / FOLDER).glob("*.yml"), checkout / TABLE_PAGE]
    return {str(path.relative_to(checkout)): path.read_text(encoding="utf-8") for path in paths}
