"""Telephone calls: Twilio's media streams, and SIP with RTP."""
