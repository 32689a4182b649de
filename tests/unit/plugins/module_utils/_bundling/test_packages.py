# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages come into a bundle with all that they depend on, verified by a real apt, and are fetched once."""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle import manifest
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling import apt_root, packages, whole
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling.folder import BundleFolder
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling.parts import Came
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundling.wanted import Wanted
from ansible_collections.gpufleet.vllm.plugins.module_utils._store.transfer import Failed
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._bundling import repositories
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._prepare import keys
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._store import hubs

Json = dict[str, t.Any]


@pytest.fixture
def url(tmp_path: pathlib.Path) -> t.Iterator[str]:
    with repositories.served(tmp_path / "served") as address:
        yield address


def come(root: pathlib.Path, wanted: Wanted, check: bool = False, **ports: t.Any) -> Came:
    def fetched(_url: str) -> bytes:
        return keys.KEY.encode()

    machine = packages.Ports(repositories.run, fetched, lambda _program: True, packages.opening())._replace(**ports)
    with BundleFolder(str(root), keep=not check) as folder:
        return packages.packages(folder, t.cast("Json", wanted), machine, check)


def refused(root: pathlib.Path, wanted: Wanted, **ports: t.Any) -> str:
    with pytest.raises(Failed) as error:
        come(root, wanted, **ports)
    return str(error.value)


def test_they_come_once_with_what_they_depend_on(tmp_path: pathlib.Path, url: str) -> None:
    root, wanted = tmp_path / "bundle", repositories.wanted(url, "engine")
    looked = come(root, wanted, check=True)
    assert looked.changed and looked.missing_bytes == 1400 and not root.exists()
    came = come(root, wanted)
    assert came.changed and "engine and what they depend on, for debian-13-amd64 is whole: 4 files" in came.msg
    listed = came.part["packages"]
    assert listed is not None and listed["asked"] == ["engine"] and listed["system"] == "debian-13-amd64"
    index = (root / listed["folder"] / "Packages").read_text()
    assert re.search(r"^Filename: pool/[0-9a-f]{16}/engine_2\.0-1_all\.deb$", index, re.MULTILINE) is not None
    assert "Version: 1:2.0-1" in index and "1.0\n" not in index
    for file in ("engine_2.0-1_all.deb", "library_1.1+b1_all.deb"):
        (there,) = (root / "packages/debian-13-amd64/pool").glob(f"*/{file}")
        assert there.read_bytes() == repositories.CONTENTS[file]
    assert (root / listed["folder"] / "keys/test.gpg").stat().st_size > 100
    again = come(root, wanted)
    assert not again.changed and again.part == came.part
    told = whole.write(str(root), [t.cast("Json", again.part)], ["gpu01"], keep=True)
    assert "images: 0, models: 0, sets of packages: 1, 4 files" in told["msg"]
    assert manifest.parse((root / manifest.FILE).read_text())["packages"] == [listed]


def test_no_proxy_of_the_environment_is_asked(tmp_path: pathlib.Path, url: str) -> None:
    def run(command: list[str], environment: dict[str, str], cwd: str | None) -> tuple[int, str, str]:
        # Port 1 of this machine answers nobody.
        proxies = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:1")
        return repositories.run(command, {**proxies, **environment}, cwd)

    assert come(tmp_path / "b", repositories.wanted(url, "engine"), run=run).changed


def test_an_index_that_somebody_else_signed_is_not_used(tmp_path: pathlib.Path, url: str) -> None:
    other: Json = {"key": keys.KEY, "fingerprints": [keys.FINGERPRINT]}
    said = refused(tmp_path / "b", repositories.wanted(url, "engine", source=other))
    assert "apt cannot use the repositories for debian-13-amd64: " in said and "vllm_bundle_archive" in said


def test_an_index_that_was_changed_is_not_used(tmp_path: pathlib.Path, url: str) -> None:
    index = tmp_path / "served" / "Packages"
    index.write_text(index.read_text().replace("Version: 1.0", "Version: 9.0"))
    assert "apt cannot use the repositories" in refused(tmp_path / "b", repositories.wanted(url, "engine"))


