#!/bin/sh
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs a package with nothing in it: package.sh NAME STATUS [RELATION...], each a line of its control file. STATUS is how its
# script ends that configures it: with 1 the package stays half-configured.
set -eu
name=$1 status=$2
shift 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/DEBIAN"
{
    printf 'Package: %s\nVersion: 1.7.27-1\nArchitecture: all\nMaintainer: test\nDescription: test\n' "$name"
    for relation in "$@"; do
        printf '%s\n' "$relation"
    done
} >"$folder/DEBIAN/control"
printf '#!/bin/sh\nexit %s\n' "$status" >"$folder/DEBIAN/postinst"
chmod 0755 "$folder" "$folder/DEBIAN/postinst"
dpkg-deb --build --root-owner-group "$folder" "$folder.deb" >/dev/null
dpkg --install "$folder.deb" || [ "$status" != 0 ]
rm "$folder.deb"
