"""The Realtime protocol over WebRTC: events on a data channel, speech both ways as Opus over RTP."""
