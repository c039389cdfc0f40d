"""The commands of `receipts-gateway`, a file each, named by `gateway.cli`.

`--help` imports these files, so that they import what a command needs only when it runs.
"""
