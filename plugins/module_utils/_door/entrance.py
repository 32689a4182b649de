# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The port of an instance, closed to new connections from elsewhere while its engine is drained, stopped and proved.

A door on another host cannot be told by this one, and vLLM goes on listening as it drains and answers what is new with
an error. A connection that is refused is what every door understands: nothing of the request was sent, so it is asked
of another server. Connections that are there stay, and so does whatever comes over the loopback.

The rules are iptables', which Docker has brought. Who closed them opens them at the end, recovery does where that was
killed, a start of the host where a saved firewall brought them back, and after LONGEST, beyond what a drain may take,
they count no more.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import subprocess
import time
import typing as t

Run = t.Callable[[t.Sequence[str]], "tuple[int, str]"]
TOOLS: t.Final = {4: "iptables", 6: "ip6tables"}
# Of packets to a server of the host itself, and to one in a container. Of those that are passed on, only what was sent
# to this host and is turned to a container: one that asks another host on the same port is let through.
CHAINS: t.Final = {"INPUT": (), "FORWARD": ("-m", "conntrack", "--ctstate", "DNAT")}
LONGEST = 2 * 3600
# Limits may have been let through that are none.
MOST = 60 * 24 * 3600
WITHIN = 20
# Another program may hold the lock of the tables.
WAIT: t.Final = ("-w", "5")
LOCKED: t.Final = "xtables lock"
NOT_RUN = 126
MARK: t.Final = "gpufleet drains "
# As iptables writes it down, and as a shell would.
_MARKED = re.compile(rf"""^-A .*--comment ["']{MARK}([a-z0-9][a-z0-9-]*)["']""", re.MULTILINE)


def run(command: t.Sequence[str]) -> tuple[int, str]:
    """The exit code, and what was said; 127 for a program that is not there."""
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command, capture_output=True, text=True, errors="replace", timeout=WITHIN, check=False
        )
    except FileNotFoundError:
        return 127, f"{command[0]} is not there"
    except (OSError, subprocess.SubprocessError) as error:
        return NOT_RUN, f"{command[0]}: {type(error).__name__}"
    return done.returncode, done.stdout if done.returncode == 0 else " ".join(done.stderr.split())[:300]


class Entrance:
    """The ports of this host's instances."""

    def __init__(self, run: Run = run, now: t.Callable[[], float] = time.time) -> None:
        self.run, self.now = run, now
        # By tool, chain and instance, what was made and may not be listed any more: a firewall was loaded meanwhile.
        self.made: dict[tuple[str, str, str], list[str]] = {}

    def close(self, instance: str, bind: str, port: int, seconds: float = 0) -> str:
        """New connections from elsewhere are refused from here on, LONGEST beyond SECONDS; why they are not, or ''."""
        address = ipaddress.ip_address(bind.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        # Docker's own proxy, which listens on `::`, takes IPv4 too.
        tools = list(TOOLS.values()) if address == ipaddress.IPv6Address("::") else [TOOLS[address.version]]
        to = ["--ctorigdstport", str(port)]
        if not address.is_unspecified:
            to += ["--ctorigdst", str(address)]
        end = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self.now() + LONGEST + min(seconds, MOST)))
        self.open(instance)
        for tool in tools:
            for chain in CHAINS:
                amiss = self._not_listed(tool, chain) or self._refuse(tool, chain, instance, to, end)
                if amiss:
                    self.open(instance)
                    return amiss
        return ""

    def _not_listed(self, tool: str, chain: str) -> str:
        """Why the rules of a chain cannot be read, or ''. What could not be found again is not closed.

        Beside rules that nft alone can say, iptables makes new ones, and lists none.
        """
        code, said = self.run([tool, *WAIT, "-S", chain])
        return "" if code == 0 else said or f"{tool} failed"

    def _refuse(self, tool: str, chain: str, instance: str, to: t.Sequence[str], end: str) -> str:
        """A kernel without the match for times has the rule without an end."""
        said = ""
        for limit in (["-m", "time", "--datestop", end], []):
            # To a kernel that tracks connections from here on, those that are there are new: their first packet tells.
            matches = ["!", "-i", "lo", "-p", "tcp", "--syn", "-m", "conntrack", "--ctstate", "NEW"]
            matches += [*to, *CHAINS[chain], *limit, "-m", "comment", "--comment", _mark(instance)]
            rule = [*matches, "-j", "REJECT", "--reject-with", "tcp-reset"]
            code, said = self.run([tool, *WAIT, "-I", chain, "1", *rule])
            if code == 0:
                self.made[tool, chain, instance] = [chain, *rule]
                return ""
            if _was_busy(code, said):
                break
        return said or f"{tool} failed"

    def open(self, instance: str) -> str:
        """Whoever connects is let in again; what is still refused, or ''."""
        amiss = []
        for tool in TOOLS.values():
            for chain in CHAINS:
                rules, unknown = self._rules(tool, chain, instance)
                amiss += [unknown] if unknown else []
                for rule in rules:
                    code, said = self.run([tool, *WAIT, "-D", *rule])
                    if code != 0:
                        amiss.append(said or f"{tool} failed")
                    else:
                        self.made.pop((tool, chain, instance), None)
        return "; ".join(dict.fromkeys(amiss))

    def closed(self) -> list[str]:
        """Names of the instances that any rule of ours is there for, whoever left it."""
        found = set()
        for tool in TOOLS.values():
            for chain in CHAINS:
                code, said = self.run([tool, *WAIT, "-S", chain])
                found |= set(_MARKED.findall(said)) if code == 0 else set()
        return sorted(found)

    def _rules(self, tool: str, chain: str, instance: str) -> tuple[list[list[str]], str]:
        """The chain and the words of each rule that was made for the instance; why they are not known, or ''.

        A tool that is not there, or has no tables in this kernel, has made none.
        """
        code, said = self.run([tool, *WAIT, "-S", chain])
        if code != 0:
            made = self.made.get((tool, chain, instance))
            return ([made], "") if made else ([], said if _was_busy(code, said) else "")
        found = []
        for line in said.splitlines():
            try:
                words = shlex.split(line)
            except ValueError:
                continue  # none of ours
            if words[:1] == ["-A"] and _mark(instance) in words:
                found.append(words[1:])
        return found, ""


def _was_busy(code: int, said: str) -> bool:
    """It did not come to it, whatever it would have been."""
    return code == NOT_RUN or LOCKED in said


def _mark(instance: str) -> str:
    return f"{MARK}{instance}"
