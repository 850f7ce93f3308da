"""The numbers of pictures, and the methods that draw them."""
