"""Where bundles come from, and how they are swapped."""
