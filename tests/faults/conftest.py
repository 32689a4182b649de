# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows share a host that serves, and each leaves a line in the report. Its fault is in its name: test_f07_... is F7."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import time
import typing as t
from dataclasses import dataclass

import pytest

from ansible_collections.gpufleet.vllm.tests.faults import kept, random_kills, report
from ansible_collections.gpufleet.vllm.tests.faults.host import Host
from ansible_collections.gpufleet.vllm.tests.faults.matrix import SITE, Good, Record, Row, settled
from ansible_collections.gpufleet.vllm.tests.faults.play import CHECKOUT, INVENTORIES, Play, as_user
from ansible_collections.gpufleet.vllm.tests.faults.wanted import ASSISTANT, wanted

# What every build runs; the rest takes longer and runs on request.
CI = "F3 F4 F7 F9 F14 F16 F17 F19 F21 F23 F27 F35 F36"
# Parts of these rows that show the same at another moment, or take longer.
ON_REQUEST: tuple[str, ...] = (
    "test_f19_controller_killed_after_the_stop[smoke, its workers live on]",
    "test_f19_controller_killed_after_the_stop[hold]",
    "test_f27_rollout_on_a_damaged_state_file",
    "test_f36_name_of_ours[previous]",
    "test_f36_committed_copy",
    "test_f36_old_state_put_back",
    "test_f36_previous_release_pruned",
)
KILL = "kill"
HERE = pathlib.Path(__file__).parent
ROW = re.compile(r"test_f(\d\d)_")
KNOWN = {f"F{int(number)}" for file in HERE.glob("test_*.py") for number in ROW.findall(file.read_text())}
# Of a test's report, which is what reaches the process that prints the table where several run tests.
RECORD, VERSIONS = "record", "versions"
PHASES = ("setup", "call", "teardown")
RECORD_OF = pytest.StashKey[Record]()
VERSIONS_OF_RUN = pytest.StashKey[dict[str, t.Any]]()
BEGAN = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Choose the faults, and whether hosts outlive the run."""
    parser.addoption("--faults", default="", help="faults to run, such as 'F3 F19', or 'ci'; default: all")
    parser.addoption("--kills", type=int, default=0, help="random kills; without --faults nothing but them")
    parser.addoption("--seed", type=int, default=None, help="of the random kills; default: from the clock, printed")
    parser.addoption(
        "--page", action="store_true", help="put a run of all faults, or of kills, into docs/faults-result.md"
    )
    parser.addoption("--keep-hosts", action="store_true", help="leave the hosts to the next run")


def fault_of(name: str) -> str:
    """F7 for test_f07_..."""
    found = ROW.match(name)
    return f"F{int(found.group(1))}" if found else KILL


def pytest_configure(config: pytest.Config) -> None:
    """Refuse unknown faults, and draw a seed for every process that runs tests."""
    unknown = _asked(config) - KNOWN
    if unknown:
        raise pytest.UsageError(f"no row for {', '.join(sorted(unknown))}")
    config.stash[BEGAN] = time.monotonic()
    given = getattr(config, "workerinput", {})
    if config.getoption("--seed") is None:
        config.option.seed = given.get("seed", int(time.time()))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: t.Any) -> None:
    """Tell a worker of pytest-xdist, which is given the command line only."""
    node.workerinput["seed"] = node.config.getoption("--seed")


def _asked(config: pytest.Config) -> set[str]:
    """The faults that were asked for, empty for all."""
    asked = config.getoption("--faults").replace(",", " ").strip()
    return set((CI if asked == "ci" else asked).split())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the faults that were asked for, and tests of other folders."""
    others = [item for item in items if item.path.parent != HERE]
    items[:] = [item for item in items if item.path.parent == HERE]
    kills = config.getoption("--kills")
    chosen = _asked(config) or (set() if kills else set(KNOWN))
    chosen |= {KILL} if kills else set()
    left_out = ON_REQUEST if config.getoption("--faults").strip() == "ci" else ()
    kept = [item for item in items if fault_of(item.name) in chosen and item.name not in left_out]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = [*others, *sorted(kept, key=_order)]


