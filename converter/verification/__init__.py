"""Whether an image is what trusted people signed.

``verifying`` answers that, ``wanted`` is what is required, and ``judgement`` the answer.
"""
