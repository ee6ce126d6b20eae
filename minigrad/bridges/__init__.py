"""The instruments of this library on models of other ones. Each is imported only by whoever has that library."""
