"""The exporter's web server.

Bytes become requests in h11, a strict parser; sockets, TLS and deadlines are asyncio's. One thread talks to all
clients, so a slow one costs a descriptor and never a worker; a second thread scrapes, a third checks passwords.
"""
