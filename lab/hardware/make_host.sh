#!/bin/bash
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# make_host.sh [WORK]   Makes, on a machine with a network, what a machine with a GPU and no network boots as a host:
#   WORK/rootfs.tar.xz   Debian 13 with systemd, Docker 26.1, Python 3.13 and ansible-core (kept where it is there already)
#   WORK/project.tar.xz  the collection as it is committed here (made anew each time, in seconds)
# Needs root, mmdebstrap and xz. MIRROR names another mirror of Debian.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
work=${1:-host-work}
mkdir -p "$work"
cd "$work"

project() {
    rm -rf project
    mkdir -p project/srv/gpufleet
    git -C "$checkout" archive HEAD | tar -x -C project/srv/gpufleet
    git -C "$checkout" rev-parse HEAD >project/srv/gpufleet.commit
    rm -rf project/srv/gpufleet/{tests,changelogs,docs}
    tar -C project --numeric-owner --sort=name -c . | xz -9e >project.tar.xz
}

# ansible-core and NVIDIA's bindings for the Python of Debian 13.
ansible() {
    [ -d ansible ] && return
    nice python3 -m pip install -q --no-compile --target ansible \
        --python-version 3.13 --implementation cp --abi cp313 --abi abi3 --abi none \
        --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform any --only-binary=:all: \
        ansible-core==2.19.14 jinja2==3.1.6 nvidia-ml-py
}

base() {
    [ -e base.tar ] && return
    local excluded=()
    for kind in doc info locale man; do excluded+=("--dpkgopt=path-exclude=/usr/share/$kind/*"); done
    nice mmdebstrap --variant=minbase \
        --include=systemd,systemd-sysv,dbus,sudo,procps,python3,ca-certificates,iproute2,docker.io,docker-cli,iptables,kmod \
        --aptopt='APT::Install-Recommends "false"' "${excluded[@]}" trixie base.tar \
        "${MIRROR:-$(cd "$checkout" && python3 -c 'from lab.tools import mirror; print(mirror())')}"
}

# What no step needs: the host has to fit into 64 MiB, where files are brought to the machine in parts of that size.
slim() {
    rm -f usr/sbin/sudo_logsrvd usr/sbin/tc usr/lib/systemd/systemd-{networkd,resolved}
    (cd usr/bin && rm -f docker cvtsudoers localedef ctr containerd-stress containerd-shim containerd-shim-runc-v1 \
        perl* sqv openssl apt* systemd-analyze)
    rm -rf usr/lib/x86_64-linux-gnu/{perl-base,gconv} usr/lib/x86_64-linux-gnu/libapt-* usr/lib/apt
    (cd usr/share && rm -rf perl5 doc man info locale common-licenses bash-completion zsh lintian bug debconf perl pixmaps)
    (cd usr/lib/python3.13 && rm -rf test idlelib ensurepip pydoc_data _pyrepl turtledemo lib2to3 tkinter)
    rm -rf etc/apt var/lib/apt var/cache/* var/log/* var/lib/dpkg/info var/lib/dpkg/status-old
    find . -xdev -name __pycache__ -type d -prune -exec rm -rf {} +
    # Units that want hardware or a network of their own.
    for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
        getty@.service console-getty.service getty-static.service serial-getty@.service \
        systemd-networkd.service systemd-resolved.service systemd-timesyncd.service systemd-firstboot.service \
        systemd-udevd.service systemd-logind.service systemd-modules-load.service systemd-sysctl.service \
        systemd-remount-fs.service systemd-boot-random-seed.service kmod-static-nodes.service modprobe@.service \
        sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount dev-mqueue.mount \
        sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount; do
        ln -sf /dev/null "etc/systemd/system/$unit"
    done
    mkdir -p var/log/journal etc/systemd/journald.conf.d srv opt
    printf '[Journal]\nStorage=persistent\nSystemMaxUse=200M\n' >etc/systemd/journald.conf.d/lab.conf
    rm -f var/lib/dbus/machine-id
    : >etc/machine-id
}

tools() {
    cp -a ../ansible opt/ansible
    rm -rf opt/ansible/{ansible_test,cryptography*,pycparser*,cffi*,_cffi_backend*,bin,share,__pycache__}
    local program
    for program in playbook:playbook inventory:inventory config:config adhoc:; do
        local path="usr/local/bin/ansible${program#*:}"
        [ "${program#*:}" ] && path="usr/local/bin/ansible-${program#*:}"
        printf '#!/usr/bin/python3\nimport sys\nsys.path.insert(0, "/opt/ansible")\nfrom ansible.cli.%s import main\nsys.exit(main())\n' \
            "${program%:*}" >"$path"
        chmod 755 "$path"
    done
}

project
if [ ! -e rootfs.tar.xz ]; then
    ansible
    base
    rm -rf root
    mkdir root
    tar -xf base.tar -C root
    (cd root && slim && tools)
    tar -C root --numeric-owner --sort=name -cf - . | nice xz -9e --x86 --lzma2=preset=9e,dict=192MiB >rootfs.tar.xz.part
    mv rootfs.tar.xz.part rootfs.tar.xz
fi
ls -l "$PWD"/*.xz
