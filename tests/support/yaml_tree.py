"""YAML as a tree, read by libyaml: faster than trees of PyYAML, and stricter. Quoted text is a string, what is plain is
what PyYAML makes of it; there is one document, without anchors, tags and duplicate keys."""

import functools

import yaml

PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def plain(text):
    return yaml.safe_load(text)


def tree(text):
    parser = PARSER(text)
    starts = [type(parser.get_event()).__name__, type(parser.get_event()).__name__]
    assert starts == ["StreamStartEvent", "DocumentStartEvent"]
    value = node(parser, parser.get_event())
    ends = [type(parser.get_event()).__name__, type(parser.get_event()).__name__]
    assert ends == ["DocumentEndEvent", "StreamEndEvent"]
    return value


def node(parser, event):
    kind = type(event)
    assert event.anchor is None
    assert event.tag is None
    if kind is yaml.ScalarEvent:
        return event.value if event.style else plain(event.value)
    get = parser.get_event
    if kind is yaml.SequenceStartEvent:
        values = []
        while type(event := get()) is not yaml.SequenceEndEvent:
            values.append(node(parser, event))
        return values
    assert kind is yaml.MappingStartEvent
    pairs = {}
    while type(event := get()) is not yaml.MappingEndEvent:
        key = node(parser, event)
        assert key not in pairs
        pairs[key] = node(parser, get())
    return pairs
