"""Where the time goes: kernels and the whole chain against the floor of decoding and parsing."""
