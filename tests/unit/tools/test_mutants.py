# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mutated and what is not, which tests meet it, what is told of it, and a whole run over a small checkout."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import shutil
import subprocess
import sys
import textwrap
import types

import pytest
from cosmic_ray.mutating import mutate_code

from ansible_collections.gpufleet.vllm.plugins.plugin_utils import host_program
from ansible_collections.gpufleet.vllm.tools.mutants import imports, made, page, recorded, rooms, tree, trial

CHECKOUT = rooms.CHECKOUT


@pytest.mark.parametrize("name", made.OPERATORS)
def test_an_operator_does_what_it_says_of_itself(name: str) -> None:
    for example in type(made.OPERATORS[name]).examples():
        if example.pre_mutation_code != example.post_mutation_code:
            changed = mutate_code(example.pre_mutation_code, made.OPERATORS[name], example.occurrence)
            assert changed.split() == example.post_mutation_code.split()


def changes(source: str) -> set[str]:
    text = textwrap.dedent(source)
    return {f"{one.operator}: {one.diff(text).splitlines()[-1][1:].strip()}" for one in made.mutants("m.py", text)}


def test_what_is_called_and_what_is_refused_may_be_skipped() -> None:
    found = changes(
        """
        def write(file):
            os.fsync(file)
            done = file.name()
            if done:
                raise Refused(done)
            raise
        """
    )
    assert {one for one in found if one.startswith("Skip")} == {"SkipCall: None", "SkipRaise: None"}


def test_what_is_caught_may_not_be_caught_where_it_has_a_name_of_one_word() -> None:
    found = changes(
        """
        try:
            os.remove(path)
        except (OSError, ValueError):
            pass
        except units.UnitProblem:
            pass
        except Refused as error:
            pass
        """
    )
    said = sorted(one for one in found if one.startswith("ReplaceException"))
    new = "CosmicRayTestingException"
    assert said == [
        f"ReplaceException: except ({new}, ValueError):",
        f"ReplaceException: except (OSError, {new}):",
        f"ReplaceException: except {new} as error:",
    ]


def test_nothing_is_changed_that_only_types_are_checked_by() -> None:
    assert (
        changes(
            """
            if t.TYPE_CHECKING:
                from a import b

            @dataclass(frozen=True)
            class Thing:
                name: str | None
                parts: t.Literal[1, 2]

            def of(thing: Thing | None) -> str | None:
                return thing
            """
        )
        == set()
    )


def test_a_mutant_knows_the_lines_of_its_statement_and_none_where_it_is_run_at_the_import() -> None:
    source = "LIMIT = 3\n\n\ndef f(a=4):\n    return g(\n        a,\n        5,\n    )\n"
    found = {(one.line, one.lines) for one in made.mutants("m.py", source)}
    assert found == {(1, ()), (4, ()), (7, (5, 6, 7, 8))}


def test_the_header_of_a_loop_is_not_its_body() -> None:
    source = "def f(all):\n    for one in all:\n        g(one)\n"
    found = {one.operator: one.lines for one in made.mutants("m.py", source)}
    assert found == {"ZeroIterationForLoop": (2,), "SkipCall": (3,)}


TESTS = [
    recorded.Test("test_a.py::slow", 3.0, {"m.py": [1, 2]}),
    recorded.Test("test_a.py::quick", 0.1, {"m.py": [2, 3]}),
    recorded.Test("test_b.py::other", 0.2, {"n.py": [2]}),
]


@pytest.mark.parametrize(
    ("module", "lines", "names"),
    [
        ("m.py", (1,), ["slow"]),
        ("m.py", (2,), ["quick", "slow"]),
        ("m.py", (9,), []),
        ("m.py", (), ["quick", "slow"]),
        ("n.py", (2,), ["other"]),
        ("table.py", (), ["quick", "slow", "other"]),
        ("table.py", (2,), []),
    ],
)
def test_a_mutant_meets_the_tests_that_run_its_lines_those_about_it_first_and_then_the_quickest(
    module: str, lines: tuple[int, ...], names: list[str]
) -> None:
    """A table is run by its import alone: what looks into it imports it."""
    users = ["n.py", "test_a.py"] if module == "table.py" else []
    assert [test.name.partition("::")[2] for test in recorded.chosen(TESTS, module, lines, users)] == names


