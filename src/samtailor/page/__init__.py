"""The page: see, click, correct, fit again; a local web server and the files that a browser shows."""
