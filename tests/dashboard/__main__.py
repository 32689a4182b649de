# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds the dashboard against the types that Grafana publishes of a dashboard and its panels: `python tests/dashboard`.

Needs node and npm, which fetches `@grafana/schema` and the compiler of TypeScript into a folder that goes. A key that
no panel has, a word that is none of an enumeration, and what is required and missing are told. Each of BROKEN is done
to a copy of the dashboard, and has to be refused.
"""

from __future__ import annotations

import copy
import json
import pathlib
import subprocess
import sys
import tempfile
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARD = CHECKOUT / "roles" / "vllm_monitoring" / "files" / "dashboard.json"
PACKAGES = ("@grafana/schema@13.2.3", "typescript@5.9.3")
# Texts of JSON stand for the members of enumerations. Options are those of the kinds of panels that we have.
KINDS = "@grafana/schema/dist/esm/raw/composable"
HEAD = f"""\
import type {{Dashboard, Panel}} from '@grafana/schema';
import type * as Series from '{KINDS}/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type * as Table from '{KINDS}/table/panelcfg/x/TablePanelCfg_types.gen';
"""
TYPES = """\
type Plain<T> = T extends string ? `${T}` : T extends (infer E)[] ? Plain<E>[]
    : T extends object ? {[K in keyof T]: Plain<T[K]>} : T;
type Of<Kind extends string, Options, Field> =
    Omit<Panel<Record<string, unknown>, Field>, 'type' | 'options'> & {type: Kind; options: Options};
type Ours = Of<'timeseries', Series.Options, Series.FieldConfig> | Of<'table', Table.Options, Table.FieldConfig>;
export const dashboard: Plain<Omit<Dashboard, 'panels'> & {panels: Ours[]}> = """
CONFIG = {
    "compilerOptions": {
        **dict.fromkeys(("strict", "noEmit", "skipLibCheck"), True),
        **dict.fromkeys(("module", "moduleResolution"), "nodenext"),
        "target": "es2022",
        "types": [],
    },
    "include": ["*.ts"],
}
Path = tuple[str | int, ...]
# Where something else is put, and what.
BROKEN: t.Mapping[Path, t.Any] = {
    ("refreshes",): "30s",
    ("time", "from"): 3,
    ("panels", 1, "type"): "graph",
    ("panels", 1, "gridPos", "h"): "8",
    ("panels", 1, "options", "legend", "displayMode"): "tabel",
    ("panels", 1, "fieldConfig", "defaults", "units"): "s",
    ("templating", "list", 1, "refresh"): 9,
    ("templating", "list", 1, "type"): "queries",
}


def at_npm(folder: pathlib.Path) -> None:
    (folder / "package.json").write_text('{"private": true}\n')
    words = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent", *PACKAGES]
    subprocess.run(words, cwd=folder, check=True, timeout=600)
    (folder / "tsconfig.json").write_text(json.dumps(CONFIG))


def wrong(folder: pathlib.Path, dashboards: t.Mapping[str, t.Any]) -> dict[str, list[str]]:
    """What the compiler has against each, by its name. One run of it, which takes a while."""
    for name, dashboard in dashboards.items():
        (folder / f"{name}.ts").write_text(f"{HEAD}{TYPES}{json.dumps(dashboard, indent=1)};\n")
    compiler = str(folder / "node_modules" / ".bin" / "tsc")
    ran = subprocess.run([compiler, "-p", "."], capture_output=True, text=True, check=False, cwd=folder, timeout=600)
    said = (ran.stdout + ran.stderr).splitlines()
    found = {name: [line for line in said if line.startswith(f"{name}.ts(")] for name in dashboards}
    if ran.returncode and not any(found.values()):
        raise SystemExit(f"the compiler failed: {said[:5]}")
    return found


def broken(dashboard: t.Any, path: Path, value: t.Any) -> t.Any:
    found = copy.deepcopy(dashboard)
    at = found
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return found


def main() -> int:
    dashboard = json.loads(DASHBOARD.read_text())
    with tempfile.TemporaryDirectory(prefix="dashboard-") as name:
        folder = pathlib.Path(name)
        at_npm(folder)
        variants = {f"broken_{number}": broken(dashboard, *one) for number, one in enumerate(BROKEN.items())}
        found = wrong(folder, {"dashboard": dashboard, **variants})
    said = found.pop("dashboard")
    taken = [path for path, lines in zip(BROKEN, found.values(), strict=True) if not lines]
    told = "nothing is wrong" if not said else "\n".join(said)
    sys.stdout.write(f"{', '.join(PACKAGES)}: {len(dashboard['panels'])} panels, {told}\n")
    sys.stdout.write(f"{len(BROKEN) - len(taken)} of {len(BROKEN)} broken ones were refused\n")
    for path in taken:
        sys.stdout.write(f"Not refused: {'.'.join(map(str, path))}\n")
    return 1 if said or taken else 0


if __name__ == "__main__":
    sys.exit(main())
