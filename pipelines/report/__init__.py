"""One self-contained HTML file about a router, or about the difference of two."""