def test_a_package_that_is_another_one_is_not_taken(
    tmp_path: pathlib.Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    (tmp_path / "served/pool/l/library_1.1+b1_all.deb").write_bytes(b"x" * 700)
    with pytest.raises(Failed, match=r"library_1\.1\+b1_all\.deb"):
        come(tmp_path / "b", repositories.wanted(url, "engine"))
    assert list((tmp_path / "b/packages").glob("**/library_*")) == []


@pytest.mark.parametrize(
    "names, said",
    [
        (["nobody-has-this"], "Unable to locate package nobody-has-this"),
        (["broken"], "broken : Depends: nothing-has-this but it is not installable"),
        (["library=7*"], "Version '7*' for 'library' was not found"),
    ],
)
def test_what_cannot_be_had_is_named(tmp_path: pathlib.Path, url: str, names: list[str], said: str) -> None:
    told = refused(tmp_path / "b", repositories.wanted(url, *names))
    assert f"the packages {names[0]} cannot be had for debian-13-amd64: " in told and said in told
    assert "vllm_bundle_system" in told


def test_a_pin_of_the_role_holds_here_too(tmp_path: pathlib.Path, url: str) -> None:
    pin = {"test.pref": "Package: library\nPin: version 1.0\nPin-Priority: 1001\n"}
    came = come(tmp_path / "b", repositories.wanted(url, "library", preferences=pin))
    assert [one["path"].rpartition("/")[2] for one in came.part["files"]][-1] == "library_1.0_all.deb"


def test_a_key_has_to_be_the_one_that_is_expected(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: Json = {"key": "", "key_url": "http://mirror/key"}
    said = refused(tmp_path / "b", repositories.wanted("http://mirror", "engine", source=fetched))
    assert "the key of the repository test (http://mirror) cannot be trusted: its fingerprint is" in said
    none: Json = {"keyrings": [str(tmp_path / "no.gpg")]}
    said = refused(tmp_path / "b", repositories.wanted("http://mirror", "engine", source=none))
    assert "no.gpg, and not there: install the distribution's keyring" in said and "vllm_bundle_archive" in said
    (tmp_path / "no.gpg").write_text("no key")
    monkeypatch.setenv("HOME", str(tmp_path))
    none["keyrings"] = ["~/no.gpg"]
    assert "it is no OpenPGP key" in refused(
        tmp_path / "b", repositories.wanted("http://mirror", "engine", source=none)
    )


def test_without_apt_that_is_said(tmp_path: pathlib.Path) -> None:
    wanted = repositories.wanted("http://mirror", "engine")
    said = refused(tmp_path / "b", wanted, has=lambda program: program != "apt-get")
    assert "there is no apt-get where the bundle is made" in said and "as vllm_bundle_host" in said
    assert "there is no dpkg-deb" in refused(tmp_path / "b", wanted, has=lambda program: program != "dpkg-deb")


def test_what_leads_out_of_the_bundle_is_refused(tmp_path: pathlib.Path) -> None:
    said = refused(tmp_path / "b", repositories.wanted("http://mirror", "engine", system="../../etc"))
    assert "../../etc is no distribution with a release and an architecture" in said
    assert "package_set has no packages" in refused(tmp_path / "b", t.cast("Wanted", {**_without("packages")}))
    for name in ("with spaces", "a,b", "a:b", "a'b"):
        assert "take one without spaces, quotes, commas" in refused(
            tmp_path / name, repositories.wanted("http://mirror", "engine")
        )
    with pytest.raises(Failed, match="take one without spaces"):
        come(tmp_path / "a,b", repositories.wanted("http://mirror", "engine"), check=True)


def _without(name: str) -> Json:
    return {key: value for key, value in repositories.wanted("http://mirror", "engine").items() if key != name}


class Scripted:
    """An apt that says what a test wants, by its second or third word."""

    def __init__(self, **said: str) -> None:
        self.said, self.commands = said, list[list[str]]()

    def __call__(self, command: list[str], environment: dict[str, str], cwd: str | None) -> tuple[int, str, str]:
        assert environment["APT_CONFIG"].endswith("etc/apt/apt.conf")
        self.commands.append(command)
        if command[0] == "dpkg-deb":
            pins = pathlib.Path(command[3]) / "etc/apt/preferences.d"
            pins.mkdir(parents=True)
            (pins / "branch").write_text("Package: *\n")
        if "download" in command:
            assert cwd is not None
            (pathlib.Path(cwd) / "pinning_1_all.deb").touch()
        return 0, next((text for word, text in self.said.items() if word in command), ""), ""


SHOWN = "Package: a\nVersion: 1\nArchitecture: all\nFilename: ./a_1_all.deb\nSize: 3\nMD5sum: 0f\nSHA256: " + "1" * 64
LISTED = "'http://m/a_1_all.deb' a_1_all.deb 3 MD5Sum:0f\n"


def resolved(place: pathlib.Path, apt: Scripted, **changed: t.Any) -> list[apt_root.Deb]:
    return apt_root.AptRoot(str(place), repositories.wanted("http://m", "a", **changed), {"test": b"k"}, apt).resolve()


def test_what_comes_first_pins_the_rest(tmp_path: pathlib.Path) -> None:
    apt = Scripted(install=LISTED, show=SHOWN)
    assert [one.path for one in resolved(tmp_path, apt, first=["pinning"])] == [f"pool/{'1' * 16}/a_1_all.deb"]
    assert (tmp_path / "etc/apt/preferences.d/branch").read_text() == "Package: *\n"
    assert [one[-1] for one in apt.commands if "install" in one] == ["pinning", "a"]
    resolved(tmp_path, apt)
    assert os.listdir(tmp_path / "etc/apt/preferences.d") == []


@pytest.mark.parametrize(
    "listed, shown, said",
    [
        ("", SHOWN, "apt lists 0 packages for a"),
        (LISTED, "", "apt does not say what a_1_all.deb is"),
        (LISTED, SHOWN.replace("0f", "0e"), "apt does not say what a_1_all.deb is"),
        (LISTED, SHOWN.replace("Size: 3", "Size: 4"), "apt does not say what a_1_all.deb is"),
        (LISTED, SHOWN.replace("SHA256", "SHA1"), "a has no file and no SHA-256 in the index"),
        (LISTED, SHOWN.replace("./a_1_all.deb", "./b_1_all.deb"), "apt does not say what a_1_all.deb is"),
        (LISTED.replace("a_1_all.deb'", "A%26.deb'"), SHOWN.replace("./a_1_all.deb", "A&.deb"), "a has no file and no"),
        (LISTED.replace("http://m", "file:/m"), SHOWN, "expected http:// or https://"),
    ],
)
def test_what_apt_says_is_not_taken_as_it_comes(tmp_path: pathlib.Path, listed: str, shown: str, said: str) -> None:
    with pytest.raises(Failed) as error:
        resolved(tmp_path, Scripted(install=listed, show=shown))
    assert said in str(error.value)


def test_of_two_with_one_version_the_one_that_is_fetched_counts(tmp_path: pathlib.Path) -> None:
    other = SHOWN.replace("0f", "0e").replace("1" * 64, "2" * 64)
    found = resolved(tmp_path, Scripted(install=LISTED, show=f"{other}\n\n{SHOWN}"))
    assert [one.sha256 for one in found] == ["1" * 64]


def test_two_hosts_may_have_other_files_of_one_name(tmp_path: pathlib.Path) -> None:
    parts = []
    for content in (b"one", b"two"):
        shown = SHOWN.replace("1" * 64, hashlib.sha256(content).hexdigest())
        wanted = repositories.wanted("http://m", "a")
        hub = hubs.Hub({"http://m/a_1_all.deb": content})
        came = come(tmp_path / "b", wanted, run=Scripted(install=LISTED, show=shown), opened=hub)
        parts.append(t.cast("Json", came.part))
    told = whole.write(str(tmp_path / "b"), parts, ["gpu01", "gpu02"], keep=True)
    assert "sets of packages: 2" in told["msg"]
    assert sorted(one.read_bytes() for one in (tmp_path / "b/packages").glob("**/a_1_all.deb")) == [b"one", b"two"]


def test_an_index_in_another_encoding_stays_as_it_is(tmp_path: pathlib.Path) -> None:
    shown = f"{SHOWN.replace('1' * 64, hashlib.sha256(b'one').hexdigest())}\nMaintainer: Ren\udce9"
    hub = hubs.Hub({"http://m/a_1_all.deb": b"one"})
    run = Scripted(install=LISTED, show=shown)
    come(tmp_path / "b", repositories.wanted("http://m", "a"), run=run, opened=hub)
    (index,) = (tmp_path / "b/packages").glob("*/*/Packages")
    assert b"Maintainer: Ren\xe9\n" in index.read_bytes()
