"""
Making the server known to those who look for one; nobody else depends on it.

``etcd`` says what is asked of an etcd and what its answers mean, ``conversation`` asks
one endpoint after the other, ``registrar`` keeps the entry alive. ``target_file`` keeps
a file for Prometheus. The network is reached through a port, and no failure leaves.
"""