def _order(item: pytest.Item) -> tuple[bool, str]:
    """By number; a test of several parts keeps their order, and kills come last."""
    fault = fault_of(item.name)
    return fault == KILL, fault.rjust(3)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """As many random kills as were asked for."""
    if "kill" in metafunc.fixturenames:
        config = metafunc.config
        kills = random_kills.drawn(max(1, config.getoption("--kills")), config.getoption("--seed"))
        metafunc.parametrize("kill", kills, ids=str)


def _lab(playbook: str, *names: str) -> None:
    inventories = [word for path in INVENTORIES for word in ("--inventory", path)]
    command = ["ansible-playbook", f"molecule/shared/{playbook}.yml", "--limit", ",".join(names), *inventories]
    done = subprocess.run(command, cwd=CHECKOUT, env=as_user(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{playbook} of {names} failed: {done.stdout[-3000:]}{done.stderr}"


@dataclass
class Shared:
    """The host that rows share, and what it serves by now."""

    host: Host
    good: Good | None


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> t.Iterator[Shared]:
    """One for each process that runs rows: `faults-1`, `faults-2` and so on."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    name = f"faults-{int(number) + 1}"
    _lab("create", name)
    made = Host(name)
    request.config.stash[VERSIONS_OF_RUN] = report.versions(made)
    keeps = request.config.getoption("--keep-hosts")
    one = Shared(made, kept.read(name) if keeps else None)
    yield one
    if keeps and one.good:
        kept.write(name, one.good)
    else:
        _lab("destroy", name)


@pytest.fixture
def host(shared: Shared) -> Host:
    return shared.host


@pytest.fixture
def others() -> t.Iterator[list[Host]]:
    """Three more hosts that serve, for as long as the row lasts."""
    names = ["faults-x", "faults-y", "faults-z"]
    _lab("create", *names)
    play = Play(SITE, names, wanted(ASSISTANT)).wait()
    assert play.code == 0, f"{names} do not serve; {play.log}"
    yield [Host(name) for name in names]
    _lab("destroy", *names)


@pytest.fixture
def record(request: pytest.FixtureRequest) -> t.Iterator[Record]:
    """The row's line in the report; what it shows is its docstring's first sentence, and which part of it."""
    what = (request.function.__doc__ or request.node.name).strip().partition(":")[0].partition("\n")[0].rstrip(".")
    if hasattr(request.node, "callspec"):
        what += f" ({request.node.callspec.id})"
    made = Record(fault_of(request.node.name), request.node.name, what)
    request.node.stash[RECORD_OF] = made
    began = time.monotonic()
    yield made
    made.seconds = round(time.monotonic() - began, 1)


@pytest.fixture
def row(shared: Shared, record: Record) -> Row:
    """A row on the shared host, which serves a good release; put right first where a row before left it otherwise."""
    shared.good, repaired = settled(shared.host, shared.good)
    if repaired:
        record.notes.append(repaired)
    return Row(record, shared.host, shared.good)


@pytest.fixture
def over_ssh(host: Host, tmp_path: pathlib.Path) -> dict[str, str]:
    """Variables with which a play reaches the host by ssh."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    host.run("mkdir", "--parents", "--mode=0700", "/root/.ssh")
    host.write("/root/.ssh/authorized_keys", key.with_suffix(".pub").read_text())
    return {
        "ansible_connection": "ssh",
        "ansible_host": host.address(),
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={tmp_path}/known_hosts -o StrictHostKeyChecking=accept-new",
    }


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> t.Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write down how the row ended, and send it along with the report."""
    made = yield
    record = item.stash.get(RECORD_OF, None)
    if record is None:
        return made
    if call.when in ("setup", "call"):
        record.passed = made.passed and call.when == "call"
        record.error = "" if made.passed else str(call.excinfo.value if call.excinfo else made.outcome)
        if made.failed:
            made.sections.append(("the host's last stages", _last_stages(item)))
    sent = {RECORD: record.as_dict(), VERSIONS: item.config.stash.get(VERSIONS_OF_RUN, {})}
    made.user_properties = [*made.user_properties, *sent.items()]
    return made


def _last_stages(item: pytest.Item) -> str:
    """What the transactions of the row said, before the next row puts its host right."""
    row = getattr(item, "funcargs", {}).get("row")
    return row.told() if isinstance(row, Row) else "no row had begun"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, and write it down; a worker sees its own rows only."""
    if hasattr(config, "workerinput"):
        return
    sent = _sent(terminalreporter)
    versions = {name: text for one in sent for name, text in one[VERSIONS].items()}
    records = _records(sent)
    faults = [record for record in records if record.fault != KILL]
    kills = [record for record in records if record.fault == KILL]
    if faults:
        _tell(terminalreporter, report.FAULTS, faults, versions)
    if kills:
        seed = str(config.getoption("--seed"))
        _tell(terminalreporter, report.KILLS, kills, {**versions, "seed": seed})
        terminalreporter.write_line(random_kills.hits(_struck(kills)))
        terminalreporter.write_line(random_kills.too_few(_struck(kills), len(kills)))
        terminalreporter.write_line(f"The same kills again: --seed {seed}")


def _struck(kills: list[Record]) -> list[tuple[str, str]]:
    return [record.struck for record in kills if record.struck]


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Kills that have not hit every stage show little: then the run has failed."""
    if hasattr(session.config, "workerinput"):
        return
    terminalreporter = session.config.pluginmanager.get_plugin("terminalreporter")
    assert isinstance(terminalreporter, pytest.TerminalReporter)
    kills = [record for record in _records(_sent(terminalreporter)) if record.fault == KILL]
    if random_kills.too_few(_struck(kills), len(kills)) and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _records(sent: list[dict[str, t.Any]]) -> list[Record]:
    """One for each test, in the order of their names."""
    last = {one[RECORD]["test"]: Record(**one[RECORD]) for one in sent}
    return [last[name] for name in sorted(last, key=_natural)]


def _tell(
    terminalreporter: pytest.TerminalReporter, name: str, records: list[Record], versions: dict[str, str]
) -> None:
    config = terminalreporter.config
    terminalreporter.section(name)
    terminalreporter.write_line(report.table(records))
    minutes = round((time.monotonic() - config.stash[BEGAN]) / 60)
    text = report.write(name, records, versions, minutes, getattr(config.option, "numprocesses", None) or 1)
    terminalreporter.write_line(report.tally(records))
    if config.getoption("--page"):
        missing = KNOWN - {record.fault for record in records} if name == report.FAULTS else set()
        if missing:
            terminalreporter.write_line(f"not put on the page: {', '.join(sorted(missing))} did not run")
        else:
            report.put_on_page(name, text)
            terminalreporter.write_line(f"put on the page: {report.PAGE}")


def _sent(terminalreporter: pytest.TerminalReporter) -> list[dict[str, t.Any]]:
    """What came along with the reports of rows, what is said last of a row comes last; and rows whose worker died."""
    told = [one for kind in terminalreporter.stats.values() for one in kind if isinstance(one, pytest.TestReport)]
    told.sort(key=lambda one: PHASES.index(one.when) if one.when in PHASES else len(PHASES))
    sent: list[dict[str, t.Any]] = [dict(one.user_properties) for one in told]
    died = [one for one in told if one.when not in PHASES and HERE.name in pathlib.Path(one.nodeid).parts]
    return [one for one in sent if RECORD in one] + [_died(one) for one in died]


def _died(one: pytest.TestReport) -> dict[str, t.Any]:
    name = one.nodeid.rpartition("::")[2]
    return {RECORD: Record(fault_of(name), name, "its worker died", error=str(one.longrepr)).as_dict(), VERSIONS: {}}


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts kill 9 before kill 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
