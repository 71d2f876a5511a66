"""What must hold for any bytes: a parser gives a result, or refuses with a ConverterError."""
