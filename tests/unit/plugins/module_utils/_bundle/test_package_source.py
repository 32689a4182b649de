# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host takes the packages that were made for it, by a real apt with nothing but the bundle; what lacks is named."""

from __future__ import annotations

import hashlib
import lzma
import os
import pathlib
import subprocess

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle import package_source
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.manifest import BadBundle, Bundle, Item, PackageSet

TRIXIE, BOOKWORM = "debian-13-amd64", "debian-12-amd64"


def of(system: str, number: int, *asked: str) -> PackageSet:
    return PackageSet(system=system, folder=f"packages/{system}/{number:016x}", asked=[*asked])


def bundle(*sets: PackageSet) -> Bundle:
    made = Bundle(schema=1, kind="", hosts=[], images=[], models=[], files=[], digest="")
    if sets:
        made["packages"] = [*sets]
    return made


@pytest.mark.parametrize(
    "distribution, version, machine, name",
    [
        ("debian", "13", "x86_64", TRIXIE),
        ("debian", "12.11", "aarch64", "debian-12-arm64"),
        ("ubuntu", "24.04", "x86_64", "ubuntu-24.04-amd64"),
        ("rocky", "9.6", "s390x", "rocky-9-s390x"),
    ],
)
def test_what_a_system_is_called(distribution: str, version: str, machine: str, name: str) -> None:
    assert package_source.system(distribution, version, machine) == name


def test_the_first_that_has_all_is_taken() -> None:
    sets = (of(BOOKWORM, 1, "a", "b"), of(TRIXIE, 2, "a"), of(TRIXIE, 3, "a", "b"), of(TRIXIE, 4, "a", "b", "c"))
    assert package_source.chosen(bundle(*sets), TRIXIE, ["b", "a"])["folder"].endswith("3")


@pytest.mark.parametrize(
    "sets, said",
    [
        ((), "the bundle has no packages, and vllm_bundle_packages asks for them: make the bundle anew"),
        ((of(BOOKWORM, 1, "a"),), "the bundle has packages for debian-12-amd64, and this host is debian-13-amd64: "),
        ((of(TRIXIE, 1, "c"), of(TRIXIE, 2, "a")), "the bundle lacks b for debian-13-amd64, and has a: correct what"),
    ],
)
def test_what_lacks_is_named(sets: tuple[PackageSet, ...], said: str) -> None:
    with pytest.raises(BadBundle) as error:
        package_source.chosen(bundle(*sets), TRIXIE, ["a", "b"])
    assert str(error.value).startswith(said) and "playbooks/bundle.yml" in str(error.value)


def test_apt_is_told_of_nothing_else() -> None:
    told = package_source.files("03", "/run/my x")
    source, configuration = told["bundle.sources"], told["last.conf"]
    assert "URIs: file:/run/my%20x/repository\nSuites: 03/\nTrusted: yes" in source
    assert 'Dir::Etc::SourceParts "/dev/null";' in configuration
    assert 'Dir::Etc::SourceList "/run/my x/bundle.sources";' in configuration
    assert 'Dir::State::Lists "/run/my x/lists";' in configuration and "#include" not in configuration
    assert 'Dir::Etc::Main "/run/my x/last.conf";' in told["apt.conf"]