def test_a_mutant_meets_no_more_tests_than_are_enough() -> None:
    long = [recorded.Test(f"test_a.py::{at}", recorded.ENOUGH / 2 + at, {"m.py": [1]}) for at in (3, 2, 1, 0)]
    assert [test.name for test in recorded.chosen(long, "m.py", (1,))] == ["test_a.py::0"]
    assert len(recorded.chosen([recorded.Test("test_a.py::x", 99.0, {"m.py": [1]})], "m.py", (1,))) == 1


def test_who_imports_a_module() -> None:
    classes = f"{rooms.MODULE_UTILS}/_rollout/classes.py"
    assert {path.rpartition("/")[2] for path in imports.importers(classes)} >= {"failure.py", "test_classes.py"}
    assert not {path for path in imports.importers(classes) if path.endswith(("rollback.py", "test_drain.py"))}
    ours = "from ansible_collections.gpufleet.vllm.e import f"
    source = f"from . import a\nfrom ..b.c import d\n{ours}\nfrom os import g\n"
    found = imports.imported(pathlib.PurePath("x/y/m.py"), source)
    assert found == {"x/y.py", "x/y/a.py", "x/b/c.py", "x/b/c/d.py", "e.py", "e/f.py", "os.py", "os/g.py"}


FILES = {
    "plugins/module_utils/_a/m.py": "",
    "plugins/module_utils/_a/n.py": "",
    "plugins/module_utils/_b/m.py": "from .._a import m",
    "plugins/module_utils/_c/m.py": "",
    "tests/unit/plugins/doubles.py": "from plugins.module_utils._b import m",
    "tests/unit/plugins/module_utils/conftest.py": "from tests.unit.plugins import doubles\ndef scene(): pass",
    "tests/unit/plugins/module_utils/_a/test_m.py": "from plugins.module_utils._a import n",
    "tests/unit/plugins/module_utils/_a/test_other.py": "from plugins.module_utils._a import m",
    "tests/unit/plugins/module_utils/_a/test_n.py": "from plugins.module_utils._a import n",
    "tests/unit/plugins/module_utils/_c/test_scene.py": "def test_a(scene): pass",
    "tests/unit/plugins/module_utils/_c/test_c.py": "from plugins.module_utils._c import m\ndef test_a(host): pass",
    "tests/unit/plugins/test_far.py": "from tests.unit.plugins.doubles import host",
}


def test_a_mutant_meets_the_files_nearest_to_it_first_and_those_that_cannot_meet_it_never(
    tmp_path: pathlib.Path,
) -> None:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    found = imports.nearest("_a", "plugins/module_utils/_a/m.py", tmp_path)
    assert [{path.rpartition("/")[2] for path in files} for files in found] == [
        {"test_m.py", "test_other.py"},
        {"test_n.py"},
        {"test_scene.py", "test_far.py"},
    ]


def test_each_room_of_the_hosts_program_is_there() -> None:
    assert {module[0] for module in host_program.packed(CHECKOUT / rooms.MODULE_UTILS)} <= set(rooms.ROOMS)


def test_each_room_is_there() -> None:
    for room in rooms.ROOMS:
        assert rooms.modules(room)
    with pytest.raises(SystemExit, match="mend ROOMS in tools"):
        rooms.modules("_none")


def result(outcome: str, line: int = 3, diff: str = "-a\n+b") -> trial.Result:
    return trial.Result(made.Mutant("x/module_utils/_a/m.py", "AddNot", 0, line, (3, 4)), outcome, "5 tests", diff)


SLOW = [recorded.Test(f"test_a.py::{name}", 1.0, {"m.py": [1]}) for name in ("a", "b", "c")]
SOURCE = "def f(a):\n    return a > 4\n"


