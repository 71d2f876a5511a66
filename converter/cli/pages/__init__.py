"""What the longer reports show, for the templates in ``converter/pages``; shorter ones are beside their command."""
