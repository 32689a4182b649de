# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVML through pynvml, its errors turned into values: one place knows how the library fails.

Codes and calls are those of nvml.h. `pynvml` is passed in: the module itself, or a double with the same functions.

Private to the collection: may change without notice.
"""

from __future__ import annotations

import typing as t

INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
DRIVER_NOT_LOADED = 9
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
LIB_RM_VERSION_MISMATCH = 18
ARGUMENT_VERSION_MISMATCH = 25
GPU_NOT_FOUND = 28

# The call does not exist for this GPU, this driver or this user: unknown, and no problem of the GPU.
UNAVAILABLE = frozenset({NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH})
# The GPU does not work, whatever else it still answers.
DEAD = frozenset({GPU_IS_LOST, RESET_REQUIRED, GPU_NOT_FOUND})

PROBLEMS = {
    GPU_IS_LOST: "It fell off the bus: look for 'NVRM: Xid' in the kernel log, then power the host off and on.",
    RESET_REQUIRED: "It must be reset before it can be used: stop what uses it and reset it, or reboot the host.",
    GPU_NOT_FOUND: "The driver no longer finds it: look for 'NVRM' in the kernel log, then power the host off and on.",
}


class NvmlError(Exception):
    """A call that NVML answered with an error."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{words} (NVML error {code})")
        self.code = code


class Nvml:
    """The library: calls by their names in pynvml."""

    def __init__(self, pynvml: t.Any) -> None:
        self._pynvml = pynvml

    def call(self, function: str, *arguments: t.Any) -> t.Any:
        """Its answer, bytes as text (old bindings answer bytes). Raises NvmlError."""
        known = getattr(self._pynvml, function, None)
        if known is None:
            raise NvmlError(FUNCTION_NOT_FOUND, f"pynvml has no {function}")
        try:
            answer = known(*arguments)
        except self._pynvml.NVMLError as error:
            raise NvmlError(int(error.value), str(error)) from error
        except Exception as error:
            # pynvml's own class for a driver older than the bindings is no NVMLError
            if type(error).__name__ != "NVMLLibraryMismatchError":
                raise
            raise NvmlError(FUNCTION_NOT_FOUND, "Function Not Found") from error
        return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer

    def get(self, function: str, *arguments: t.Any) -> t.Any:
        """Its answer, or None where it answers with an error."""
        try:
            return self.call(function, *arguments)
        except NvmlError:
            return None

    def close(self) -> None:
        """The end of what nvmlInit began; a driver that does not take it says nothing that helps."""
        self.get("nvmlShutdown")

    def constant(self, name: str) -> t.Any:
        """A constant of the bindings; None where they are too old to have it."""
        return getattr(self._pynvml, name, None)


class Device:
    """One GPU that is being asked: what it cannot answer is None, what goes wrong is kept in `problems`."""

    def __init__(self, nvml: Nvml, handle: t.Any) -> None:
        self.nvml = nvml
        self.handle = handle
        self.problems: list[str] = []
        self.dead = False

    def get(self, function: str, *arguments: t.Any) -> t.Any:
        """The answer about this GPU, or None. A GPU that is lost is not asked again: each call would wait."""
        if self.dead:
            return None
        try:
            return self.nvml.call(function, self.handle, *arguments)
        except NvmlError as error:
            self.failed(function, error)
            return None

    def failed(self, function: str, error: NvmlError) -> None:
        if error.code in DEAD:
            self.dead = True
            self.problems.append(PROBLEMS[error.code])
        elif error.code not in UNAVAILABLE:
            self.problems.append(f"{function} failed: {error}.")

    def unreachable(self, error: NvmlError) -> None:
        """The driver counts it and gives no handle for it."""
        self.dead = True
        self.problems.append(PROBLEMS.get(error.code) or f"The driver cannot use it: {error}.")