@pytest.mark.parametrize(
    ("statuses", "outcome", "by"),
    [
        ([(0, "c")], trial.SURVIVED, ""),
        ([(5, "")], trial.SURVIVED, ""),
        ([(1, "b")], trial.KILLED, "b"),
        ([(2, ""), (0, "c")], trial.KILLED, "import"),
        ([(trial.OVERDUE, "b"), (0, "c")], trial.SURVIVED, ""),
        ([(trial.OVERDUE, "b"), (1, "c")], trial.KILLED, "c"),
        ([(trial.OVERDUE, "b"), (trial.OVERDUE, "b")], trial.TIMEOUT, "b"),
        ([(-1, ""), (-1, "")], trial.TIMEOUT, ""),
    ],
)
def test_what_is_not_done_in_time_has_longer_once(
    monkeypatch: pytest.MonkeyPatch, statuses: list[tuple[int, str]], outcome: str, by: str
) -> None:
    """A machine that is busy catches no mutant. What passed before is not run again."""
    asked: list[tuple[list[str], float]] = []

    def run(tests: list[recorded.Test], times: float) -> tuple[int, str]:
        asked.append(([test.name[-1] for test in tests], times))
        status, last = statuses[len(asked) - 1]
        return status, last and f"test_a.py::{last}"

    monkeypatch.setattr(trial, "_run", run)
    monkeypatch.setattr(tree, "changed", lambda _module, _code: contextlib.nullcontext())
    mutant = next(one for one in made.mutants("m.py", SOURCE) if one.operator == "NumberReplacer")
    found = trial.try_one(mutant, SOURCE, [dataclasses.replace(one, lines={"m.py": [2]}) for one in SLOW])
    assert found.outcome == outcome
    assert found.by == ("3 tests" if outcome == trial.SURVIVED else by if by in ("", "import") else f"test_a.py::{by}")
    again = [(["b", "c"] if statuses[0][1] else ["a", "b", "c"], trial.AGAIN)]
    assert asked == [(["a", "b", "c"], 1.0), *(again if len(statuses) > 1 else [])]


def test_tests_that_cannot_be_run_at_all_catch_no_mutant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    said = tmp_path / "said"
    said.write_text("No module named 'yaml'")
    monkeypatch.setattr(trial, "SAID", said)
    monkeypatch.setattr(trial, "_run", lambda _tests, _times: (4, ""))
    monkeypatch.setattr(tree, "changed", lambda _module, _code: contextlib.nullcontext())
    mutant = next(one for one in made.mutants("m.py", SOURCE) if one.operator == "NumberReplacer")
    with pytest.raises(SystemExit, match=r"No module named 'yaml'\ntests of m\.py cannot be run without it either"):
        trial.try_one(mutant, SOURCE, [dataclasses.replace(one, lines={"m.py": [2]}) for one in SLOW])


def test_a_test_whose_parameters_a_mutant_changes_is_run_with_all_of_them(tmp_path: pathlib.Path) -> None:
    known = [recorded.Test(f"test_a.py::{name}", 0.1, {}) for name in ("other", "each[one]", "each[two]")]
    items = [types.SimpleNamespace(nodeid=f"test_a.py::{name}") for name in ("each[2]", "each[one]", "more", "other")]
    trial.Only(known, tmp_path / "met").pytest_collection_modifyitems(items)
    assert [one.nodeid[11:] for one in items] == ["other", "each[one]", "each[2]"]


def test_what_survives_a_round_meets_the_next() -> None:
    some, more = (dataclasses.replace(result(trial.SURVIVED), by=f"{met} tests", met=met) for met in (5, 2))
    unmet = dataclasses.replace(result(trial.UNMET), by=trial.NOBODY)
    assert trial.further(None, unmet) == trial.further(unmet, unmet) == unmet
    assert trial.further(unmet, some) == trial.further(some, unmet) == some
    both = trial.further(some, more)
    assert (both.by, both.met, both.survived) == ("7 tests", 7, True)
    assert trial.further(some, result(trial.KILLED)) == result(trial.KILLED)


def test_a_result_is_read_as_it_was_written() -> None:
    assert trial.read(trial.written(result(trial.SURVIVED))) == result(trial.SURVIVED)


