"""A hook of mkdocs: the site has the folders of the repository, so that a link holds in both.

README, changes and benchmarks lie outside of docs/, which is all that mkdocs reads by itself.
"""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PAGES = (
    "*.md",
    "LICENSE",
    "docs/**/*.md",
    "docs/assets/*",
    "docs/images/*",
    "examples/*",
    "benchmarks/results/*.md",
    "benchmarks/results/*.csv",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the repository's pages in the place of those below docs/; what is the theme's stays."""
    root = Path(config.config_file_path).parent
    theme = [file for file in files if file.src_dir != config.docs_dir]
    paths = sorted({path.relative_to(root) for pattern in PAGES for path in root.glob(pattern)})
    return Files([*theme, *(File(str(path), str(root), config.site_dir, config.use_directory_urls) for path in paths)])
