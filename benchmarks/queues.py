"""A peer that answers requests to queues of Amazon SQS; prints its port, and ends when it is killed."""

import re
import socket

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
ID = re.compile(rb'"Id": ?"(\d+)"')

with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        data = b""
        while more := connection.recv(1 << 18):
            data += more
            head, end, body = data.partition(b"\r\n\r\n")
            if end and len(body) >= int(LENGTH.search(head)[1]):
                data = b""
                done = b",".join(
                    b'{"Id":"%b","MessageId":"1","MD5OfMessageBody":"1"}' % id_ for id_ in ID.findall(body)
                )
                answer = b'{"Successful":[%b]}' % done if done else b'{"MessageId":"1","MD5OfMessageBody":"1"}'
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b"
                    % (len(answer), answer)
                )
