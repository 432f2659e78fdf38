"""A decision log under watch: what is read of it, what is kept, and what is said and done."""
