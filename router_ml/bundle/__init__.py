"""The shipped artifact: what it holds, how it is written, how it is read and verified."""
