"""
The commands of this machine and of AWS accounts: their options, and what each hands on.

Everything that takes long to import is imported by the command that needs it.
"""
