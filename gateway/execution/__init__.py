"""How an operation is carried out: fields that say what they need, and what a selection asks of a record.

This room knows GraphQL and Strawberry, and nothing of Twilio.
"""
