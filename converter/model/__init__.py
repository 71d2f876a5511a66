"""The nouns of the program: images, layers, descriptors, digests, platforms, references. Values, which do nothing by
themselves: they open no file and no connection.
"""
