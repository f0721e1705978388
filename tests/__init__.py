"""
What stands in for what, in the words that the tests use.

- A *fake* (`fakes/`) is a port in memory. It has hooks with which a test watches its methods or
  fails them (`store.before`, `store.fails`); nobody replaces them.
- A *rig* (`rig.py`, and a subclass where a test file needs more) is a service wired on fakes.
- A *server* is something outside that answers on a socket of this machine: a provider, an issuer, a
  table (`tables.py`), the Runtime API (`lambda_runtime/`).
- An *app* is a function's own module, wired as on Lambda; a *door* is a way in to it.
"""
