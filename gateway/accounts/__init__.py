"""A Twilio account that executes operations: the operation as a value, cached answers, coalescing, and limits.

`subscriptions.py` executes subscriptions for events, and `subscription.py` is one of them. `reconciliation.py` polls the
conversations that are watched, for what no webhook reported.
"""
