"""Example operations, one per file: `receipts-gateway query NAME` runs one."""
