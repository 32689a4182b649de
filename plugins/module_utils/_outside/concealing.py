# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in what is read and told: found by their shape, or by the name that they stand under, and masked.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re
import typing as t

MASK = "***"
DEEPEST = 64

# By the name of a variable of the environment.
VARIABLE = re.compile(
    r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|APIKEY|KEY|KEY_ID)$|_PWD$|SECRET|PASSWORD|API_KEY"
)
# By any other name, where a token may be one of text: `hf_token` is a secret and `eos_token` is none.
_NAME = re.compile(
    r"(^|[_.-])(secret|password|passwd|passphrase|credentials?|api[_-]?key|(access|secret|private)[_-]?key"
    r"|(hf|auth|access|bearer|refresh|api|session)[_-]?token)$",
    re.IGNORECASE,
)
_TOLD_NAME = (
    r"[\w.-]{0,40}(?:password|passwd|passphrase|secret|credential|signature|api[_-]?key|access[_-]?key|[_-]?token)"
)

# Credentials in a URL, up to the last @ before its host ends. A password may have one, and a slash where nobody has
# encoded it: what stands behind a colon and is no port is a password. Everything is bounded, as logs are hostile.
_ADDRESS = re.compile(r"(?<=://)(?:[^/\s\"'<>@:]{0,256}:(?!\d*[/?#\s])[^\s\"'<>]{0,256}|[^/\s\"'<>]{1,256})(?=@)")
_QUERY = re.compile(rf"(?<=[?&;]){_TOLD_NAME}=[^&\s\"'<>#]+", re.IGNORECASE)
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:hf_[A-Za-z0-9]{16,}|sk-(?=[\w-]{0,99}\d)[\w-]{16,}|gh[pousr]_[A-Za-z0-9]{16,}"
    r"|github_pat_\w{20,}|glpat-[\w-]{16,}|dckr_pat_[\w-]{16,}|nvapi-[\w-]{16,}|(?:AKIA|ASIA)[0-9A-Z]{12,}"
    r"|xox[abprs]-[\w-]{10,}|AIza[\w-]{30,}|eyJ[\w-]{10,999}\.eyJ[\w-]{10,}\.[\w-]*)"
)
_KEY_BEGINS = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END [A-Z ]{0,30}PRIVATE KEY-----")
_KEY_LINE = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
# Characters of a key and of what a log puts before each of its lines.
_KEY_LONGEST = 16_384
# `Authorization: Bearer ...`, as headers and their dictionaries have it.
_AUTHORIZATION = re.compile(r"(authorization[\"']?\s?[:=]\s?[\"']?(?:bearer|basic)\s)[^\s\"',;]+", re.IGNORECASE)
# `user:password@proxy:3128`, as variables of proxies have it; an image with tag and digest looks alike.
_BARE = re.compile(r"[^\s/@:]+:[^\s/@]+(?=@(?!sha256:)[^\s/@]+$)")
# What a log says of a setting: HF_TOKEN=..., 'api_key': '...', --api-key ...
_SAID = re.compile(
    r"(?P<name>(?<![\w.-])-{0,2}[\w.-]{0,40}(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key"
    r"|(?:hf|hub|github|auth|access|bearer|refresh)[_-]?token)"
    r"[\"']?(?:\s?[=:]\s?|(?<=--hf-token)\s|(?<=--api-key)\s))(?P<value>\[[^\]]{0,999}\]|\"[^\"]{0,999}\"|'[^']{0,999}'|[^\s\"',;&)}\]]+)",
    re.IGNORECASE,
)
_NO_VALUE = ("", "none", "null", "true", "false", "0", "1", MASK)


class Found(t.NamedTuple):
    """A secret: where it stands, as `env.HTTPS_PROXY`, and what it is known by."""

    where: str
    what: str


ADDRESS = "has credentials in an address"
TOKEN = "looks like a token or a key"
NAME = "is a secret by its name"


