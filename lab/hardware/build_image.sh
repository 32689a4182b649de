#!/bin/bash
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# build_image.sh KIT   Makes vllm-cuda:VERSION in the Docker of the host, from this machine's own root, the Python that has
# torch (VENV: its prefix) and KIT, the folder of the unpacked kit.tar.xz. A small image is imported, and this machine's files are
# put into its layer by hard links, or as copies where links are not possible: seconds instead of a minute for 8 GB.
set -uo pipefail

kit=$1
base=${HOST_BASE:-/opt/host}
root=$base/root
inhost=$base/inhost.sh
venv=${VENV:-$(python3 -c 'import sys; print(sys.prefix)')}
image=$base/image
begun=$(date +%s)
say() { printf '[%4d s] %s\n' $(($(date +%s) - begun)) "$*"; }
fail() {
    echo "$*" >&2
    exit 1
}

version=$(basename "$kit"/site/vllm-*.dist-info .dist-info)
version=${version#vllm-}
[ "$version" != "*" ] || fail "there is no vLLM in $kit/site"
reference=vllm-cuda:$version
python=$(readlink -f "$venv/bin/python3")
say "$reference from $kit, with $python"

# What the engines will read, into the page cache meanwhile; and vLLM's modules compiled once, not at every start.
find "$venv/lib" -name '*.so*' -size +1M -print0 | xargs -0 -P 6 -n 8 cat >/dev/null 2>&1 &
"$python" -m compileall -q -j 0 "$kit/site" >/dev/null 2>&1

rm -rf "$image"
mkdir -p "$image"/{etc,tmp,root,run,var/tmp,proc,sys,dev,opt/kit/bin,home,mnt,srv}
chmod 1777 "$image/tmp" "$image/var/tmp"
for link in bin sbin lib lib64 lib32; do [ -L "/$link" ] && cp -a "/$link" "$image/$link"; done
for name in passwd group nsswitch.conf ld.so.conf ld.so.conf.d ld.so.cache ssl alternatives os-release mime.types \
    python3.12 localtime login.defs; do
    [ -e "/etc/$name" ] && cp -a "/etc/$name" "$image/etc/"
done
printf '127.0.0.1 localhost\n' >"$image/etc/hosts"
# The guard is needed: the engine starts its processes by importing this file once more.
cat >"$image/opt/kit/bin/vllm" <<LAUNCHER
#!$venv/bin/python3
import sys
from vllm.entrypoints.cli.main import main
if __name__ == "__main__":
    sys.exit(main())
LAUNCHER
chmod 755 "$image/opt/kit/bin/vllm"
cp "$root/srv/kit/hog.py" "$image/opt/kit/hog.py"

changes=(
    'ENTRYPOINT ["vllm","serve"]'
    'WORKDIR /opt/kit'
    "ENV PATH=/opt/kit/bin:$venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
)
for setting in PYTHONPATH=/opt/kit/site PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 \
    DO_NOT_TRACK=1 VLLM_USE_FLASHINFER_SAMPLER=0 VLLM_USE_DEEP_GEMM=0 NO_COLOR=1 VLLM_LOGGING_COLOR=0 \
    TOKENIZERS_PARALLELISM=false VLLM_HOST_IP=127.0.0.1 NCCL_SOCKET_IFNAME=lo GLOO_SOCKET_IFNAME=lo \
    TRITON_LIBCUDA_PATH=/usr/lib/x86_64-linux-gnu TRITON_CACHE_DIR=/var/cache/gpufleet/vllm/triton HOME=/root LANG=C.UTF-8; do
    changes+=("ENV $setting")
done
tar --numeric-owner -C "$image" -cf - . | "$inhost" dk import "$reference" "${changes[@]}" || fail "the image cannot be imported"
layer=$root$("$inhost" dk layer "$reference")
[ -d "$layer" ] || fail "Docker keeps the image's layer somewhere else: its storage driver has to be overlay2"
say "imported into $layer"

put() { # FROM TO: as links, else as copies
    mkdir -p "$2"
    local probe
    probe=$(find "$1" -xdev -type f -print -quit)
    if ln "$probe" "$2/.probe" 2>/dev/null; then
        rm -f "$2/.probe"
        cp -alxf "$1/." "$2/" 2>>"$base/log/copies.log"
        say "linked $1"
    else
        cp -axu "$1/." "$2/" 2>>"$base/log/copies.log"
        say "copied $1"
    fi
}
put /usr "$layer/usr" &
usr=$!
case $venv in /usr | /usr/*) ;; *) put "$venv" "$layer$venv" ;; esac
put "$kit/site" "$layer/opt/kit/site"
wait $usr
case $python in /usr/* | "$venv"/*) ;; *) put "${python%/bin/*}" "$layer${python%/bin/*}" ;; esac
# What would only be found by mistake, and take time to be looked through.
for name in jax jaxlib cupy cupyx cupy_backends tensorflow tensorboard sklearn keras xgboost flax optax matplotlib; do
    rm -rf "$layer$venv"/lib/python3*/site-packages/"$name"
done
rm -rf "$layer/usr/local/nvidia" "$layer"/usr/share/{doc,man,locale} "$layer"/usr/lib/{modules,firmware}

python3 "$kit/models.py" "$root/models"
python3 "$root/srv/kit/weights.py" "$root/models/qwen2.5-0.5b" "$root/models/qwen2.5-7b"
# The same question that the collection asks.
"$inhost" dk run probe "$reference" --network none --entrypoint python3 -- -c 'import importlib.metadata as m; print(m.version("vllm"))'
"$inhost" dk wait probe >/dev/null
"$inhost" dk logs probe | grep -q "$version" || fail "vLLM does not answer in the image: $("$inhost" dk logs probe | tail -5)"
"$inhost" dk rm probe
echo "$version" >"$root/srv/kit/version"
say "$reference is there"
