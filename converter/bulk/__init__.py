"""Many images: what is to be done is planned once, and what they share is moved once."""
