"""Models beyond the normal: Laplace's approximation and the joint density, in kernels."""
