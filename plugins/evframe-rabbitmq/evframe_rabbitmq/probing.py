"""Whether the exchange or the queue of a socket exists, without a message."""

from __future__ import annotations

import asyncio

from aiormq import exceptions

from evframe import Rejected, Unavailable
from evframe.plugin import without_tracebacks
from evframe_rabbitmq.address import RabbitSocket
from evframe_rabbitmq.broker import reason_of
from evframe_rabbitmq.channel import BatchChannel


async def probe(channel: BatchChannel, target: RabbitSocket, timeout_s: float) -> None:
    """Return when the exchange of *target* exists, or its queue where the exchange is the default one.

    Queues that the events name are not asked for.

    The broker closes *channel* otherwise; nothing may be under way on it.

    Raises:
        Rejected: if there is none, or it is not ours to use.
        Unavailable: if the broker does not answer.
    """
    try:
        async with asyncio.timeout(timeout_s):
            if target.exchange:
                await channel.exchange_declare(target.exchange, passive=True)
            elif target.key and (target.route is None or target.route.by_key is None):
                await channel.queue_declare(target.key, passive=True)
    except (exceptions.ChannelLockedResource, ValueError):
        return  # an exclusive queue takes messages of others; a name that the library does not take is not asked for
    except exceptions.ChannelNotFoundEntity as error:
        without_tracebacks(error)
        raise Rejected("not_found") from None
    except exceptions.ChannelAccessRefused as error:
        without_tracebacks(error)
        raise Rejected("access_refused") from None
    except TimeoutError:
        raise Unavailable("confirm_timeout") from None
    except (OSError, exceptions.AMQPError) as error:
        without_tracebacks(error)
        raise Unavailable(reason_of(error)) from None
