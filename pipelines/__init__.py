"""Offline jobs: one stage a file, pure functions above, `run(config) -> Path` below."""
