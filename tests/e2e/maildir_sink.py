#!/usr/bin/python3
# Copyright 2026 The Portero Authors
# SPDX-License-Identifier: Apache-2.0
"""A small SMTP server that files every message in a Maildir.

The upstream of ./quickstart, for trying things out and nothing else: no TLS,
no login, every recipient is taken. A message is answered with 250 when its
file is complete in new/, named after the queue id in the answer.
"""
import argparse
import asyncio
import os
import re
import secrets
import socket
import time

MAX_LINE = 1024 * 1024
MAX_SIZE = 50 * 1024 * 1024
PATH = re.compile(rb"(FROM|TO):\s*<([^<>\s]*)>(.*)", re.IGNORECASE | re.DOTALL)


class Refused(Exception):
    """The reply to a command that is not carried out."""


def store(maildir, sender, recipients, lines):
    """Writes the message into new/; its queue id."""
    queue_id = secrets.token_hex(6).upper()
    name = f"{time.time():.6f}.{queue_id}.{socket.gethostname()}"
    head = b"Return-Path: <%s>\n" % sender
    head += b"".join(b"Delivered-To: %s\n" % one for one in recipients)
    temporary = os.path.join(maildir, "tmp", name)
    with open(temporary, "wb") as file:
        file.write(head)
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, os.path.join(maildir, "new", name))
    return queue_id


class Session:
    """One client. Commands that come together are answered together."""

    def __init__(self, maildir, reader, writer):
        self.maildir, self.reader, self.writer = maildir, reader, writer
        self.greeted = False
        self.reset()

    def reset(self):
        self.sender, self.recipients = None, []

    def reply(self, text):
        self.writer.write(text.encode("ascii") + b"\r\n")

    async def read_line(self):
        line = await self.reader.readuntil(b"\n")
        return line.rstrip(b"\r\n")

    def path(self, argument, word):
        match = PATH.fullmatch(argument)
        if match is None or match[1].upper() != word:
            raise Refused("501 5.5.4 syntax: an address in <>")
        size = re.search(rb"\sSIZE=(\d+)", match[3], re.IGNORECASE)
        if size is not None and int(size[1]) > MAX_SIZE:
            raise Refused("552 5.3.4 message too large")
        return match[2]

    async def body(self):
        """The message up to its end, dots unstuffed; None: too large."""
        lines, size = [], 0
        while (line := await self.reader.readuntil(b"\r\n")) != b".\r\n":
            line = line[1:] if line.startswith(b".") else line
            size += len(line)
            if size <= MAX_SIZE:
                lines.append(line[:-2] + b"\n")
        return lines if size <= MAX_SIZE else None

    async def data(self):
        if not self.recipients:
            raise Refused("503 5.5.1 no recipient")
        self.reply("354 go on")
        await self.writer.drain()
        lines = await self.body()
        sender, recipients = self.sender, self.recipients
        self.reset()
        if lines is None:
            raise Refused("552 5.3.4 message too large")
        queue_id = store(self.maildir, sender, recipients, lines)
        self.reply(f"250 2.0.0 Ok: queued as {queue_id}")
        print(f"{queue_id}: from <{sender.decode(errors='replace')}>, "
              f"{len(recipients)} recipients", flush=True)

    async def command(self, line):
        """Carries one command out; False: the last one."""
        verb, _, argument = line.partition(b" ")
        verb, argument = verb.upper(), argument.strip()
        if verb in (b"EHLO", b"HELO"):
            self.greeted = True
            self.reset()
            if verb == b"EHLO":
                for word in ("sink", "PIPELINING", "8BITMIME",
                             "ENHANCEDSTATUSCODES"):
                    self.reply(f"250-{word}")
            self.reply(f"250 SIZE {MAX_SIZE}" if verb == b"EHLO" else "250 sink")
        elif verb == b"QUIT":
            self.reply("221 2.0.0 bye")
            return False
        elif verb in (b"NOOP", b"RSET"):
            if verb == b"RSET":
                self.reset()
            self.reply("250 2.0.0 Ok")
        elif verb not in (b"MAIL", b"RCPT", b"DATA"):
            raise Refused("500 5.5.2 no such command")
        elif not self.greeted or (verb == b"MAIL") != (self.sender is None):
            raise Refused("503 5.5.1 out of order")
        elif verb == b"MAIL":
            self.sender = self.path(argument, b"FROM")
            self.reply("250 2.1.0 Ok")
        elif verb == b"RCPT":
            self.recipients.append(self.path(argument, b"TO"))
            self.reply("250 2.1.5 Ok")
        else:
            await self.data()
        return True

    async def run(self):
        self.reply("220 sink ESMTP")
        more = True
        while more:
            line = await self.read_line()
            try:
                more = await self.command(line)
            except Refused as why:
                self.reply(str(why))
            await self.writer.drain()


async def serve(arguments):
    for folder in ("tmp", "new", "cur"):
        os.makedirs(os.path.join(arguments.maildir, folder), exist_ok=True)

    async def on_client(reader, writer):
        try:
            await Session(arguments.maildir, reader, writer).run()
        except (OSError, asyncio.IncompleteReadError,
                asyncio.LimitOverrunError):
            pass  # it went away, or sent a line without end
        finally:
            writer.close()

    server = await asyncio.start_server(
        on_client, arguments.host, arguments.port, limit=MAX_LINE)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"listening on {host}:{port}", flush=True)
    async with server:
        await server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("maildir")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    try:
        asyncio.run(serve(parser.parse_args()))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