class Host:
    """apt of this machine on a host with nothing installed, or with an old package that stands in the way."""

    def __init__(self, place: pathlib.Path, status: str = "", parts: str = "", own: str = "") -> None:
        """PARTS is what its apt.conf.d says, and OWN what its apt.conf does."""
        self.root, self.run_place = place / "my bundle", place / "run"
        (place / "status").write_text(status)
        (place / "lists/partial").mkdir(parents=True)
        self.set = of(TRIXIE, 3, "engine")
        self._make()
        (place / "parts").mkdir()
        (place / "parts/50host").write_text(parts)
        (place / "own.conf").write_text(own)
        self.put(f"{place}/own.conf" if own else "")
        machine = f'Dir::State::status "{place}/status";\nAPT::Architecture "amd64";\nAPT::Architectures "amd64";\n'
        with (self.run_place / "apt.conf").open("a") as file:
            file.write(f'{machine}Debug::NoLocking "true";\nDir::Etc::Parts "{place}/parts";\n')

    def put(self, own: str = "") -> None:
        index = (self.root / self.set["folder"] / "Packages").read_bytes()
        item = Item(path=f"{self.set['folder']}/Packages", size=0, sha256=hashlib.sha256(index).hexdigest())
        package_source.put(str(self.root), {**bundle(self.set), "files": [item]}, self.set, str(self.run_place), own)

    def _make(self) -> None:
        top = self.root / "packages" / TRIXIE
        (top / "pool").mkdir(parents=True)
        stanzas = []
        for name, version, more in (
            ("engine", "1:2.0-1+b1", "Depends: library\nConflicts: elder\n"),
            ("library", "1.0", ""),
            ("lacking", "1", "Depends: nobody-has-this\n"),
        ):
            content = name.encode()
            file = f"{name}_{version.rpartition(':')[2]}_all.deb"
            (top / "pool" / file).write_bytes(content)
            stanzas.append(
                f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a\n{more}Description: a\n"
                f"Filename: pool/{file}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
            )
        index = self.root / self.set["folder"] / "Packages"
        index.parent.mkdir()
        index.write_text("\n".join(stanzas))

    def run(self, command: list[str]) -> tuple[int, str]:
        told = {"APT_CONFIG": str(self.run_place / "apt.conf"), "LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run(command, env=told, capture_output=True, text=True, check=False)
        return done.returncode, f"{done.stdout}\n{done.stderr}"


def test_apt_installs_from_it_what_depends_on_what(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path)
    assert package_source.must_install(TRIXIE, ["engine"], host.run) == []
    _status, said = host.run(["apt-get", "--print-uris", "-y", "install", "engine"])
    assert f"file:{tmp_path}/run/repository/pool/engine_2.0-1%2bb1_all.deb" in said, said
    assert host.run(["apt-get", "indextargets", "--format", "$(URI)"])[1].strip().startswith("file:")


@pytest.mark.parametrize(
    "said",
    [
        'APT::Default-Release "trixie";',
        'Dir::Etc::SourceList "/etc/apt/sources.list";',
        'Dir::Etc::SourceParts "{place}/elsewhere";',
        'Dir::State::Lists "{place}/lists";',
        'Acquire::Languages {{ "de"; "en"; }};',
        'APT::Update::Post-Invoke-Success {{ "touch {place}/hooked"; }};',
        'APT::Update::Post-Invoke {{ "touch {place}/hooked"; }};',
        'APT::Update::Pre-Invoke {{ "false"; }};',
    ],
)
@pytest.mark.parametrize("where", ["parts", "own"])
def test_what_the_host_says_of_apt_does_not_lead_away_from_it(tmp_path: pathlib.Path, said: str, where: str) -> None:
    host = Host(tmp_path, **{where: f"{said.format(place=tmp_path)}\n"})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/other.list").write_text("deb [trusted=yes] file:/nowhere ./\n")
    assert package_source.must_install(TRIXIE, ["engine"], host.run) == []
    targets = host.run(["apt-get", "indextargets", "--format", "$(URI)"])[1].split()
    assert targets and all(str(tmp_path) in one for one in targets)
    assert not (tmp_path / "hooked").exists() and os.listdir(tmp_path / "lists") == ["partial"]


def test_what_else_the_host_says_of_apt_holds(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path, parts='APT::Cache-Limit "1234";\n', own='DPkg::Options { "--force-confold"; };\n')
    said = host.run(["apt-config", "dump"])[1]
    assert 'APT::Cache-Limit "1234";' in said and 'DPkg::Options:: "--force-confold";' in said


def test_an_index_that_no_manifest_lists_is_not_read(tmp_path: pathlib.Path) -> None:
    """Somebody has put it beside the one that is signed, and a Release that names it."""
    host = Host(tmp_path)
    folder = host.root / host.set["folder"]
    other = (folder / "Packages").read_bytes().replace(b"1:2.0-1+b1", b"2:9")
    packed = lzma.compress(other)
    hashes = "".join(
        f" {hashlib.sha256(raw).hexdigest()} {len(raw)} {name}\n"
        for name, raw in (("Packages", other), ("Packages.xz", packed))
    )
    (folder / "Release").write_text(f"Date: Fri, 27 Nov 2026 10:00:00 UTC\nAcquire-By-Hash: yes\nSHA256:\n{hashes}")
    (folder / "by-hash/SHA256").mkdir(parents=True)
    (folder / "by-hash/SHA256" / hashlib.sha256(packed).hexdigest()).write_bytes(packed)
    (folder / "Packages.xz").write_bytes(packed)
    package_source.must_install(TRIXIE, ["engine"], host.run)
    assert "Candidate: 1:2.0-1+b1" in host.run(["apt-cache", "policy", "engine"])[1]


def test_an_index_that_changes_after_it_was_compared_is_not_used(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path)
    item = Item(path=f"{host.set['folder']}/Packages", size=0, sha256="0" * 64)
    with pytest.raises(BadBundle, match="Packages was changed while it was read"):
        package_source.put(str(host.root), {**bundle(host.set), "files": [item]}, host.set, str(tmp_path / "run"))


def test_apt_names_what_would_go(tmp_path: pathlib.Path) -> None:
    elder = (
        "Package: elder\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nMaintainer: a\nDescription: a\n"
    )
    assert package_source.must_install(TRIXIE, ["engine"], Host(tmp_path, elder).run) == ["elder"]


@pytest.mark.parametrize(
    "name, said", [("lacking", "lacking : Depends: nobody-has-this"), ("other", "Unable to locate package other")]
)
def test_what_apt_cannot_install_is_named(tmp_path: pathlib.Path, name: str, said: str) -> None:
    with pytest.raises(BadBundle) as error:
        package_source.must_install(TRIXIE, [name], Host(tmp_path).run)
    assert "the bundle's packages for debian-13-amd64 do not fit this host: " in str(error.value)
    assert said in str(error.value)


def installed(name: str, status: str, more: str = "") -> str:
    return f"Package: {name}\nStatus: {status}\nVersion: 1\nArchitecture: all\n{more}Maintainer: a\nDescription: a\n"


@pytest.mark.parametrize(
    "status, said",
    [
        (
            installed("other", "install ok installed", "Depends: gone\n"),
            "not whole, whatever the bundle has: other : De",
        ),
        (installed("other", "install reinstreq half-installed"), "has: E: The package other needs to be reinstalled"),
        (installed("elder", "hold ok installed"), "do not fit this host: engine : Conflicts: elder"),
    ],
    ids=["unmet", "half-installed", "held"],
)
def test_what_is_wrong_with_the_host_is_not_said_of_the_bundle(tmp_path: pathlib.Path, status: str, said: str) -> None:
    with pytest.raises(BadBundle) as error:
        package_source.must_install(TRIXIE, ["engine"], Host(tmp_path, status).run)
    assert said in str(error.value)
    assert ("`dpkg --audit`" in str(error.value)) is ("not whole" in str(error.value))


def test_an_index_that_cannot_be_read_is_told() -> None:
    def broken(_command: list[str]) -> tuple[int, str]:
        return 100, "E: The repository is not there"

    with pytest.raises(BadBundle, match=r"apt cannot read the Packages of the bundle \(E: The repository is not there"):
        package_source.must_install(TRIXIE, ["a"], broken)


def test_what_is_written_is_gone_at_the_next_boot() -> None:
    assert package_source.PLACE.startswith("/run/gpufleet/")
