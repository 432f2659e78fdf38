"""Ask, judge, escalate: one slice on top of the library."""
