"""Operations to begin with, each in a file of its own: `receipts-gateway query NAME` runs one."""
