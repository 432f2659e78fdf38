"""What ``make docs`` builds the site with: generated pages, figures, docstrings as Markdown."""
