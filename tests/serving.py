"""Management interfaces that are as small as they can be: real sockets and FIFOs, and the answers of evframe."""

import json
import os
import socket
import threading


class Server:
    """Answers on a thread of its own; *answer* gives the bytes for the bytes of a request, None for none."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []

    def start(self):
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def close(self):
        self.stop()
        self.thread.join()


class DatagramServer(Server):
    """Over UDP, or at a UNIX path; a list of answers is sent one by one."""

    def __init__(self, answer, path=None):
        super().__init__(answer)
        self.path = path
        self.sock = socket.socket(socket.AF_INET if path is None else socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0) if path is None else path)
        self.url = f"unix://{path}" if path else "udp://127.0.0.1:%d" % self.sock.getsockname()[1]

    def serve(self):
        while True:
            request, address = self.sock.recvfrom(1 << 20)
            if not request:
                self.sock.close()
                return
            self.requests.append((request, address))
            answers = self.answer(request)
            # The original answers at a UNIX path from another socket, which has no name.
            sender = self.sock if self.path is None else socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            for answer in answers if isinstance(answers, list) else [answers]:
                if answer is not None:
                    sender.sendto(answer, address)
            if sender is not self.sock:
                sender.close()

    def stop(self):
        with socket.socket(self.sock.family, socket.SOCK_DGRAM) as stop:
            stop.sendto(b"", self.sock.getsockname())


class FifoServer(Server):
    """Reads a FIFO in *folder*; keeps the mode of each reply FIFO."""

    def __init__(self, answer, folder):
        super().__init__(answer)
        self.folder = str(folder)
        self.path = os.path.join(self.folder, "mi")
        self.modes = []
        os.mkfifo(self.path)
        self.fd = os.open(self.path, os.O_RDWR)
        self.url = f"fifo://{self.path}?reply_dir={self.folder}"

    def serve(self):
        text = b""
        while part := os.read(self.fd, 65536):
            if part == b"stop":
                os.close(self.fd)
                return
            text = self.reply_to_all(text + part)

    def reply_to_all(self, text):
        """Answer the requests of *text*, and return what is left."""
        while text:
            _, name, rest = text.split(b":", 2)
            try:
                end = json.JSONDecoder().raw_decode(rest.decode())[1]
            except ValueError:
                return text
            self.reply(name, rest[:end])
            text = rest[end:]
        return text

    def reply(self, name, request):
        path = os.path.join(self.folder, name.decode())
        self.requests.append((request, path))
        self.modes.append(os.stat(path).st_mode)
        answer = self.answer(request)
        if answer is None:
            return
        reply = os.open(path, os.O_WRONLY)
        view = memoryview(answer)
        while view:
            view = view[os.write(reply, view) :]
        os.close(reply)

    def stop(self):
        os.write(self.fd, b"stop")


class HttpServer(Server):
    """Answers each connection once; *answer* gives the bytes of the whole response for those of the whole request."""

    def __init__(self, answer, path=None, context=None):
        super().__init__(answer)
        self.listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self.listener.bind(path or ("127.0.0.1", 0))
        self.listener.listen()
        self.context = context
        if path:
            self.url = f"http+unix://{path.replace('/', '%2F')}/mi"
        else:
            self.url = "http%s://localhost:%d/mi" % ("s" if context else "", self.listener.getsockname()[1])

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                self.listener.close()
                return
            try:
                if self.context is not None:
                    connection = self.context.wrap_socket(connection, server_side=True)
                self.serve_one(connection)
            except OSError:
                pass
            finally:
                connection.close()

    def serve_one(self, connection):
        request = b""
        while not self.is_whole(request):
            request += connection.recv(65536)
        self.requests.append((request, None))
        response = self.answer(request)
        if response is None:
            connection.recv(1)  # until the client has had enough
        else:
            connection.sendall(response)

    @staticmethod
    def is_whole(request):
        head, end, body = request.partition(b"\r\n\r\n")
        return end and len(body) == int(head.lower().split(b"content-length:")[1].split()[0])

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)


def http(handle):
    """Return the answer of an `HttpServer` that has *handle* answer the body."""

    def answer(request):
        body = handle(request.partition(b"\r\n\r\n")[2])
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    return answer
