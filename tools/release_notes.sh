#!/usr/bin/env bash
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Makes the release notes of a version in build/release, from a copy of the checkout: tools/release_notes.sh VERSION
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?which version}

work=$PWD/build/release
tree=$work/ansible_collections/gpufleet/vllm
rm -rf "$work"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard -- changelogs galaxy.yml meta playbooks plugins roles |
    while IFS= read -r -d '' file; do
        if [ -e "$file" ]; then printf '%s\0' "$file"; fi
    done |
    tar --create --null --files-from=- | tar --extract --directory="$tree"

cd "$tree"
sed -i "s/^version: .*/version: $version/" galaxy.yml
# What was never released before is new in the first release, whichever version it was written for.
if ! grep -q "^  [0-9]" changelogs/changelog.yaml; then
    grep -rlE "^ *version_added: " plugins roles | xargs sed -i -E "s/^( *version_added: ).*/\1$version/"
    # What fragments tell is what changed since a release that nobody ever had: the summary says what there is.
    ANSIBLE_COLLECTIONS_PATH=$work antsibull-changelog lint
    summary=changelogs/fragments/$version.yml
    [ -e "$summary" ] || { echo "The first release is told by $summary, which is not there: write it." >&2 && exit 1; }
    find changelogs/fragments -name '*.yml' ! -path "$summary" -delete
fi
ANSIBLE_COLLECTIONS_PATH=$work antsibull-changelog lint
ANSIBLE_COLLECTIONS_PATH=$work antsibull-changelog release --version "$version"
mv CHANGELOG.md changelogs/changelog.yaml "$work"
rm -rf "$work/ansible_collections"
wc -l "$work/CHANGELOG.md"
