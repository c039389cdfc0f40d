"""A Twilio account that executes operations: the operation as a value, cached answers, coalescing, and limits.

`reconciliation.py` polls the conversations that are watched, for what no webhook reported.
"""
