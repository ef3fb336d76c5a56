"""The version of the package, where everything below the package root can read it."""

VERSION = "0.1.0"
