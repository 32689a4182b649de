# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bundle is signed once by a real ssh-keygen, and one that is not signed by whom it should be is refused."""

from __future__ import annotations

import base64
import os
import pathlib
import subprocess
import time
import typing as t

import pytest

from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle import manifest, signature
from ansible_collections.gpufleet.vllm.plugins.module_utils._bundle.manifest import BadBundle
from ansible_collections.gpufleet.vllm.tests.unit.plugins.module_utils._bundle import bundles


def run(words: t.Sequence[str], given: bytes) -> tuple[int, str, str]:
    done = subprocess.run(words, input=given, capture_output=True, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def key(place: pathlib.Path, passphrase: str = "") -> tuple[str, str]:
    """The path of a private key, and the line of the public one."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "who made it", "-f", str(place)]
    subprocess.run(words, check=True)
    return str(place), place.with_suffix(".pub").read_text()


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    bundles.made(tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture
def digest(root: pathlib.Path) -> str:
    return manifest.parse((root / manifest.FILE).read_text())["digest"]


def test_it_is_signed_once_and_by_one_of_those_who_may(root: pathlib.Path, digest: str, tmp_path: pathlib.Path) -> None:
    private, public = key(tmp_path / "mine")
    _private, other = key(tmp_path / "other")
    assert signature.sign(run, str(root), private)
    assert not signature.sign(run, str(root), private)
    signature.must_be_signed(run, str(root), digest, [other, public])


def test_another_key_is_refused(root: pathlib.Path, digest: str, tmp_path: pathlib.Path) -> None:
    private, _public = key(tmp_path / "mine")
    _private, other = key(tmp_path / "other")
    signature.sign(run, str(root), private)
    with pytest.raises(BadBundle, match="is not the signature of this manifest by a key of vllm_bundle_signers"):
        signature.must_be_signed(run, str(root), digest, [other])


def test_a_manifest_that_was_written_anew_is_refused(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    private, public = key(tmp_path / "mine")
    signature.sign(run, str(root), private)
    bundles.rewritten(root, lambda one: one.update(hosts=["somebody"]))
    changed = manifest.parse((root / manifest.FILE).read_text())["digest"]
    with pytest.raises(BadBundle, match="is not the signature of this manifest"):
        signature.must_be_signed(run, str(root), changed, [public])
    assert signature.sign(run, str(root), private)


def test_a_signature_for_something_else_is_none(root: pathlib.Path, digest: str, tmp_path: pathlib.Path) -> None:
    private, public = key(tmp_path / "mine")
    words = ["ssh-keygen", "-Y", "sign", "-q", "-n", "file", "-f", private]
    (root / signature.FILE).write_text(run(words, (root / manifest.FILE).read_bytes())[1])
    with pytest.raises(BadBundle, match="is not the signature of this manifest"):
        signature.must_be_signed(run, str(root), digest, [public])


def test_one_without_a_signature_is_refused(root: pathlib.Path, digest: str, tmp_path: pathlib.Path) -> None:
    private, public = key(tmp_path / "mine")
    signature.sign(run, str(root), private)
    signature.drop(str(root))
    with pytest.raises(BadBundle, match=r"has no bundle\.json\.sig, and vllm_bundle_signers says who has to"):
        signature.must_be_signed(run, str(root), digest, [public])


def test_a_manifest_that_changes_meanwhile_is_refused(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    private, public = key(tmp_path / "mine")
    signature.sign(run, str(root), private)
    with pytest.raises(BadBundle, match="was changed while it was read"):
        signature.must_be_signed(run, str(root), "sha256:" + "0" * 64, [public])


def test_a_signature_that_is_too_long_is_not_read(root: pathlib.Path, digest: str, tmp_path: pathlib.Path) -> None:
    _private, public = key(tmp_path / "mine")
    (root / signature.FILE).write_bytes(bytes(signature.LIMIT + 1))
    with pytest.raises(BadBundle, match="has more than 65536 bytes"):
        signature.must_be_signed(run, str(root), digest, [public])


def test_a_key_that_cannot_sign_is_named(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    with pytest.raises(BadBundle, match=r"the manifest cannot be signed with /none .*: .*; name a private key of SSH"):
        signature.sign(run, str(root), "/none")
    assert not (root / signature.FILE).exists()


def invalid(kind: str = "ssh-ed25519") -> str:
    """A line that looks like a key, and of which only ssh-keygen finds that it is none: its point is missing."""
    name = kind.encode()
    return f"{kind} {base64.b64encode(len(name).to_bytes(4, 'big') + name + bytes(9)).decode()} somebody"


@pytest.mark.parametrize("first", [True, False])
def test_a_key_that_ssh_keygen_cannot_read_hides_no_other(
    root: pathlib.Path, digest: str, tmp_path: pathlib.Path, first: bool
) -> None:
    private, public = key(tmp_path / "mine")
    signature.sign(run, str(root), private)
    signature.must_be_signed(run, str(root), digest, [invalid(), public] if first else [public, invalid()])


def test_a_key_that_ssh_keygen_cannot_read_is_named(root: pathlib.Path, digest: str, tmp_path: pathlib.Path) -> None:
    private, _public = key(tmp_path / "mine")
    _private, other = key(tmp_path / "other")
    signature.sign(run, str(root), private)
    with pytest.raises(BadBundle, match=r"\(.+; ssh-keygen takes ssh-ed25519 AAAAC3\S+\.\.\. for no key\)"):
        signature.must_be_signed(run, str(root), digest, [other, invalid()])


def test_a_comment_may_be_long(root: pathlib.Path, digest: str, tmp_path: pathlib.Path) -> None:
    private, public = key(tmp_path / "mine")
    signature.sign(run, str(root), private)
    signature.must_be_signed(run, str(root), digest, [f"{public.strip()} {'and more ' * 100}"])


def test_a_folder_in_the_place_of_the_signature_is_named(
    root: pathlib.Path, digest: str, tmp_path: pathlib.Path
) -> None:
    private, public = key(tmp_path / "mine")
    (root / signature.FILE).mkdir()
    for one in (
        lambda: signature.sign(run, str(root), private),
        lambda: signature.must_be_signed(run, str(root), digest, [public]),
        lambda: signature.drop(str(root)),
    ):
        with pytest.raises(BadBundle, match=r"bundle\.json\.sig is a folder, and the signature has to be there"):
            one()


def test_a_passphrase_is_asked_of_nobody(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    private, _public = key(tmp_path / "mine", "secret")
    asked: list[t.Sequence[str]] = []

    def seen(words: t.Sequence[str], given: bytes) -> tuple[int, str, str]:
        asked.append(words)
        return run(words, given)

    with pytest.raises(BadBundle, match="it has a passphrase, which nobody is asked for here: `ssh-add` it to"):
        signature.sign(seen, str(root), private)
    # Without this ssh-keygen asks at the terminal of whoever runs the playbook.
    assert [one[one.index("-P") + 1] for one in asked] == [""]
    assert not (root / signature.FILE).exists()


def test_a_key_in_an_agent_signs_once(
    root: pathlib.Path, digest: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = key(tmp_path / "mine", "secret")
    socket, answers = tmp_path / "agent", tmp_path / "answers"
    answers.write_text("#!/bin/sh\necho secret\n")
    answers.chmod(0o700)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        asks = {**os.environ, "SSH_ASKPASS": str(answers), "SSH_ASKPASS_REQUIRE": "force"}
        for _try in range(6000):
            if socket.exists() or agent.poll() is not None:
                break
            time.sleep(0.01)
        subprocess.run(["ssh-add", "-q", private], check=True, env=asks)
        assert signature.sign(run, str(root), private)
    finally:
        agent.terminate()
        agent.wait()
    # The agent is gone: what is signed already takes no private key.
    assert not signature.sign(run, str(root), private)
    signature.must_be_signed(run, str(root), digest, [public])


def test_all_that_are_no_keys_are_named_at_once() -> None:
    with pytest.raises(BadBundle, match="has 'AAAA' and 'ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA', which is no public key"):
        signature.keys(["AAAA", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAA"])


@pytest.mark.parametrize(
    "line",
    ["", "AAAA", "ssh-ed25519", "cert-authority ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "ssh-ed25519 AAAA\n* ssh-rsa B"],
)
def test_what_is_no_public_key_is_refused(line: str) -> None:
    with pytest.raises(BadBundle, match="which is no public key of SSH"):
        signature.keys([line])
