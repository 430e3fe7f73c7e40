"""A server of moto of the tests' own: it answers as Amazon SQS does, in memory, and is no real one."""

import json
import socket
import sys
import urllib.request

from brokers.own import OwnBroker, free_port


class Moto(OwnBroker):
    """Starts in two seconds; `stop` and `start` again keep the port, and nothing else."""

    name = "moto"

    def __init__(self):
        super().__init__()
        self.port = free_port()

    def launch(self):
        return self.run(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port))

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def call(self, action, **arguments):
        """Send a request that is not signed, and return the answer; this waits."""
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AmazonSQS.{action}",
            "Authorization": "AWS4-HMAC-SHA256 Credential=tests/20260101/us-east-1/sqs/aws4_request, Signature=0",
        }
        address = f"http://127.0.0.1:{self.port}/"
        request = urllib.request.Request(address, json.dumps(arguments).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def make_queue(self, name, **attributes):
        """Make a queue; return its URL."""
        if name.endswith(".fifo"):
            attributes["FifoQueue"] = "true"
        self.call("CreateQueue", QueueName=name, Attributes=attributes)
        return f"http://127.0.0.1:{self.port}/123456789012/{name}"

    def take(self, url):
        """Return up to ten messages of a queue, and remove them from it."""
        found = self.call(
            "ReceiveMessage",
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            AttributeNames=["All"],
        )
        messages = (found or {}).get("Messages", [])
        if messages:
            entries = [
                {"Id": str(index), "ReceiptHandle": each["ReceiptHandle"]} for index, each in enumerate(messages)
            ]
            self.call("DeleteMessageBatch", QueueUrl=url, Entries=entries)
        return messages

    def take_all(self, url):
        """Return the messages of a queue until it is empty."""
        taken = []
        while more := self.take(url):
            taken += more
        return taken
