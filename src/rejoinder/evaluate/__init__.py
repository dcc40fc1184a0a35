"""The assistant as its callers meet it: every recording through live sessions, scored stage by stage, and a report."""
