"""Reports as HTML: what the templates of ``converter/pages`` are filled with."""
