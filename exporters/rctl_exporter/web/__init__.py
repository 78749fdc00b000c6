"""The exporter's web server.

h11, a strict parser, turns bytes into requests; asyncio handles sockets, TLS and deadlines. One thread talks to all
clients, so a slow client costs a descriptor and no thread. A second thread scrapes, a third checks passwords.
"""
