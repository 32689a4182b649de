# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mutated and what is not, which tests meet it, what is told of it, and a whole run over a small checkout."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import textwrap

import pytest
from cosmic_ray.mutating import mutate_code

from ansible_collections.gpufleet.vllm.tools.mutants import made, page, recorded, rooms, trial

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
    ],
)
def test_a_mutant_meets_the_tests_that_run_its_lines_quickest_first(
    module: str, lines: tuple[int, ...], names: list[str]
) -> None:
    assert [test.name.partition("::")[2] for test in recorded.chosen(TESTS, module, lines)] == names


def test_a_mutant_meets_no_more_tests_than_are_enough() -> None:
    long = [recorded.Test(f"test_a.py::{at}", recorded.ENOUGH / 2 + at, {"m.py": [1]}) for at in (3, 2, 1, 0)]
    assert [test.name for test in recorded.chosen(long, "m.py", (1,))] == ["test_a.py::0"]
    assert len(recorded.chosen([recorded.Test("test_a.py::x", 99.0, {"m.py": [1]})], "m.py", (1,))) == 1


def test_each_room_is_there() -> None:
    for room in rooms.ROOMS:
        assert rooms.modules(room)
    with pytest.raises(SystemExit, match="mend ROOMS in tools"):
        rooms.modules("_none")


def result(outcome: str, line: int = 3, diff: str = "-a\n+b") -> trial.Result:
    return trial.Result(made.Mutant("x/module_utils/_a/m.py", "AddNot", 0, line, (3, 4)), outcome, "5 tests", diff)


def test_a_result_is_read_as_it_was_written() -> None:
    assert trial.read(trial.written(result(trial.SURVIVED))) == result(trial.SURVIVED)


def test_a_page_has_the_share_and_keeps_what_was_found_out_about_a_survivor() -> None:
    results = [result(trial.SURVIVED), result(trial.UNMET, 9, "-c\n+d"), result(trial.KILLED), result(trial.TIMEOUT)]
    first = page.rendered({"_a": (results, 70)}, "On a day.", "# By hand\n")
    assert first.startswith("# By hand\n\n<!-- ") and first.endswith(f"{page.END}\n")
    assert "| `_a` | 70 | 4 | 2 | 2 | 50.0 % |" in first
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
def of_age(years):
    return years >= 18


def unmet(years):
    return years > 99
"""
TEST = """
import pathlib

CODE = compile(pathlib.Path("plugins/module_utils/_room/m.py").read_text(), "plugins/module_utils/_room/m.py", "exec")
SPACE = {}
exec(CODE, SPACE)


def test_of_age():
    assert SPACE["of_age"](40) and SPACE["of_age"](18) and not SPACE["of_age"](3)
"""


def test_a_whole_run_tells_what_no_test_notices(tmp_path: pathlib.Path) -> None:
    """17 for 18 is noticed by nobody, and neither is anything in a function that no test calls."""
    shutil.copytree(CHECKOUT / "tools" / "mutants", tmp_path / "tools" / "mutants")
    own = tmp_path / "tools" / "mutants" / "rooms.py"
    text = own.read_text()
    own.write_text(text.replace(text[text.index("ROOMS:") : text.index("\nMODULE_UTILS")], 'ROOMS = ("_room",)'))
    for name, content in {
        "plugins/module_utils/_room/m.py": MODULE,
        "tests/unit/plugins/test_m.py": TEST,
        "docs/mutants-result.md": "",
        "pyproject.toml": "[tool.pytest.ini_options]\n",
        ".gitignore": "/build/\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "--message", "all"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    asked = [sys.executable, "-m", "tools.mutants", "--sample", "0", "--page"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "_room: 8 of 8 mutants, 5 survived (62.5 %)" in done.stdout
    said = (tmp_path / "docs" / "mutants-result.md").read_text()
    assert "+    return years >= 17" in said and "+    return years > 18" not in said
    assert said.count("no test runs it") == 4
    assert (tmp_path / "plugins/module_utils/_room/m.py").read_text() == MODULE
