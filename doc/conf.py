"""Configuration of the documentation. It builds offline: nothing is fetched."""

from importlib.metadata import version as installed_version

project = "skinfluence"
author = "skinfluence developers"
copyright = author
version = release = installed_version("skinfluence")

extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
# Backticks in docstrings name Python objects; what has no page of its own is set as code.
default_role = "py:obj"

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "alphabetical"
toc_object_entries_show_parents = "hide"
add_module_names = False

numpydoc_show_class_members = False
# Documented are the parameters of the signature, all of them, in its order.
numpydoc_validation_checks = {"PR01", "PR02", "PR03", "GL06", "GL07", "SS03"}
numpydoc_validation_exclude = {
    # A contract states the shapes of all its methods once.
    r"^skinfluence\.(losses|objectives|solvers|curvature|mechanisms|AutogradObjective)\.",
    # What is in a result is documented as its attributes.
    r"\.(Agreement|Certificate|Checkpoint|Diagnostics|GivenRows|Origin|Refinement|Result)$",
    r"\.(ExpectedErrors|LabelQuality|ValidationAudit)$",
    r"\.(Contents|Finding|Report|TestedRows)$",
    r"\.(\w*Influence|LeaveOneOut(Check|Comparison|Curve)?)$",
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "ExampleTitleSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "remove_config_comments": True,
    "doc_module": ("skinfluence",),
    "backreferences_dir": "generated/backreferences",
}

html_theme = "pydata_sphinx_theme"
html_title = "skinfluence"
html_theme_options = {
    "show_prev_next": False,
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"**": []}
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
