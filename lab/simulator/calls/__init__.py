"""The API's calls, one module for each noun; `table.py` lists them."""
