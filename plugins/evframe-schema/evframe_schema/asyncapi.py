"""The AsyncAPI document: events as channels, sockets as servers, commands as operations with replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Self

import attrs
from evframe_cloudevents import Envelope
from evframe_options.installed import installed

import evframe
from evframe import EventDefinition
from evframe.plugin import Command, leaves
from evframe_schema.addresses import ANY, LOCAL, Place, canonical_texts, keys_for, place_of
from evframe_schema.cloud_events import cloud_event, envelope, mode_of
from evframe_schema.events import event_schema
from evframe_schema.listening import ListeningServer, management_servers, stream_servers
from evframe_schema.management import MANAGEMENT, answers, request_schema

Spec = Literal["3.0", "3.1"]
_JSON: Final = "application/json"
_RUN_TIME: Final = "subscribers"
_CHOSEN: Final = "Where a client has subscribed at run time, with the command `evi:subscribe`."
_INFO: Final = "The events that an evframe gateway sends to its subscribers, and the commands that it takes."


@attrs.frozen(kw_only=True)
class Gateway:
    """What a document describes."""

    events: Sequence[EventDefinition]
    commands: Sequence[Command] = ()
    places: Mapping[str, Sequence[Place]] = attrs.field(factory=dict)
    """Where the configured subscribers of each event are."""
    envelope: Envelope = attrs.field(factory=Envelope)
    """Has the attributes of events that are sent as CloudEvents."""
    management: Sequence[ListeningServer] = ()
    streams: Sequence[ListeningServer] = ()
    title: str = "evframe"
    version: str = "1.0.0"
    """That of what is described."""

    @classmethod
    def of(
        cls, interface: evframe.EventInterface, config: evframe.Config | None = None, version: str = "1.0.0"
    ) -> Self:
        """Return the gateway that an interface belongs to.

        Args:
            interface: its events, commands and subscribers.
            config: has the management interfaces, the places of streams, and further subscribers, which the interface
                needs not have.
            version: of what is described.

        Raises:
            SocketError: if a socket of *config* cannot be used.
        """
        found = [(lease.event.name, lease.subscriber.socket) for lease in interface.subscriptions]
        texts = [(name, leaf.canonical) for name, socket in found for leaf in leaves(socket)]
        for lease in () if config is None else config.subscriptions:
            texts += [(lease.event, text) for text in canonical_texts(interface, lease.socket)]
        places: dict[str, list[Place]] = {}
        for name, text in dict.fromkeys(texts):
            if text.partition(":")[0] not in LOCAL:
                place = attrs.evolve(place_of(text), cloud_events=mode_of(interface, text))
                places.setdefault(name, []).append(place)
        plugins = list(installed())
        return cls(
            events=list(interface.events),
            commands=list(interface.commands),
            places=places,
            envelope=envelope(interface),
            management=list(management_servers(config, plugins)),
            streams=list(stream_servers(config, plugins)),
            version=version,
        )


def asyncapi_document(gateway: Gateway, spec: Spec = "3.0") -> dict[str, Any]:
    """Return the AsyncAPI document of a gateway, of the version *spec*."""
    return _Document(gateway, spec).made()


class _Document:
    def __init__(self, gateway: Gateway, spec: Spec) -> None:
        self._gateway = gateway
        self._spec = spec
        places = {place.canonical: place for some in gateway.places.values() for place in some}
        self._places = places
        both = {each.name: each for each in (*gateway.management, *gateway.streams)}  # one of them may be both
        self._listening = [*both.values()]
        self._servers = keys_for([_RUN_TIME, *(each.name for each in self._listening), *places])
        self._channels = keys_for([MANAGEMENT, *(event.name for event in gateway.events)])
        self._operations = keys_for(
            [*(f"send.{event.name}" for event in gateway.events), *(f"receive.{each.name}" for each in self._commands)]
        )

    @property
    def _commands(self) -> Sequence[Command]:
        return self._gateway.commands if self._gateway.management else ()

    def made(self) -> dict[str, Any]:
        """Return the document."""
        gateway = self._gateway
        events, commands = gateway.events, self._commands
        messages = {key: each for event in events for key, each in self._messages(event).items()}
        channels = {self._channels[event.name]: self._channel(event) for event in events}
        operations = {self._operations[f"send.{event.name}"]: self._sending(event) for event in events}
        components: dict[str, Any] = {"messages": messages}
        if commands:
            channels[MANAGEMENT] = self._management()
            operations |= {self._operations[f"receive.{each.name}"]: self._receiving(each) for each in commands}
            messages |= {self._request(each): _request_message(each) for each in commands} | answers()
        security = {key: scheme for each in self._listening for key, scheme in each.security.items()}
        components |= {"securitySchemes": security} if security else {}
        return {
            "asyncapi": f"{self._spec}.0",
            "info": {"title": gateway.title, "version": gateway.version, "description": _INFO},
            "defaultContentType": _JSON,
            "servers": self._made_servers(),
            "channels": channels,
            "operations": operations,
            "components": components,
        }

    def _made_servers(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            _RUN_TIME: {
                "host": "{address}",
                "protocol": ANY,
                "description": _CHOSEN,
                "variables": {"address": {"description": "The socket of the client, without its scheme."}},
            }
        }
        found |= {self._servers[canonical]: place.server() for canonical, place in self._places.items()}
        return found | {self._servers[each.name]: each.server() for each in self._listening}

    def _messages(self, event: EventDefinition) -> dict[str, Any]:
        """Return the messages of an event by their keys: the notification, and the others that its subscribers get."""
        schema = event_schema(event)
        key, about = self._channels[event.name], schema.pop("description", None)
        head = {"name": event.name, "title": event.name} | ({"summary": about} if about else {})
        found = {key: {**head, "contentType": _JSON, "payload": schema}}
        if any(place.is_xml for place in self._gateway.places.get(event.name, ())):
            xml = f"A call whose first parameter is the event's name; {event.name} has its parameters after it."
            found[f"{key}.xmlrpc"] = {**head, "contentType": "text/xml", "description": xml}
        type_ = self._gateway.envelope.type_of(event.name)
        for place in self._gateway.places.get(event.name, ()):
            if place.cloud_events is not None:
                message = cloud_event(place.cloud_events, type_, schema)
                found[f"{key}.cloudevents.{place.cloud_events}"] = {**head, **message}
        return found

    def _channel(self, event: EventDefinition) -> dict[str, Any]:
        """Return the channel of an event; the bindings are those of its first subscriber for each protocol."""
        places = self._gateway.places.get(event.name, ())
        streams = [self._servers[each.name] for each in self._gateway.streams]
        servers = [_RUN_TIME, *streams, *dict.fromkeys(self._servers[place.canonical] for place in places)]
        bindings: dict[str, Any] = {}
        for place in places:
            bindings = {**place.channel, **bindings}
        about = event.declaration.summary if event.declaration is not None else ""
        channel = {
            "address": event.name,
            "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in self._messages(event)},
            "servers": [{"$ref": f"#/servers/{key}"} for key in servers],
        }
        return channel | ({"summary": about} if about else {}) | ({"bindings": bindings} if bindings else {})

    def _sending(self, event: EventDefinition) -> dict[str, Any]:
        return {"action": "send", "channel": {"$ref": f"#/channels/{self._channels[event.name]}"}}

    def _management(self) -> dict[str, Any]:
        keys = [*(self._request(each) for each in self._commands), *answers()]
        return {
            "address": None,
            "summary": "Requests of JSON-RPC 2.0, and their answers.",
            "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in keys},
            "servers": [{"$ref": f"#/servers/{self._servers[each.name]}"} for each in self._gateway.management],
        }

    def _request(self, command: Command) -> str:
        return self._operations[f"receive.{command.name}"]

    def _receiving(self, command: Command) -> dict[str, Any]:
        channel = f"#/channels/{MANAGEMENT}"
        return {
            "action": "receive",
            "channel": {"$ref": channel},
            **({"summary": command.help} if command.help else {}),
            "messages": [{"$ref": f"{channel}/messages/{self._request(command)}"}],
            "reply": {
                "channel": {"$ref": channel},
                "messages": [{"$ref": f"{channel}/messages/{key}"} for key in answers()],
            },
        }


def _request_message(command: Command) -> dict[str, Any]:
    return {"name": command.name, "title": command.name, "contentType": _JSON, "payload": request_schema(command)}
