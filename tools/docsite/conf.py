# Copyright: gpufleet.vllm contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx makes the site; `python -m tools.docsite` puts its source together. Warnings are errors there."""

project = "gpufleet.vllm"
author = "gpufleet.vllm contributors"
project_copyright = author
html_title = project
extensions = ["myst_parser", "sphinx_antsibull_ext"]
# Anchors of headings as a forge makes them, down to the deepest heading that a page has.
myst_heading_anchors = 5
html_theme = "furo"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
# Nothing says when or with what it was built: the same source makes the same pages.
html_last_updated_fmt = None
html_show_sphinx = False
html_copy_source = False
# The reference's own colours are those of a light page only, and some of them too faint: (light, dark).
antsibull_ext_color_scheme = "none"
_SURFACE = ("var(--color-background-secondary)",) * 2
_PAGE = ("var(--color-background-primary)",) * 2
_TEXT = ("var(--color-foreground-primary)",) * 2
_QUIET = ("#4b5563", "#b6bcc6")
_WARNING = ("#a3271c", "#ff9a8f")
_COLOURS = {
    "links-background": _SURFACE,
    "links-background-active": ("var(--color-background-hover)",) * 2,
    "links-focus-outline": _TEXT,
    "links-text": ("var(--color-brand-content)",) * 2,
    "table-background-header": _SURFACE,
    "table-background-even": _PAGE,
    "table-background-odd": _SURFACE,
    "table-border": ("var(--color-background-border)",) * 2,
    "narrowtable-background": _SURFACE,
    "option-type": _QUIET,
    "option-elements": _QUIET,
    "option-required": _WARNING,
    "option-version-added": _QUIET,
    "option-aliases": _QUIET,
    "option-default": _TEXT,
    "option-sample": _TEXT,
    "option-sample-header": _TEXT,
    "attribute-support-none": _WARNING,
    "attribute-support-partial": ("#6b5600", "#e0c565"),
    "attribute-support-full": ("#1c6b2c", "#7fd48f"),
    "attribute-support-na": ("inherit",) * 2,
    "deprecation-border": _TEXT,
    "deprecation-background": _SURFACE,
    "deprecation-color": _TEXT,
}
html_theme_options = {
    "light_css_variables": {f"antsibull-{name}": light for name, (light, _dark) in _COLOURS.items()},
    "dark_css_variables": {f"antsibull-{name}": dark for name, (_light, dark) in _COLOURS.items()},
    "source_repository": "https://github.com/gpufleet/ansible-vllm/",
    "source_branch": "main",
    "source_directory": "docs/",
}
# Nothing is asked of another site: what the reference needs of Ansible's words is in ansible_words.rst.
intersphinx_disabled_reftypes = ["*"]
