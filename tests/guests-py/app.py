"""A responder in Python: it answers a message with the event's own text."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.responder import Command, Command_Send, Run
from wit_world.imports.contents import Content_Text, Extras, Outgoing
from wit_world.imports.types import Event, Fact_MessageReceived


class Responder(exports.Responder):
    def event_kinds(self) -> list[str]:
        return ["message.received"]

    def respond(self, run: Run, event: Event) -> list[Command]:
        if not isinstance(event.fact, Fact_MessageReceived):
            return []
        incoming = event.fact.value
        if incoming.from_me or not isinstance(incoming.content, Content_Text):
            return []
        text = incoming.content.value
        if text == "fail":
            # The host tries again what ends so.
            raise Err("told to fail")
        extras = Extras(quote=None, mentions=[], view_once=False)
        return [Command_Send(Outgoing(to=incoming.chat, content=Content_Text(text), extras=extras))]
