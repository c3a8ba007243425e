"""The program ``segnext-pafpn``.

It lies beside the package, and importing it before the package tells that to leave torch alone until a command needs
a network: so help, mistyped commands and ``samples`` answer at once.
"""

from segnext_pafpn.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
