"""fastText models: the file, the columnar kernels, language and quality labels."""
