"""Writes `tests/vectors.json` anew, after a change of the protocol."""

from golden.document import PATH, document

if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
