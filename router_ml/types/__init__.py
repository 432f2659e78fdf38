"""Types that every layer shares, one noun a module."""