def concealed_text(text: str) -> str:
    """The text with the credentials of addresses and with tokens masked."""
    if "://" in text:
        text = _QUERY.sub(lambda pair: f"{pair.group().partition('=')[0]}={MASK}", _ADDRESS.sub(MASK, text))
    return _TOKEN.sub(MASK, _without_private_keys(text) if "PRIVATE KEY-----" in text else text)


def concealed_log(text: str) -> str:
    """The same, and with the value of what a log says of a password, a key or a token."""
    return _SAID.sub(_told, _AUTHORIZATION.sub(rf"\g<1>{MASK}", concealed_text(text)))


def concealed(document: t.Any) -> t.Any:
    """A document of JSON with every secret in it masked."""
    return _masked(document, "", "", [], DEEPEST)


def secrets(document: t.Any, where: str = "") -> list[Found]:
    """The secrets in a document of JSON; `where` is how its own place is called."""
    found: list[Found] = []
    _masked(document, where, "", found, DEEPEST)
    return found


def is_secret_variable(name: str) -> bool:
    return bool(VARIABLE.search(name.upper()))


def _without_private_keys(text: str) -> str:
    parts, at = [], 0
    # Each end is looked for once, however many keys begin before it.
    ends = _KEY_ENDS.search(text)
    while begins := _KEY_BEGINS.search(text, at):
        body = begins.end()
        while ends and ends.start() < body:
            ends = _KEY_ENDS.search(text, ends.end())
        whole = ends is not None and ends.end() - body <= _KEY_LONGEST
        parts += [text[at : begins.start()], MASK]
        at = ends.end() if ends and whole else body + _length_of_half_a_key(text[body : body + _KEY_LONGEST])
    return "".join([*parts, text[at:]])


def _length_of_half_a_key(text: str) -> int:
    """Of a key whose end is missing: the rest of its line, and each next one that ends as those of a key do."""
    end = text.find("\n")
    length = len(text) if end < 0 else end
    while end >= 0:
        begin, end = end + 1, text.find("\n", end + 1)
        line = text[begin : end if end >= 0 else len(text)]
        if not _KEY_LINE.fullmatch((line.split() or [""])[-1]):
            break
        length = begin + len(line)
    return length


def _told(said: re.Match[str]) -> str:
    value = said["value"]
    return said.group() if value.strip("\"'").lower() in _NO_VALUE else f"{said['name']}{MASK}"


def _masked(value: t.Any, where: str, name: str, found: list[Found], levels: int) -> t.Any:
    if isinstance(value, str):
        masked, what = _text(str.__str__(value), name)
        if what:
            found.append(Found(where, what))
        return masked if what else value
    if not isinstance(value, (dict, list, tuple)):
        return value
    if levels == 0:
        return None
    if isinstance(value, dict):
        keys = ((key, _text(str(key), "")[1]) for key in value)
        found += [Found(_below(where, "a key"), what) for _key, what in keys if what]
        return {
            concealed_text(key) if isinstance(key, str) else key: _masked(
                part, _below(where, concealed_text(str(key))), f"{name}.{key}" if name else str(key), found, levels - 1
            )
            for key, part in value.items()
        }
    return [_masked(part, f"{where}[{at}]", name, found, levels - 1) for at, part in enumerate(value)]


def _below(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _text(text: str, name: str) -> tuple[str, str]:
    """The text as it is told, and what it was found to be; '' where it is no secret."""
    group, _dot, last = name.rpartition(".")
    of_environment = group == "env" or group.endswith(".env")
    if text.strip().lower() not in _NO_VALUE and (is_secret_variable(last) if of_environment else _NAME.search(name)):
        return MASK, NAME
    if "proxy" in last.lower() and _BARE.match(text):
        return _BARE.sub(MASK, text), ADDRESS
    masked = concealed_text(text)
    if masked == text:
        return text, ""
    return masked, ADDRESS if concealed_text(_TOKEN.sub("", text)) != _TOKEN.sub("", text) and "://" in text else TOKEN
