"""Callables that look at their request's context, and set what they may of the answer."""


def look(context):
    return _seen(context)


async def look_async(context):
    return _seen(context)


def look_with(name, context):
    return {"name": name, **_seen(context)}


def look_at(value, context):
    return {"value": value, **_seen(context)}


def answer(status, headers, context):
    context.response.status = status
    for name, value in headers.items():
        context.response.headers[name] = value
    return "set"


def own(context):
    """`context` is a property of the API's input here, so it is the caller's."""
    return context


def _seen(context):
    return {"headers": context.headers, "request_id": context.request_id, "remaining": context.remaining()}
