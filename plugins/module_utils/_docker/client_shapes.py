# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of Docker's documents, and so has to be there. A part that it leaves out, or null, has a `?`.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import re

from .._outside.documents import Shape

CONTAINER: Shape = {
    "Id": str,
    "Name": str,
    "Image": str,
    "RestartCount?": int,
    "State": {"Status": str, "Running": bool, "StartedAt": str, "ExitCode?": int, "OOMKilled?": bool, "Pid?": int},
    "HostConfig": {
        "RestartPolicy": {"Name": str},
        "PortBindings?": {},
        "DeviceRequests?": [{"Driver?": str, "DeviceIDs?": [str], "Capabilities?": [[str]]}],
        "Devices?": [{}],
        "Runtime?": str,
    },
    "Config": {"Labels?": {}, "User?": str, "Env?": [str]},
    "Mounts?": [{}],
}
LISTED: Shape = [
    {
        "Id": str,
        "Names?": [str],
        "ImageID?": str,
        "Labels?": {},
        "Ports?": [{"IP?": str, "PublicPort?": int}],
        "Mounts?": [{"Source?": str}],
    },
]
IMAGE: Shape = {
    "Id": str,
    "RepoTags?": [str],
    "RepoDigests?": [str],
    "Config?": {"Entrypoint?": [str], "User?": str},
    "RootFS?": {"Layers?": [str]},
    "Size?": int,
}
INFO: Shape = {
    "DockerRootDir?": str,
    "CDISpecDirs?": [str],
    "DiscoveredDevices?": [{"ID": str, "Source?": str}],
    "Runtimes?": {},
    "CgroupDriver?": str,
    "SecurityOptions?": [str],
    "NCPU?": int,
}
SHAPES: tuple[tuple[str, Shape], ...] = (
    (r"/containers/json", LISTED),
    (r"/containers/[^/]+/json", CONTAINER),
    (r"/images/json", [{"Id": str}]),
    (r"/images/.+/json", IMAGE),
    (r"/info", INFO),
    (r"/version", {"Version?": str}),
    (r"/containers/create", {"Id": str}),
    (r"/containers/[^/]+/wait", {"StatusCode": int}),
)
EVENT: Shape = {
    "error?": str,
    "status?": str,
    "id?": str,
    "progressDetail?": {"current?": int, "total?": int},
}


def of(path: str) -> Shape:
    """The shape of what is answered to a path; any object where nothing of it is read."""
    return next((shape for pattern, shape in SHAPES if re.fullmatch(pattern, path)), {})
