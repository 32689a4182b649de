# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets tests import this checkout as ansible_collections.gpufleet.vllm, the way Ansible itself does."""

from __future__ import annotations

import pathlib

from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
from hypothesis import settings

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]

_AnsibleCollectionFinder(paths=[str(CHECKOUT / ".collections")])._install()

# A machine with much to do is no mistake: what has to be quick is measured by the test itself, in its own CPU time.
settings.register_profile("gpufleet", deadline=None)
settings.load_profile("gpufleet")
