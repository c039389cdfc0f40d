"""The commands of `receipts-gateway`, a file each; `gateway.cli` names them."""
