"""`python -m dialer.cli`."""

from __future__ import annotations

from dialer.cli.application import main

if __name__ == "__main__":
    main()