def test_a_page_has_the_share_and_keeps_what_was_found_out_about_a_survivor() -> None:
    results = [result(trial.SURVIVED), result(trial.UNMET, 9, "-c\n+d"), result(trial.KILLED), result(trial.TIMEOUT)]
    first = page.rendered({"_a": (results, 70)}, "On a day.", "# By hand\n")
    assert first.startswith("# By hand\n\n<!-- ") and first.endswith(f"{page.END}\n")
    assert "| `_a` | 70 | 4 | 1 | 1 | 2 | 50.0 % |" in first
    assert first.count(page.UNSEEN) == 2
    assert "### _a/m.py:3, AddNot (5 tests run it)" in first
    looked_at = first.replace(page.UNSEEN, "Equivalent: a is b.", 1)
    moved = [result(trial.SURVIVED, line=30)]
    again = page.rendered({"_a": (moved, 70)}, "On another day.", f"{looked_at}\nBy hand too.\n")
    assert again.startswith("# By hand\n\n<!-- ") and again.endswith(f"{page.END}\n\nBy hand too.\n")
    assert again.count("On a") == 1
    assert "_a/m.py:30, AddNot" in again
    assert "Equivalent: a is b." in again and page.UNSEEN not in again


MODULE = """
from .table import AGES


def of_age(years):
    return years >= AGES[0]


def unmet(years):
    return years > 99
"""
ENDLESS = """
import time


def wait(done):
    while not done:
        time.sleep(0.01)
"""
TABLE = "AGES = (18, 21)\n"
TEST = """
import sys

sys.path.insert(0, ".")

from plugins.module_utils._room import m

"""
OF_AGE = f"""{TEST}
def test_of_age():
    assert m.of_age(40) and m.of_age(18) and not m.of_age(3)
"""
WAITS = f"""{TEST}
def test_wait():
    m.wait(True)
"""


def whole_run(folder: pathlib.Path, files: dict[str, str], limits: dict[str, str]) -> tuple[str, str]:
    """All mutants of a room in a checkout of its own: what was printed, and the page. LIMITS are other constants."""
    shutil.copytree(CHECKOUT / "tools" / "mutants", folder / "tools" / "mutants")
    own, trials = (folder / "tools" / "mutants" / name for name in ("rooms.py", "trial.py"))
    text = own.read_text()
    own.write_text(text.replace(text[text.index("ROOMS:") : text.index("\nMODULE_UTILS")], 'ROOMS = ("_room",)'))
    for constant, other in limits.items():
        assert constant in trials.read_text()
        trials.write_text(trials.read_text().replace(constant, other))
    more = {"docs/mutants-result.md": "", "pyproject.toml": "[tool.pytest.ini_options]\n", ".gitignore": "/build/\n"}
    for name, content in {**files, **more}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "--message", "all"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    asked = [sys.executable, "-m", "tools.mutants", "--sample", "0", "--page"]
    done = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / MODULE_AT).read_text() == files[MODULE_AT]
    return done.stdout, (folder / "docs" / "mutants-result.md").read_text()


MODULE_AT, TEST_AT = "plugins/module_utils/_room/m.py", "tests/unit/plugins/test_m.py"


def test_a_whole_run_tells_what_no_test_notices(tmp_path: pathlib.Path) -> None:
    """17 for 18 is noticed by nobody, and neither is anything in a function that no test calls. A number of a table,
    which is run by its import alone, is caught.
    """
    files = {MODULE_AT: MODULE, "plugins/module_utils/_room/table.py": TABLE, TEST_AT: OF_AGE}
    # On a busy machine every run of pytest has its time.
    printed, said = whole_run(tmp_path, files, {"SECONDS: t.Final = 15.0": "SECONDS: t.Final = 300.0"})
    assert "_room: 7 of 12 are alive after round 3 of 3" in printed
    assert "_room: 12 of 12 mutants, 7 survived (58.3 %), 0 did not end" in printed
    assert "+AGES = ( 17, 21)" in said and "+    return years > AGES[0]" not in said
    assert "+AGES = ( 19, 21)" not in said
    assert said.count("no test runs it") == 4


def test_what_never_ends_is_caught(tmp_path: pathlib.Path) -> None:
    """Whatever else a busy machine catches of so short a time."""
    quick = {"SECONDS: t.Final = 15.0": "SECONDS: t.Final = 1.0", "AGAIN: t.Final = 4.0": "AGAIN: t.Final = 2.0"}
    printed, said = whole_run(tmp_path, {MODULE_AT: ENDLESS, TEST_AT: WAITS}, quick)
    assert "+    while done:" not in said
    assert "| did not end |" in said and ", 0 did not end" not in printed
