"""
The only doors to the network; foreign exceptions stop here.

``aiohttp_transport`` asks vendors, ``recording`` keeps what they answer, ``replay``
answers out of what was kept. All three satisfy ``ports.http.Transport``. ``websocket``
opens streams and satisfies ``ports.stream.Dialler``. Whom to ask and what an answer
means is not decided here.
"""
