"""Text as flat UTF-8 buffers: bytes, code points, hashes, lines, words, sentences."""
