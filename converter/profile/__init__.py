"""What an image contains, as a text whose digest is the same for the same files in any format.

``mtree`` writes and reads the text, ``contents`` says which files it has, ``statement`` makes it a statement that can
be signed, ``file`` reads it from a file, and ``comparison`` compares a tree with it.
"""
