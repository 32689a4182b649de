# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Classes of failures that a transaction tells by itself, beside those of an engine and of its proof.

The table of docs/failures.md is written from this one by `make docs`. What to do is said with each failure.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t


class Own(t.NamedTuple):
    """A class, what it means, and whether it is of the moment: then the release may be tried again unasked."""

    name: str
    means: str
    of_the_moment: bool = False


OWN: tuple[Own, ...] = (
    Own("api_key.missing", "the file with the release's API key is gone; the next run brings it", True),
    Own("api_key.user", "the image runs as a user without a known number, to whom no API key file can be given"),
    Own("bind.address", "the address to listen on is none of the host's"),
    Own("cache.folder", "the folder for what vLLM compiles cannot be made ready", True),
    Own("container.foreign", "a container of somebody else has one of the instance's names", True),
    Own("container.gone", "somebody removed the candidate's container while it was tried"),
    Own("container.newer", "the release was written by a newer gpufleet.vllm, with other container settings", True),
    Own("container.start", "Docker does not start the container; its message says why"),
    Own("container.stop", "Docker does not stop or rename the container that serves", True),
    Own("docker", "Docker failed during a rollback"),
    Own("docker.away", "Docker does not answer", True),
    Own("files.changed", "a file besides the model is not what was planned with", True),
    Own("files.missing", "a file besides the model, which a kept release needs, is gone or damaged", True),
    Own("image.archive", "the archive of the image is damaged, or holds another image", True),
    Own("image.credentials", "the registry does not take the login, or asks for one", True),
    Own("image.denied", "the registry does not give this image with this login", True),
    Own("image.entrypoint", "the image starts otherwise than vLLM of that release does"),
    Own("image.not_there", "the registry has no such image", True),
    Own("image.pull", "the image cannot be fetched: its registry is out of reach or breaks off", True),
    Own("image.rate_limit", "the registry gives out no more images for now", True),
    Own("image.tls", "the registry's certificate is not trusted, or it speaks no TLS", True),
    Own("image.version", "the image holds another vLLM than was planned for"),
    Own("internal", "a disk or Docker failed where no failure was thought of", True),
    Own("interrupted", "the transaction was cut off: killed, past its last deadline, or by a reboot", True),
    Own("live.moved_on", "settings were planned for a release that is not the current one any more"),
    Own("live.none", "no verified release is there whose settings could be changed"),
    Own("model.pickle", "the weights are pickles alone, and `load_format` does not ask for them"),
    Own("ready.timeout", "the engine was not ready within `timeouts.ready`"),
    Own("rejected", "this very release was tried before and failed"),
    Own("repair.moved_on", "a repair was planned for a release that is not the current one any more"),
    Own("repair.none", "no verified release is there that could be repaired"),
    Own("request.unknown", "the host's program is of another version than what asks it"),
    Own("rollback.moved_on", "the host serves another release by now than the one to be rolled back"),
    Own("rollback.none", "no release before it is kept"),
    Own("rolled_back", "an operator rolled it back"),
    Own("state.unwritable", "the folder of the state cannot be written", True),
    Own("turn.busy", "another member of the group is being changed, or is to be rolled back first", True),
    Own("turn.lost", "the member that is to be put back has no verified release any more", True),
    Own("turn.none", "no verified release of the member rests on the host", True),
    Own("turn.resting", "another member of the group has the turn, and nobody asked for it to end", True),
    Own("turn.unknown", "the state of another member of the group cannot be known", True),
    Own("watch.died", "the engine died after its rollout, again and again"),
    Own("watch.wedged", "the engine answered nothing after its rollout, again and again"),
)
OF_THE_MOMENT = frozenset(own.name for own in OWN if own.of_the_moment)
