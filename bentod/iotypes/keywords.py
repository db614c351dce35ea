"""Which keywords of JSON Schema 2020-12 hold schemas, and which hold values. All others are annotations."""

from __future__ import annotations

ALONE = frozenset(
    (
        *("additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames", "then"),
        *("unevaluatedItems", "unevaluatedProperties"),
    )
)
"""Keywords that hold one schema."""

IN_LIST = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
"""Keywords that hold a list of schemas."""

IN_MAP = frozenset(("$defs", "definitions", "dependentSchemas", "patternProperties", "properties"))
"""Keywords that hold schemas by name: the names in them are no keywords."""

VALUES = frozenset(("const", "default", "enum", "examples"))
"""Keywords that hold values, in which nothing is a schema."""
