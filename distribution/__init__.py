"""What is made from the program when it is packaged or documented: manual pages, completion, reference."""
