# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets tests import this checkout as ansible_collections.gpufleet.vllm, the way Ansible itself does."""

from __future__ import annotations

import pathlib

import hypothesis
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]

_AnsibleCollectionFinder(paths=[str(CHECKOUT / ".collections")])._install()

# A machine that does other things too is no failure of a test.
SLOW = (hypothesis.HealthCheck.too_slow,)
hypothesis.settings.register_profile("unhurried", deadline=None, suppress_health_check=SLOW)
hypothesis.settings.load_profile("unhurried")
