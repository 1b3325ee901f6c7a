"""A URL becomes something that may be sent."""
