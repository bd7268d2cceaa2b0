"""The real daemon under faults: killed, starved, lied to. Black box; loopback only; no root."""
