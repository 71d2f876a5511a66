"""Decides about one image: finds its signatures, and compares what they prove with what is required.

``verify_image`` answers that, ``wanted`` is what is required, and ``judgement`` the answer.
"""
