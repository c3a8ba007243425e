"""The program ``segnext-pafpn``.

It lies beside the package, and importing it before the package tells that to leave torch alone until a command needs
a network: so help, mistyped commands, ``check``, ``samples`` and ``compare`` answer at once.
"""

import sys

sys.modules.setdefault("segnext_pafpn_program", sys.modules[__name__])  # python -m calls it __main__

from segnext_pafpn.cli import main  # noqa: E402

__all__ = ["main"]

if __name__ == "__main__":
    raise SystemExit(main())
