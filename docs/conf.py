"""The site: Sphinx reads Markdown. https://www.sphinx-doc.org/en/master/usage/configuration.html"""

project = "rctl"
extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
exclude_patterns = ["made", "generate"]
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["wide.css"]
html_title = "rctl"
html_show_copyright = False
html_show_sourcelink = False
nitpicky = True
smartquotes = False  # it would make one dash of the two of an option
