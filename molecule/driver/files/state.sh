#!/bin/sh
# What a driver changes on a host: packages, holds, files.
dpkg-query --show --showformat '${db:Status-Abbrev} ${Package} ${Version}\n'
apt-mark showhold
find /etc/apt /etc/modprobe.d /etc/systemd/system /etc/gpufleet -type f -exec sha256sum {} + 2>/dev/null | sort -k 2
find /lib/ -path '/lib/modules/*/nvidia*.ko*'
