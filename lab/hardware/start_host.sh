#!/bin/bash
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# start_host.sh [--no-gpu]   Boots the host of rootfs.tar.xz, with systemd and Docker, in namespaces of this machine, and
# leaves BASE/inhost.sh, which runs a command in it. --no-gpu is for a rehearsal on a machine without one.
# KIT is where rootfs.tar.xz and project.tar.xz lie (default: beside this file), HOST_BASE where the host lives.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
kit=${KIT:-$here}
base=${HOST_BASE:-/opt/host}
root=$base/root
gpu=1
[ "${1:-}" = --no-gpu ] && gpu=0
begun=$(date +%s)
say() { printf '[%4d s] %s\n' $(($(date +%s) - begun)) "$*"; }
fail() {
    echo "$*" >&2
    exit 1
}

nsenter=$(command -v nsenter) && unshare=$(command -v unshare) || fail "nsenter and unshare are missing: install util-linux"
if [ -e "$base/pid" ] && [ "$(cat "/proc/$(cat "$base/pid")/comm" 2>/dev/null)" = systemd ]; then
    say "it runs already, PID $(cat "$base/pid")"
    exit 0
fi
mkdir -p "$root" "$base/log"

# 1. Its files.
if [ ! -e "$root/.unpacked" ]; then
    xz -dc -T0 "$kit/rootfs.tar.xz" | tar -xpf - -C "$root" --numeric-owner || fail "$kit/rootfs.tar.xz cannot be unpacked"
    touch "$root/.unpacked"
    say unpacked
fi
if [ -e "$kit/project.tar.xz" ]; then
    rm -rf "$root/srv/gpufleet"
    xz -dc "$kit/project.tar.xz" | tar -xpf - -C "$root" || fail "$kit/project.tar.xz cannot be unpacked"
fi
mkdir -p "$root"/{srv/kit,models,usr/local/nvidia,etc/docker,etc/cdi,root}
cp -r "$here"/{dk.py,cdi.py,steps.sh,hog.py,weights.py,inventory} "$root/srv/kit/"
install -m 755 "$here/dk.py" "$root/usr/local/bin/dk"
[ -d /usr/local/nvidia/lib64 ] && echo /usr/local/nvidia/lib64 >"$root/etc/ld.so.conf.d/nvidia.conf"
echo gpuhost >"$root/etc/hostname"
printf '127.0.0.1 localhost gpuhost\n::1 localhost\n' >"$root/etc/hosts"
: >"$root/etc/resolv.conf"
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
# The host passes for a machine, and not for a container of this one.
mkdir -p "$root/etc/tmpfiles.d"
echo 'r! /run/systemd/container' >"$root/etc/tmpfiles.d/gpufleet-lab.conf"
cat >"$root/etc/docker/daemon.json" <<JSON
{"features": {"cdi": true}, "cdi-spec-dirs": ["/etc/cdi"], "bip": "172.31.255.1/24", "live-restore": true}
JSON

# 2. A control group, with every controller that there is.
groups=/sys/fs/cgroup
[ "$(stat -f -c %T $groups)" = cgroup2fs ] || groups=/sys/fs/cgroup/unified
[ "$(stat -f -c %T $groups 2>/dev/null)" = cgroup2fs ] || fail "there is no cgroup v2"
group=$groups/gpufleet-host-$$
mkdir "$group" || fail "$group cannot be made"
outside=$groups
for controller in $(cat $groups/cgroup.controllers); do
    echo "+$controller" >$groups/cgroup.subtree_control 2>/dev/null && continue
    # Not the real root: processes in it forbid controllers below. They move into a leaf.
    outside=$groups/outside
    mkdir -p $outside
    for process in $(cat $groups/cgroup.procs); do echo "$process" >$outside/cgroup.procs 2>/dev/null; done
    echo "+$controller" >$groups/cgroup.subtree_control 2>/dev/null || say "controller $controller cannot be given"
done

