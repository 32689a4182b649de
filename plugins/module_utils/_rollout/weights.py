# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of a release, where it is a folder of the host: whole as far as headers tell, and no pickles.

Private to the collection: may change without notice.
"""

from __future__ import annotations

from .._docker.release import Release
from .._model.inspect import inspect, pickle_only
from .._outside.documents import Json
from .failure import Refused

# What the hub's client takes for yes.
ON = ("1", "ON", "YES", "TRUE")
# With these vLLM looks for safetensors first, and takes pickles where there are none.
SAFE_FORMATS = ("", "auto", "safetensors")


def look_at(release: Release) -> Json:
    """What the model of a release is by its files on the host, those of a hub among what its container sees."""
    model = release["model"]
    return inspect(model.get("path") or model["id"], _hub_dir(release), model.get("revision") or "")


def _hub_dir(release: Release) -> str:
    """Where the host has what its container sees as the hub's cache; '' where it sees none."""
    inside = release["env"].get("HF_HUB_CACHE")
    mounts = [volume.split(":") for volume in release["container"]["volumes"]]
    return next((mount[0] for mount in mounts if len(mount) > 1 and mount[1] == inside), "")


def must_be_whole(release: Release) -> None:
    """Raises Refused (model.missing, model.broken, model.pickle). A model of a hub is vLLM's own affair, unless it may
    ask none."""
    path = release["model"].get("path")
    if not path:
        _must_be_fetched(release)
        return
    found = look_at(release)
    if found["problems"]:
        failure_class = "model.missing" if found["config"] is None else "model.broken"
        raise Refused(failure_class, " ".join(found["problems"]), "Put the model there whole, or correct `model`.")
    asked = str(release["arguments"].get("load_format") or "")
    pickled = pickle_only(path) if asked in SAFE_FORMATS else ""
    if pickled:
        raise Refused(
            "model.pickle",
            f"{path} holds its weights as pickle files only ({pickled}), which can carry code",
            "Use a build with safetensors, or set load_format to pt where you trust these.",
        )


def _must_be_fetched(release: Release) -> None:
    """Where the engine may ask no hub, what is not on the host does not come. Raises Refused."""
    if str(release["env"].get("HF_HUB_OFFLINE", "")).upper() not in ON or not _hub_dir(release):
        return
    found = look_at(release)
    if found["path"] is None:
        raise Refused(
            "model.missing",
            f"{' '.join(found['notes'])} Its engine asks no hub (HF_HUB_OFFLINE)",
            "Bring it with playbooks/fetch.yml, or with model_store_manage: true in the same run.",
        )
