#!/bin/bash
# What apt and unattended-upgrades would do about a newer driver: as the role left the host, without the holds, and with neither.
# The newer driver is the one that is installed; one of its packages is made to look older.
set -euo pipefail
list=/etc/apt/apt.conf.d/52gpufleet-nvidia-driver
cp /var/lib/dpkg/status /root/status
sed -i '/^Package: libnvidia-nvvm4$/,/^$/ s/^Version: .*/Version: 500-1/' /var/lib/dpkg/status
echo 'Unattended-Upgrade::Origins-Pattern { "origin=*"; };' > /etc/apt/apt.conf.d/99everything

echo "held: apt $(apt-get --simulate dist-upgrade | grep --count '^Inst libnvidia-nvvm4' || true)"
echo "held: unattended $(unattended-upgrade --dry-run --debug 2>&1 | grep --count 'will be upgraded: libnvidia-nvvm4' || true)"
held=$(apt-mark showhold)
apt-mark unhold $held > /dev/null
echo "unheld: unattended $(unattended-upgrade --dry-run --debug 2>&1 | grep --count 'will be upgraded: libnvidia-nvvm4' || true)"
mv "$list" /root/list
echo "free: apt $(apt-get --simulate dist-upgrade | grep --count '^Inst libnvidia-nvvm4' || true)"
echo "free: unattended $(unattended-upgrade --dry-run --debug 2>&1 | grep --count 'will be upgraded: libnvidia-nvvm4' || true)"

mv /root/list "$list"
cp /root/status /var/lib/dpkg/status
rm /etc/apt/apt.conf.d/99everything
