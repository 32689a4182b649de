# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an image was not pulled: Docker hands on what a registry said, each in its own words.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t


class Kind(t.NamedTuple):
    """A class of failure, by what Docker says; the cause and the advice are sentences with what is known in braces.

    `nobody` is the cause where no login was sent, '' where that makes no difference.
    """

    name: str
    pattern: t.Pattern[str]
    cause: str
    advice: str
    nobody: str = ""


ANYTHING: t.Final = "image.pull"
RATE_LIMIT: t.Final = "image.rate_limit"
FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)


def _said(pattern: str) -> t.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


# The first that matches, so what is more certain comes first: Docker Hub says `denied` of what is not there, too.
KINDS: t.Final = (
    Kind(
        "image.rate_limit",
        _said(r"toomanyrequests|429 too many requests|rate limit"),
        "{registry} gives out no more images for now ({login})",
        "Wait, log in to {registry} (vllm_server_registries), or pull from a mirror (vllm_server_image_mirrors): hosts "
        "behind one address share a limit.",
    ),
    Kind(
        "image.tls",
        _said(
            r"x509|certificate|tls: (?!.*timeout)|server gave HTTP response to HTTPS client|first record does not look"
        ),
        "no trusted connection to {registry}",
        "Put the certificate of its authority into /etc/docker/certs.d/{registry}/ca.crt, or list a registry without "
        "TLS in container_runtime_insecure_registries.",
    ),
    Kind(
        "image.credentials",
        _said(
            r"incorrect username or password|no basic auth credentials|authentication required|invalid_grant"
            r"|unauthorized(?!.*denied)|401 unauthorized"
        ),
        "{registry} does not take the login ({login})",
        "State user and password, or an identity token, of {registry} in vllm_server_registries, or log in on the host "
        "(docker login {registry}).",
        nobody="{registry} asks for a login, and none is known for it",
    ),
    Kind(
        "image.not_there",
        _said(
            r"manifest unknown|manifest for .{1,400} not found|name unknown|repository name not known"
            r"|name invalid|invalid repository name|: not found$|tag does not exist|no such manifest"
        ),
        "{registry} has no image {name}",
        "Correct vllm_server_image, or the instance's own image. A digest is gone once its registry has cleared it "
        "away: pull another one, or load it from an archive (vllm_server_image_archives).",
    ),
    Kind(
        "image.denied",
        _said(r"denied|403 forbidden|insufficient_scope|requested access to the resource"),
        "{registry} does not give {repository} with this login ({login}), or has no such repository: both look alike",
        "Correct vllm_server_image, or the instance's own image, or state a login (vllm_server_registries) with the "
        "right to pull {repository}.",
        nobody="{registry} does not give {repository} without a login, or has no such repository: both look alike, and "
        "no login is known for it",
    ),
    Kind(
        "image.pull",
        _said(
            r"dial tcp|no such host|connection refused|connection reset|network is unreachable|no route to host"
            r"|i/o timeout|timeout|unexpected EOF|: EOF|server misbehaving|proxyconnect|context deadline|broke off"
        ),
        "{registry} cannot be reached, or broke off",
        "Make {registry} reachable from the host (docker login there if it asks), pull from a mirror "
        "(vllm_server_image_mirrors), or load the image from an archive (vllm_server_image_archives).",
    ),
)
UNKNOWN: t.Final = Kind(
    ANYTHING,
    _said(""),
    "it could not be pulled from {registry}",
    "Correct vllm_server_image, or the instance's own image, or make its registry reachable from the host (docker "
    "login there if it asks).",
)
NAMES: t.Final = tuple(dict.fromkeys(kind.name for kind in KINDS))


def kind_of(message: str) -> Kind:
    return next((kind for kind in KINDS if kind.pattern.search(message)), UNKNOWN)


def is_full(message: str) -> bool:
    """Whether the host's disk is what the image did not fit on."""
    return bool(FULL.search(message))
