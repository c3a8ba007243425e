"""Predict from the command line: the same as ``segnext-pafpn predict``."""

import sys

from segnext_pafpn_program import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
