#!/usr/bin/python3
"""Small requests with httpx: requests.py N SOCKET PATH prints the seconds that passed, and
those of processor time. It is Debian's Python that has Debian's httpx."""
import sys
import time

import httpx

n, socket, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
with httpx.Client(transport=httpx.HTTPTransport(uds=socket)) as client:
    url = "http://localhost" + path
    client.get(url)
    begun, used = time.monotonic(), time.process_time()
    for _ in range(n):
        client.get(url).json()
    print(time.monotonic() - begun, time.process_time() - used)
