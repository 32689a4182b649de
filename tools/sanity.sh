#!/usr/bin/env bash
# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs `ansible-test sanity` on a copy of what the collection publishes and of its tests.
# Arguments go to ansible-test: tools/sanity.sh --test validate-modules
set -euo pipefail
cd "$(dirname "$0")/.."

# ansible-test wants a tree that lies at ansible_collections/gpufleet/vllm and in no git repository that ignores it.
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
tree=$work/ansible_collections/gpufleet/vllm
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard -- \
    . ':!.ci' ':!.collections' ':!lab' ':!make' ':!molecule' ':!tools' |
    while IFS= read -r -d '' file; do
        if [ -e "$file" ]; then printf '%s\0' "$file"; fi
    done |
    tar --create --null --files-from=- | tar --extract --directory="$tree"

# Its virtual environments are kept between runs, in a home of their own that knows the same package index.
home=$PWD/.cache/sanity
mkdir -p "$home/.ansible/test/cache" "$home/.config"
if [ -d "$HOME/.config/pip" ]; then
    ln -sfn "$HOME/.config/pip" "$home/.config/pip"
fi

# ansible-test bootstraps pip with a script from a server of its own. The same pip comes from the package index here.
# Each release of ansible-test wants a version of its own.
pip_version=$(python -c "
import sys, types
from ansible_test._internal.python_requirements import get_venv_packages
print(get_venv_packages(types.SimpleNamespace(version='%d.%d' % sys.version_info[:2]))['pip'])")
bootstrap=$home/.ansible/test/cache/get_pip_${pip_version//./_}.py
if [ ! -e "$bootstrap" ]; then
    python -m pip download --quiet --no-deps --dest "$home" "pip==$pip_version"
    cat >"$bootstrap" <<BOOTSTRAP
import runpy
import sys

wheel = "$home/pip-$pip_version-py3-none-any.whl"
sys.path.insert(0, wheel)
options = [option for option in sys.argv[1:] if option not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", "--no-index", "--find-links", "$home", *options]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
BOOTSTRAP
fi

python_version=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
cd "$tree"
HOME=$home ansible-test sanity --local --python "$python_version" "$@"
