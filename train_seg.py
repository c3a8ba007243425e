"""Train from the command line: the same as ``segnext-pafpn train``."""

import sys

from segnext_pafpn_program import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
