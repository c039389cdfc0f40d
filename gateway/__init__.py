"""A GraphQL gateway over Twilio Conversations' service-scoped delivery receipts."""

__version__ = "0.1.0"
