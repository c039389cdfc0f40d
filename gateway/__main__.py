"""`python -m gateway` is `receipts-gateway`."""

from gateway.cli import main

if __name__ == "__main__":
    main()
