#!/bin/bash
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# make_kit.sh [WORK]   Makes WORK/kit.tar.xz (about 40 MiB) on a machine with a network: vLLM for CUDA, and what it needs
# beyond torch 2.11.0 for CUDA 13.0, transformers 5 and their usual company, for Python 3.12 on x86_64 and compute capability
# 9.0. Packages come from the index that pip is set up for; about 1 GB is fetched.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=${1:-kit-work}
vllm=0.26.0
mkdir -p "$work"/{deps,source,trimmed}
cd "$work"

fetch() { # FOLDER REQUIREMENT...
    local into=$1 platforms=()
    shift
    for old in 2_34 2_28 2_27 2_26 2_24 2_17; do platforms+=(--platform "manylinux_${old}_x86_64"); done
    nice python3 -m pip download -q --no-deps --python-version 3.12 --implementation cp --abi cp312 --abi abi3 --abi none \
        "${platforms[@]}" --platform manylinux2014_x86_64 --platform manylinux1_x86_64 --platform any \
        --only-binary=:all: -d "$into" "$@"
}

# Device code for one architecture: the rest of each fat binary goes, so that it packs to a tenth. FlashAttention 3 is for it alone.
trim() {
    local library option
    for library in _C_stable_libtorch _moe_C_stable_libtorch; do
        [ -e "trimmed/$library.abi3.so" ] && continue
        option=""
        [ "$library" = _C_stable_libtorch ] && option=--keep-ptx
        python3 "$here/fatbin.py" "source/vllm/$library.abi3.so" "trimmed/$library.abi3.so" $option
    done
    cp source/vllm/vllm_flash_attn/_vllm_fa3_C.abi3.so source/vllm/cumem_allocator.abi3.so trimmed/
}

# vLLM without libraries, sources of kernels, and tables of other cards.
sources() {
    local without=() path
    for path in vllm/vllm-rs 'vllm/third_party/fmha_sm100/*' 'vllm/third_party/deep_gemm/*' \
        'vllm/model_executor/layers/fused_moe/configs/*' 'vllm/model_executor/layers/quantization/utils/configs/*'; do
        without+=(! -path "$path")
    done
    (cd source && find vllm "vllm-$vllm.dist-info" -type f ! -name '*.so' ! -name '*.cu' ! -name '*.cuh' ! -name '*.h' \
        "${without[@]}" -print0 | tar cf - --null -T -) | tar xf - -C root/site
}

libraries() {
    local name
    for name in _C_stable_libtorch _moe_C_stable_libtorch cumem_allocator; do cp "trimmed/$name.abi3.so" root/site/vllm/; done
    mkdir -p root/site/vllm/vllm_flash_attn
    cp trimmed/_vllm_fa3_C.abi3.so root/site/vllm/vllm_flash_attn/
    for name in spinloop _rust_tool_parser fs_io_C; do
        cp "source/vllm/$name.abi3.so" root/site/vllm/
        strip --strip-unneeded "root/site/vllm/$name.abi3.so"
    done
    find root/site -name '*.so*' -type f ! -path '*/vllm/*' -exec strip --strip-unneeded {} \; 2>/dev/null || true
}

[ -e deps/.done ] || { fetch deps -r "$here/kit-requirements.txt" && touch deps/.done; }
if [ ! -e source/.done ]; then
    fetch . "vllm==$vllm"
    python3 -m zipfile -e vllm-"$vllm"-*.whl source
    touch source/.done
fi
trim
rm -rf root
mkdir -p root/site
python3 "$here/wheels.py" deps root/site
sources
libraries
find root -name __pycache__ -type d -prune -exec rm -rf {} +
cp "$here/models.py" root/
# Libraries first, then files of a kind together: it packs smaller.
(cd root && { find . -type f -name '*.so*' | sort; find . -type f ! -name '*.so*' | awk -F. '{print $NF" "$0}' | sort | cut -d' ' -f2-; }) >files.txt
tar cf - -C root --owner=0 --group=0 --no-recursion -T files.txt | nice xz -9e -T1 -c >kit.tar.xz.part
mv kit.tar.xz.part kit.tar.xz
ls -l "$PWD/kit.tar.xz"