# 3. PID 1: puts the tree together in new namespaces, then becomes systemd.
cat >"$base/init.sh" <<'INIT'
#!/bin/bash
root=$1 gpu=$2 base=$3
exec 2>>"$base/log/init.log"
set -x
for _ in $(seq 100); do [ -e "$base/go" ] && break; sleep 0.05; done
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup" || mount --bind /sys/fs/cgroup "$root/sys/fs/cgroup"
[ -d "$root/sys/fs/bpf" ] && mount -t bpf bpf "$root/sys/fs/bpf"
mount -t tmpfs -o mode=755,nosuid,size=64m dev "$root/dev"
mkdir -p "$root"/dev/{pts,shm,mqueue,net}
while read -r name major minor; do
    cp -a "/dev/$name" "$root/dev/" || mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done <<NODES
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
NODES
[ -e /dev/fuse ] && cp -a /dev/fuse "$root/dev/"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for pair in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${pair%:*}" "$root/dev/${pair#*:}"; done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev shm "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue"
[ "$gpu" = 1 ] && cp -a /dev/nvidia* "$root/dev/"
mount -t tmpfs -o mode=755,nosuid,nodev run "$root/run"
mkdir -p "$root/run/lock"
mount -t tmpfs -o mode=1777,nosuid,nodev tmp "$root/tmp"
[ "$gpu" = 1 ] && [ -d /usr/local/nvidia ] && mount --rbind /usr/local/nvidia "$root/usr/local/nvidia"
cd "$root" && mkdir -p .old
if pivot_root . .old; then umount -l /.old; else mount --move . /; fi
exec chroot . /usr/bin/env -i container=docker PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    /bin/sh -c '/sbin/ldconfig; hostname gpuhost; exec /lib/systemd/systemd --log-target=journal --show-status=no'
INIT
rm -f "$base/go" "$base/pid"
: >"$base/log/init.log"
setsid bash -c "echo \$\$ >'$group/cgroup.procs'
    exec '$unshare' --mount --pid --uts --ipc --cgroup --fork --propagation private bash '$base/init.sh' '$root' '$gpu' '$base'" \
    </dev/null >"$base/log/systemd.out" 2>&1 &
parent=$!
first=""
for _ in $(seq 100); do
    [ "$(cat /proc/$parent/comm 2>/dev/null)" = unshare ] && first=$(cut -d' ' -f1 </proc/$parent/task/$parent/children) && [ "$first" ] && break
    sleep 0.05
done
[ "$first" ] || fail "the namespaces did not start: $(cat "$base/log/systemd.out")"
echo "$first" >"$base/pid"
echo "$group" >"$base/cgroup"
# Whoever waits for PID 1 stays outside: its group has no processes but systemd's.
echo "$parent" >"$outside/cgroup.procs"
touch "$base/go"
cat >"$base/inhost.sh" <<IN
#!/bin/bash
# inhost.sh COMMAND...   Runs a command in the host, in a control group of its own there.
mkdir -p $group/inhost
echo \$\$ >$group/inhost/cgroup.procs
exec $nsenter -t \$(cat $base/pid) -m -u -i -p -C -n -r -w -- /usr/bin/env -i HOME=/root USER=root LANG=C.UTF-8 TERM=dumb \\
    ANSIBLE_NOCOLOR=1 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "\$@"
IN
chmod 755 "$base/inhost.sh"
inhost=$base/inhost.sh
for _ in $(seq 200); do
    [ "$(cat "/proc/$first/comm" 2>/dev/null)" = systemd ] && break
    kill -0 "$first" 2>/dev/null || fail "PID 1 died: $(tail -20 "$base/log/init.log" "$base/log/systemd.out")"
    sleep 0.1
done
for _ in $(seq 150); do
    state=$("$inhost" systemctl is-system-running 2>/dev/null)
    case $state in running | degraded) break ;; esac
    sleep 0.2
done
say "systemd is PID $first, and $state"
[ "$state" = degraded ] && "$inhost" systemctl --failed --no-legend

# 4. An iptables that Docker can use, or none.
cat >"$root/srv/kit/iptables.sh" <<'TABLES'
#!/bin/bash
works() {
    local result=0
    "$1" -t nat -N TRY && "$1" -t nat -A TRY -m addrtype --dst-type LOCAL -j RETURN &&
        "$1" -t nat -A TRY -s 172.31.255.0/24 ! -o try0 -j MASQUERADE &&
        "$1" -t nat -A TRY ! -i try0 -p tcp -d 127.0.0.1 --dport 1 -j DNAT --to-destination 172.31.255.2:1 &&
        "$1" -N TRY && "$1" -A TRY -o try0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT || result=1
    "$1" -t nat -F TRY; "$1" -t nat -X TRY; "$1" -F TRY; "$1" -X TRY
    return $result
}
for kind in nft legacy; do
    if works iptables-$kind; then
        for suffix in "" -save -restore; do ln -sf /usr/sbin/iptables-$kind$suffix /etc/alternatives/iptables$suffix; done
        echo "iptables: $kind"
        exit
    fi
done
sed -i 's/^{/{"iptables": false, "ip6tables": false, /' /etc/docker/daemon.json
echo "iptables: none"
TABLES
"$inhost" bash /srv/kit/iptables.sh 2>"$base/log/iptables.log"
[ $gpu = 1 ] && { "$inhost" env PYTHONPATH=/opt/ansible python3 /srv/kit/cdi.py || say "CDI was not written"; }

# 5. Docker may have started before: once more, with what is there now. Python compiles its modules meanwhile.
"$inhost" systemctl reset-failed docker.service docker.socket containerd.service 2>/dev/null
"$inhost" systemctl restart docker.service || "$inhost" journalctl -u docker -u containerd --no-pager | tail -30
"$inhost" python3 -m compileall -q -j 0 /opt/ansible /usr/lib/python3.13 /srv/gpufleet/plugins >/dev/null 2>&1 &
for _ in $(seq 60); do
    "$inhost" dk version >"$base/log/docker.json" 2>/dev/null && break
    sleep 0.5
done
[ -s "$base/log/docker.json" ] || fail "Docker does not answer: see $inhost journalctl -u docker"
wait $!
say "Docker answers"
