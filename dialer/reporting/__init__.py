"""Reports: what is counted, what is made of it, and how it is written out. The figures come from `dialer.storage`."""
