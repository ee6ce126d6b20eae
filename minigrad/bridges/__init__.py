"""The instruments of this library on models of other ones. None of those is imported before one of its models comes."""
