"""Reports as HTML that take more than their command: what the templates of ``converter/pages`` are filled with."""
