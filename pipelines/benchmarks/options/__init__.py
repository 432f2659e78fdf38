"""Options of ``router-ml benchmark NAME``, one frozen dataclass a benchmark."""
