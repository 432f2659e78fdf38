"""Retraining as a service: from new log to a watched champion, again and again."""
