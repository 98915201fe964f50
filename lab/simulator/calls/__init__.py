"""The API's calls, one module a noun; `table.py` lists them."""
