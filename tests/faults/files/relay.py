# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A slow line to a registry, which can be cut by killing it: relay.py PORT REGISTRY BYTES_PER_SECOND.

Runs on the host, on 127.0.0.1, from where Docker pulls without TLS.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

CHUNK = 1 << 16


def pump(source: socket.socket, target: socket.socket, rate: float) -> None:
    while data := source.recv(CHUNK):
        target.sendall(data)
        time.sleep(len(data) / rate)
    target.shutdown(socket.SHUT_WR)


def main(port: int, registry: tuple[str, int], rate: float) -> None:
    server = socket.create_server(("127.0.0.1", port))
    while True:
        client, _address = server.accept()
        upstream = socket.create_connection(registry)
        for pair in ((client, upstream), (upstream, client)):
            threading.Thread(target=pump, args=(*pair, rate), daemon=True).start()


address, _colon, registry_port = sys.argv[2].partition(":")
main(int(sys.argv[1]), (address, int(registry_port)), float(sys.argv[3]))
