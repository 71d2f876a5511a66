"""Many images, planned together so that content they share is moved only once."""
